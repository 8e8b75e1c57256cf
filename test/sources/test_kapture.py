# SPDX-License-Identifier: Apache-2.0
"""A kapture as its tools write it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.errors import DsacError, SourceError
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import row_from_pose

POSES = [pose(0.3 * i, 1, 2, 0.1, -0.2 * i, 0.3) for i in range(3)]
RIG_FROM_LEFT, RIG_FROM_RIGHT = pose(-0.1, 0, 0, 0, 0.1, 0), pose(0.1, 0, 0, 0, -0.1, 0)
SENSORS = """# kapture format: 1.1
# sensor_device_id, name, sensor_type, [sensor_params]+
left, Hero7, camera, SIMPLE_PINHOLE, 64, 48, 50, 32, 24
right, , camera, OPENCV, 64, 48, 50, 51, 32, 24, -0.1, 0.02, 0.001, 0.002
depth01, kinect, depth, SIMPLE_PINHOLE, 64, 48, 50, 32, 24
wifi01, , wifi
"""


def fields(target_from_source):
    """qw, qx, qy, qz, tx, ty, tz"""
    x, y, z, qx, qy, qz, qw = row_from_pose(target_from_source)
    return ', '.join(repr(value) for value in (qw, qx, qy, qz, x, y, z))


def write(path, images, trajectories, rigs=()):
    sensors = path / 'sensors'
    for _, _, name in images:
        file = sensors / 'records_data' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.full((48, 64, 3), 90, np.uint8))
    head = '# kapture format: 1.1\n'
    (sensors / 'sensors.txt').write_text(SENSORS)
    (sensors / 'records_camera.txt').write_text(
        head + ''.join(f'{stamp}, {sensor}, {name}\n' for stamp, sensor, name in images)
    )
    (sensors / 'trajectories.txt').write_text(
        head + ''.join(f'{stamp}, {device}, {row}\n' for stamp, device, row in trajectories)
    )
    if rigs:
        (sensors / 'rigs.txt').write_text(
            head + ''.join(f'{rig}, {sensor}, {row}\n' for rig, sensor, row in rigs)
        )
    return path


@pytest.fixture
def scene(tmp_path):
    """Three images of one camera, not in the order of their stamps; numbers for stamps."""
    return write(
        tmp_path,
        [(f'{i:04d}', 'left', f'mapping/cam/{i}.jpg') for i in (2, 0, 1)],
        [(f'{i:04d}', 'left', fields(np.linalg.inv(POSES[i]))) for i in range(3)],
    )


@pytest.mark.parametrize('part', ['', 'sensors'])
def test_a_camera(scene, part):
    source = open_source(scene / part)
    found = list(source.posed_frames())
    assert source.kind == 'kapture' and not source.has_stamps
    assert [one.frame.name for one in found] == [f'mapping/cam/{i}.jpg' for i in range(3)]
    np.testing.assert_allclose([one.world_from_camera for one in found], POSES, atol=1e-9)
    # COLMAP's centre of a 64x48 image is (32, 24); here it is (31.5, 23.5)
    np.testing.assert_allclose(
        found[0].frame.camera.matrix, [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]]
    )


@pytest.mark.parametrize('nested', [False, True])
def test_a_rig_of_two_cameras(tmp_path, nested):
    rigs = [
        ('rig', 'left', fields(np.linalg.inv(RIG_FROM_LEFT))),
        ('rig', 'right', fields(np.linalg.inv(RIG_FROM_RIGHT))),
    ]
    device, robot_from_rig = 'rig', np.eye(4)
    if nested:
        device, robot_from_rig = 'robot', pose(0, 0, 1, 0.2, 0, 0)
        rigs.append(('robot', 'rig', fields(np.linalg.inv(robot_from_rig))))
    path = write(
        tmp_path,
        [(i, sensor, f'{sensor}/{i}.jpg') for i in range(3) for sensor in ('right', 'left')],
        [(i, device, fields(np.linalg.inv(POSES[i]))) for i in range(3)],
        rigs,
    )
    found = {one.frame.name: one for one in open_source(path).posed_frames()}
    for i, world_from_device in enumerate(POSES):
        for sensor, rig_from_camera in (('left', RIG_FROM_LEFT), ('right', RIG_FROM_RIGHT)):
            np.testing.assert_allclose(
                found[f'{sensor}/{i}.jpg'].world_from_camera,
                world_from_device @ robot_from_rig @ rig_from_camera,
                atol=1e-9,
            )
    assert found['right/0.jpg'].frame.camera.distortion == (-0.1, 0.02, 0.001, 0.002, 0.0)


def test_rigs_that_carry_each_other_have_no_pose(scene):
    row = fields(np.eye(4))
    (scene / 'sensors/rigs.txt').write_text(f'a, left, {row}\nb, a, {row}\na, b, {row}\n')
    (scene / 'sensors/trajectories.txt').write_text('')
    with pytest.raises(SourceError, match=r'3 with no pose in trajectories\.txt'):
        list(open_source(scene).posed_frames())


def test_stamps_that_are_times(tmp_path):
    stamps = [1_700_000_000_000 + 40 * i for i in range(2)]
    path = write(tmp_path, [(stamp, 'left', f'{stamp}.jpg') for stamp in stamps], [])
    source = open_source(path)
    assert source.has_stamps
    assert [one.stamp_ns for one in source.frames()] == [stamp * 10**6 for stamp in stamps]
    assert 'are in ms, as their size says' in source.assumptions[0]


def test_partial_poses_are_counted(scene):
    file = scene / 'sensors/trajectories.txt'
    lines = file.read_text().splitlines()
    lines[1] = '0000, left, , , , , 1, 2, 3'
    lines[2] = '0001, left, 0, 0, 0, 0, 1, 2, 3'
    file.write_text('\n'.join(lines))
    source = open_source(scene)
    assert len(list(source.posed_frames())) == 1
    assert source.skipped == {
        'a pose without rotation or position': 1,
        'a pose with NaN or infinity': 1,
    }


def test_images_alone(scene):
    (scene / 'sensors/trajectories.txt').unlink()
    source = open_source(scene)
    assert len(list(source.frames())) == 3
    with pytest.raises(SourceError, match=r'no pose in trajectories\.txt .*named with --poses'):
        list(source.posed_frames())


def test_depth_of_the_same_model_is_of_the_image(scene):
    (scene / 'sensors/records_depth.txt').write_text(
        '0001, depth01, a.depth\n0, depth01, b.depth\n'
    )
    metres = np.linspace(0.5, 3, 48 * 64, dtype='<f4')
    metres[:2] = np.nan, -1
    (scene / 'sensors/records_data/a.depth').write_bytes(metres.tobytes())
    (scene / 'sensors/records_data/b.depth').write_bytes(b'cut')
    source = open_source(scene)
    found = [frame.depth for frame in source.frames()]
    expected = np.where(metres > 0, metres, 0).reshape(48, 64)
    np.testing.assert_array_equal(found[1], expected)
    assert found[0] is None and found[2] is None and sum(source.missing.values()) == 2
    assert 'registered to the images of the same stamp' in source.assumptions[-1]
    assert all(frame.depth is None for frame in open_source(scene, depth='off').frames())


def test_depth_and_spare_images_are_told(scene):
    (scene / 'sensors/records_depth.txt').write_text('0, wifi01, a.depth\n')
    data = scene / 'sensors/records_data/mapping/cam'
    cv2.imwrite(str(data / 'spare.jpg'), np.zeros((48, 64), np.uint8))
    assert open_source(scene).unread == [
        f'1 images of {data} that records_camera.txt does not list: spare.jpg',
        f'the depth of {scene / "sensors/records_depth.txt"}, of sensors with other models than the '
        'cameras: it is not registered to the images',
    ]


def test_a_given_calibration_overrides_the_sensors(scene):
    file = scene / 'sensors/sensors.txt'
    file.write_text('left, , camera, UNKNOWN_CAMERA, 64, 48\n')
    assert next(open_source(scene, focal=70.0).frames()).camera.matrix[0, 0] == 70


@pytest.mark.parametrize(
    ('file', 'text', 'message'),
    [
        ('sensors.txt', '', r"has no camera 'left', of which there are images"),
        (
            'sensors.txt',
            'left, , camera\n',
            r'line 1: .* is no camera, expected a model of COLMAP',
        ),
        ('sensors.txt', 'left, , depth, SIMPLE_PINHOLE, 64, 48, 50, 32, 24\n', r'has no camera'),
        ('sensors.txt', 'left, , camera, UNKNOWN_CAMERA, 64, 48\n', r'has no intrinsics: give'),
        ('sensors.txt', 'left, , camera, FOV, 64, 48, 1\n', r'unknown camera model FOV'),
        ('sensors.txt', 'left, , camera, PINHOLE, 64, 48, 1\n', r'PINHOLE has 1 parameters'),
        ('sensors.txt', 'left, , camera, PINHOLE, inf, 48, 1\n', r'is no camera'),
        ('sensors.txt', 'left\n', r'line 1: .* has 1 fields, expected sensor_device_id'),
        ('records_camera.txt', '\n', r'lists no images, expected lines of timestamp'),
        ('records_camera.txt', '0, left\n', r'has 2 fields, expected timestamp, device_id'),
        ('records_camera.txt', 'now, left, a.jpg\n', r'expected a timestamp first'),
        ('trajectories.txt', '0, left, 1, 0\n', r'has 4 fields, expected timestamp'),
        ('trajectories.txt', '0, left, 1, 0, 0, x, 0, 0, 0\n', r'is not a pose, expected the'),
        ('rigs.txt', 'rig, left, 1\n', r'has 3 fields, expected rig_device_id'),
    ],
)
def test_a_broken_file_is_one_line(scene, file, text, message):
    (scene / 'sensors' / file).write_text(text)
    with pytest.raises(DsacError, match=message) as error:
        open_source(scene)
    assert len(str(error.value).splitlines()) == 1 and file in str(error.value)
