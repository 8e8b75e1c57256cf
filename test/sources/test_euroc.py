# SPDX-License-Identifier: Apache-2.0
"""EuRoC's ASL layout, as the data set, TUM-VI and simulators write it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.errors import CameraError, DsacError, SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import row_from_pose
from dsac_ros.sources.trajectory_files import write_tum

START = 1403636579763555584
STEP = 50_000_000
BODY_FROM_CAMERA = pose(0.1, -0.05, 0.02, 0.3, -1.2, 0.4)
BODY_FROM_MARKER = pose(0.0, 0.1, -0.2, 0.0, 0.1, 0.2)
BODIES = [pose(0.1 * i, 0.2, 0.05 * i, 0.02 * i, -0.03 * i, 0.5) for i in range(6)]
SENSOR = """# General sensor definitions.
sensor_type: camera
comment: VI-Sensor {name} (MT9M034)

# Sensor extrinsics wrt. the body-frame.
T_BS:
  cols: 4
  rows: 4
  data: {t_bs}

# Camera specific definitions.
rate_hz: 20
resolution: [64, 48]
camera_model: pinhole
intrinsics: [45.8, 45.7, 32.1, 24.8] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05]
"""
HEADER = (
    '#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], '
    'q_RS_z [], v_RS_R_x [m s^-1], v_RS_R_y [m s^-1], v_RS_R_z [m s^-1]'
)


def write_camera(folder, body_from_camera=BODY_FROM_CAMERA, count=4):
    (folder / 'data').mkdir(parents=True)
    lines = ['#timestamp [ns],filename']
    for i in range(count):
        stamp = START + i * STEP
        cv2.imwrite(str(folder / 'data' / f'{stamp}.png'), np.full((48, 64), 90, np.uint8))
        lines.append(f'{stamp},{stamp}.png')
    (folder / 'data.csv').write_text('\r\n'.join(lines) + '\r\n')
    t_bs = [float(x) for x in body_from_camera.reshape(-1)]
    (folder / 'sensor.yaml').write_text(SENSOR.format(name=folder.name, t_bs=t_bs))


def write_truth(folder, body_from_sensor=None, header=HEADER, offset=-STEP // 2):
    """Poses of the sensor between the images, the body where BODIES says."""
    folder.mkdir(parents=True)
    lines = [header] if header else []
    for i, body in enumerate(BODIES):
        sensor = body if body_from_sensor is None else body @ body_from_sensor
        x, y, z, qx, qy, qz, qw = row_from_pose(sensor)
        row = [x, y, z, qw, qx, qy, qz, 0.1, 0.2, 0.3][: 10 if header == HEADER else 7]
        lines.append(f'{START + offset + i * STEP},' + ','.join(repr(value) for value in row))
    (folder / 'data.csv').write_text('\n'.join(lines) + '\n')
    if body_from_sensor is not None:
        data = [float(x) for x in body_from_sensor.reshape(-1)]
        (folder / 'sensor.yaml').write_text(f'T_BS: {{cols: 4, rows: 4, data: {data}}}\n')


@pytest.fixture
def drive(tmp_path):
    write_camera(tmp_path / 'mav0/cam0')
    write_truth(tmp_path / 'mav0/state_groundtruth_estimate0', np.eye(4))
    return tmp_path


def expected(body_from_sensor=np.eye(4), body_from_camera=BODY_FROM_CAMERA):
    """Poses of the camera half way between two of the ground truth."""
    sensor_from_camera = np.linalg.inv(body_from_sensor) @ body_from_camera
    poses = np.array([body @ body_from_sensor @ sensor_from_camera for body in BODIES])
    path = Trajectory(np.arange(len(poses)) * STEP, poses)
    return [path.at(i * STEP + STEP // 2) for i in range(4)]


def assert_poses(path, wanted):
    found = list(open_source(path).posed_frames())
    np.testing.assert_allclose([one.world_from_camera for one in found], wanted, atol=1e-9)
    return found


def test_a_drive(drive):
    found = assert_poses(drive, expected())
    source = open_source(drive)
    assert source.kind == 'EuRoC folder' and source.has_stamps
    assert [one.frame.stamp_ns for one in found] == [START + i * STEP for i in range(4)]
    camera = found[0].frame.camera
    np.testing.assert_allclose(camera.matrix, [[45.8, 0, 32.1], [0, 45.7, 24.8], [0, 0, 1]])
    assert camera.model == 'plumb_bob' and camera.distortion[0] == -0.28340811
    assert not source.assumptions


@pytest.mark.parametrize('part', ['mav0', 'mav0/cam0'])
def test_parts_of_the_path(drive, part):
    assert_poses(drive / part, expected())


def test_a_camera_by_its_name(drive):
    other = pose(0, 0.11, 0, 0, 0.2, 0)
    write_camera(drive / 'mav0/cam1', other)
    assert open_source(drive).unread[0] == (
        f'cam1 beside {drive / "mav0/cam0"}: name {drive / "mav0/cam1"} to read it'
    )
    assert_poses(drive / 'mav0/cam1', expected(body_from_camera=other))


def test_vicon_is_of_its_own_sensor(tmp_path):
    write_camera(tmp_path / 'mav0/cam0')
    write_truth(tmp_path / 'mav0/vicon0', BODY_FROM_MARKER)
    assert_poses(tmp_path, expected(BODY_FROM_MARKER))


def test_the_best_ground_truth_is_taken(drive):
    write_truth(drive / 'mav0/vicon0', BODY_FROM_MARKER, offset=10**12)
    assert_poses(drive, expected())


def test_a_ground_truth_without_a_header(tmp_path):
    write_camera(tmp_path / 'mav0/cam0')
    write_truth(tmp_path / 'mav0/mocap0', header='')
    assert_poses(tmp_path, expected())
    assert 'are those of the body' in open_source(tmp_path).assumptions[0]


def test_images_before_the_ground_truth_have_no_pose(tmp_path):
    write_camera(tmp_path / 'mav0/cam0')
    write_truth(tmp_path / 'mav0/state_groundtruth_estimate0', np.eye(4), offset=STEP // 2)
    source = open_source(tmp_path)
    assert len(list(source.posed_frames())) == 3
    assert source.skipped == {'a stamp outside of the trajectory': 1}


def test_a_gap_in_the_ground_truth(drive):
    file = drive / 'mav0/state_groundtruth_estimate0/data.csv'
    lines = file.read_text().splitlines()
    file.write_text('\n'.join(lines[:3] + lines[4:]) + '\n')
    source = open_source(drive, max_gap_ns=STEP)
    assert len(list(source.posed_frames())) == 2
    assert len(list(open_source(drive).posed_frames())) == 4


def test_positions_alone_are_no_poses(tmp_path):
    write_camera(tmp_path / 'mav0/cam0')
    (tmp_path / 'mav0/leica0').mkdir()
    (tmp_path / 'mav0/leica0/data.csv').write_text(f'#timestamp [ns],p_RS_R_x [m]\n{START},1\n')
    with pytest.raises(SourceError, match=r'4 with a position of leica0, but no rotation'):
        list(open_source(tmp_path).posed_frames())
    assert len(list(open_source(tmp_path).frames())) == 4


def test_poses_from_elsewhere(tmp_path):
    write_camera(tmp_path / 'mav0/cam0')
    write_tum(tmp_path / 'a.tum', [START + i * STEP for i in range(4)], BODIES[:4])
    found = list(open_source(tmp_path, poses=str(tmp_path / 'a.tum')).posed_frames())
    np.testing.assert_allclose(found[1].world_from_camera, BODIES[1], atol=1e-8)


def test_a_calibration_of_the_user(drive):
    (drive / 'mav0/cam0/sensor.yaml').write_text(
        f'T_BS: {BODY_FROM_CAMERA.reshape(-1).tolist()}\n'
    )
    found = list(open_source(drive, focal=50.0).posed_frames())
    assert found[0].frame.camera.matrix[0, 0] == 50
    np.testing.assert_allclose(found[0].world_from_camera, expected()[0], atol=1e-9)


def test_images_that_are_not_there_or_not_listed(drive):
    images = drive / 'mav0/cam0/data'
    (images / f'{START}.png').rename(images / 'other.png')
    source = open_source(drive)
    assert len(list(source.posed_frames())) == 3
    assert source.skipped == {'an image file that is missing': 1}
    assert source.unread[0] == f'1 images of {images} that data.csv does not list: other.png'


@pytest.mark.parametrize(
    ('file', 'text', 'message'),
    [
        ('cam0/data.csv', '#timestamp [ns],filename\n', r'lists no images, expected lines of a'),
        ('cam0/data.csv', '1403636579763555584\n', r'line 1: .* lists no image, expected a stamp'),
        ('cam0/data.csv', 'noon,a.png\n', r'line 1: .* lists no image'),
        ('cam0/sensor.yaml', 'T_BS: [1, 2]\n', r'sensor\.yaml'),
        ('cam0/sensor.yaml', '{', r'sensor\.yaml is not'),
        ('state_groundtruth_estimate0/sensor.yaml', 'T_BS: [1, 2]\n', r'T_BS is 2 numbers inst'),
        ('state_groundtruth_estimate0/sensor.yaml', 'T_BS: {rows: 4}\n', r'T_BS is 0 numbers'),
        ('state_groundtruth_estimate0/sensor.yaml', '{', r'sensor\.yaml is not YAML'),
        ('state_groundtruth_estimate0/data.csv', '#t\n', r'data\.csv holds no poses'),
        ('state_groundtruth_estimate0/data.csv', '5,1,2\n7,1,2\n', r'line 1: .* is not a pose'),
    ],
)
def test_a_broken_file_is_one_line(drive, file, text, message):
    (drive / 'mav0' / file).write_text(text)
    with pytest.raises(DsacError, match=message) as error:
        open_source(drive)
    assert len(str(error.value).splitlines()) == 1


def test_a_camera_without_extrinsics_is_refused(drive):
    file = drive / 'mav0/cam0/sensor.yaml'
    file.write_text(file.read_text().replace('T_BS', 'T_SB'))
    with pytest.raises(SourceError, match=r'has no T_BS, expected 4x4 numbers, body from camera'):
        open_source(drive)


def test_a_scaled_extrinsic_is_refused(drive):
    file = drive / 'mav0/cam0/sensor.yaml'
    t_bs = BODY_FROM_CAMERA @ np.diag([2.0, 1, 1, 1])
    file.write_text(SENSOR.format(name='cam0', t_bs=[float(x) for x in t_bs.reshape(-1)]))
    with pytest.raises(SourceError, match=r'T_BS is a pose that is no rigid motion'):
        open_source(drive)


def test_a_camera_without_a_calibration_is_refused(drive):
    (drive / 'mav0/cam0/sensor.yaml').unlink()
    with pytest.raises(SourceError, match=r'has no calibration, expected sensor\.yaml in it'):
        open_source(drive)


def test_another_projection_is_refused(drive):
    file = drive / 'mav0/cam0/sensor.yaml'
    file.write_text(file.read_text().replace('pinhole', 'omni'))
    with pytest.raises(CameraError, match=r"camera_model is 'omni', expected pinhole"):
        open_source(drive)
