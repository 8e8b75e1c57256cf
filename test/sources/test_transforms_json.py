# SPDX-License-Identifier: Apache-2.0
"""A transforms.json as nerfstudio, instant-ngp, Blender and phone apps write it."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.cli.main import main
from dsac_ros.config import PoseConvention
from dsac_ros.errors import CameraError, DsacError, SourceError
from dsac_ros.sources.open_source import open_source

# x right, y up, z back of the same camera
OPTICAL_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
POSES = {
    'images/frame_00002.png': pose(1, 2, 3, 0.1, -0.2, 0.3),
    'images/frame_00010.png': pose(0, 0, 1, 0, 3.0, 0),
}
SHARED = {'w': 64, 'h': 48, 'fl_x': 50.0, 'fl_y': 51.0, 'cx': 32.0, 'cy': 24.0}


def write(folder, shared, per_frame=None, poses=POSES, file='transforms.json', ending=True):
    """A folder as nerfstudio makes it, the frames not in the order of their names."""
    frames = []
    for name, world_from_camera in reversed(poses.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), 90, np.uint8))
        frames.append(
            {
                'file_path': f'./{name}' if ending else f'./{name}'.removesuffix('.png'),
                'transform_matrix': (world_from_camera @ OPTICAL_FROM_OPENGL).tolist(),
                **(per_frame or {}),
            }
        )
    (folder / file).write_text(json.dumps({**shared, 'frames': frames}))
    return folder


def changed(folder, **values):
    """The file with other values, None removing one; those of `frame` are of its first frame."""
    file = folder / 'transforms.json'
    document = json.loads(file.read_text())
    document['frames'][0].update(values.pop('frame', {}))
    document.update(values)
    file.write_text(json.dumps(document))
    return folder


def posed(path, **options):
    return list(open_source(path, **options).posed_frames())


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, {**SHARED, 'camera_model': 'OPENCV', 'aabb_scale': 16})


def test_poses_and_intrinsics_of_all_frames(folder):
    source = open_source(folder)
    found = list(source.posed_frames())
    assert source.kind == 'transforms.json' and not source.has_stamps
    assert [one.frame.name for one in found] == list(POSES)
    for one in found:
        np.testing.assert_allclose(one.world_from_camera, POSES[one.frame.name], atol=1e-12)
        camera = one.frame.camera
        # the centre of a 64x48 image is (32, 24) there and (31.5, 23.5) here
        np.testing.assert_allclose(camera.matrix, [[50, 0, 31.5], [0, 51, 23.5], [0, 0, 1]])
        assert camera.model == 'pinhole' and one.frame.mask is None
    assert 'axes of OpenGL' in source.assumptions[0]


def test_the_file_itself(folder):
    assert len(posed(folder / 'transforms.json')) == 2
    (folder / 'transforms.json').rename(folder / 'half.JSON')
    assert len(posed(folder / 'half.JSON')) == 2


@pytest.mark.parametrize(
    ('model', 'values', 'ours', 'distortion'),
    [
        ('SIMPLE_PINHOLE', {}, 'pinhole', ()),
        ('SIMPLE_RADIAL', {'k1': 0.1}, 'plumb_bob', (0.1, 0, 0, 0, 0)),
        (
            'OPENCV',
            {'k1': 0.1, 'k2': 0.02, 'p1': 1e-3, 'p2': 2e-3, 'k3': 0.03, 'k4': 0},
            'plumb_bob',
            (0.1, 0.02, 1e-3, 2e-3, 0.03),
        ),
        (
            'FULL_OPENCV',
            dict(k1=0.1, k2=0.2, p1=1e-3, p2=2e-3, k3=0.3, k4=0.4, k5=0.5, k6=0.6),
            'rational_polynomial',
            (0.1, 0.2, 1e-3, 2e-3, 0.3, 0.4, 0.5, 0.6),
        ),
        (
            'OPENCV_FISHEYE',
            {'k1': 0.1, 'k2': 0.2, 'k3': 0.3, 'k4': 0.4},
            'equidistant',
            (0.1, 0.2, 0.3, 0.4),
        ),
        ('OPENCV_FISHEYE', {}, 'equidistant', (0, 0, 0, 0)),
        (None, {'is_fisheye': True, 'k1': 0.1}, 'equidistant', (0.1, 0, 0, 0)),
        (None, {'is_fisheye': False}, 'pinhole', ()),
    ],
)
@pytest.mark.parametrize('per_frame', [False, True])
def test_a_lens(tmp_path, model, values, ours, distortion, per_frame):
    values = {**SHARED, **values, **({'camera_model': model} if model else {})}
    write(tmp_path, *(({}, values) if per_frame else (values,)))
    camera = posed(tmp_path)[0].frame.camera
    assert (camera.model, camera.distortion) == (ours, distortion)
    np.testing.assert_allclose(camera.matrix, [[50, 0, 31.5], [0, 51, 23.5], [0, 0, 1]])


def test_intrinsics_of_a_frame_stand_above_shared(folder):
    changed(folder, frame={'fl_x': 70.0, 'cy': 25.0})  # the last one by its name
    first, last = (one.frame.camera.matrix for one in posed(folder))
    np.testing.assert_allclose(first[:2], [[50, 0, 31.5], [0, 51, 23.5]])
    np.testing.assert_allclose(last[:2], [[70, 0, 31.5], [0, 51, 24.5]])


def test_blender_gives_an_angle_and_no_endings(tmp_path):
    write(tmp_path, {'camera_angle_x': 1.0}, ending=False, file='transforms_train.json')
    (tmp_path / 'transforms_test.json').write_text('{}')
    source = open_source(tmp_path)
    camera = next(iter(source.posed_frames())).frame.camera
    focal = 32 / math.tan(0.5)
    np.testing.assert_allclose(camera.matrix, [[focal, 0, 31.5], [0, focal, 23.5], [0, 0, 1]])
    assert source.unread == [
        f'transforms_test.json beside {tmp_path / "transforms_train.json"}: name that file to '
        'read it instead'
    ]


def test_two_angles_are_two_focal_lengths(tmp_path):
    write(tmp_path, {'camera_angle_x': 1.0, 'camera_angle_y': 0.7, 'w': 64, 'h': 48})
    matrix = posed(tmp_path)[0].frame.camera.matrix
    np.testing.assert_allclose(matrix.diagonal()[:2], [32 / math.tan(0.5), 24 / math.tan(0.35)])


def test_intrinsics_are_scaled_to_smaller_images(folder):
    for name in POSES:
        cv2.imwrite(str(folder / name), np.zeros((24, 32, 3), np.uint8))
    matrix = posed(folder)[0].frame.camera.matrix
    np.testing.assert_allclose(matrix, [[25, 0, 15.5], [0, 25.5, 11.5], [0, 0, 1]])


def test_a_given_calibration_overrides_the_file(folder):
    changed(folder, camera_model='EQUIRECTANGULAR')
    assert posed(folder, focal=70.0)[0].frame.camera.matrix[0, 0] == 70


def test_the_applied_transform_is_undone(tmp_path):
    # nerfstudio swaps y and z of COLMAP's world and negates one, and may scale it
    applied = np.array([[1.0, 0, 0, 0.5], [0, 0, 1, 0], [0, -1, 0, 0]])
    file_from_world = np.vstack([applied, [0, 0, 0, 1]])
    scale = 0.25
    moved = {}
    for name, world_from_camera in POSES.items():
        moved[name] = file_from_world @ world_from_camera
        moved[name][:3, 3] *= scale
    write(
        tmp_path,
        {**SHARED, 'applied_transform': applied.tolist(), 'applied_scale': scale},
        poses=moved,
    )
    source = open_source(tmp_path)
    for one in source.posed_frames():
        np.testing.assert_allclose(one.world_from_camera, POSES[one.frame.name], atol=1e-12)
    assert any('are undone' in line for line in source.assumptions)


def test_masks_show_the_scene_where_they_are_white(folder):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:, 5:] = 255
    cv2.imwrite(str(folder / 'mask.png'), mask)
    changed(folder, frame={'mask_path': 'mask.png'})
    first, last = (one.frame for one in posed(folder))
    assert first.mask is None
    np.testing.assert_array_equal(last.mask, mask > 0)


def test_a_missing_mask_is_counted(folder):
    source = open_source(changed(folder, frame={'mask_path': '/dev/zero'}))
    assert [one.frame.mask for one in source.posed_frames()] == [None, None]
    assert source.missing == {'a mask that is missing or cannot be decoded': 1}


def test_a_mask_of_another_shape_is_refused(folder):
    cv2.imwrite(str(folder / 'mask.png'), np.zeros((48, 48), np.uint8))
    with pytest.raises(SourceError, match=r'the mask is 48x48 but its image is 64x48'):
        posed(changed(folder, frame={'mask_path': 'mask.png'}))


@pytest.mark.parametrize(
    ('keys', 'option', 'metres'),
    [
        ({}, None, 1.5),
        ({'depth_unit_scale_factor': 0.002}, None, 3.0),
        ({'integer_depth_scale': 0.0005}, None, 0.75),
        ({'integer_depth_scale': 0.0005}, 0.01, 15.0),
    ],
)
@pytest.mark.parametrize('suffix', ['.png', '.npy'])
def test_depth(folder, keys, option, metres, suffix):
    raw = np.full((24, 32), 1500, np.uint16)
    raw[3, 4] = 0
    if suffix == '.png':
        cv2.imwrite(str(folder / 'd.png'), raw)
    else:
        np.save(folder / 'd.npy', raw)
    key = 'depth_path' if 'integer_depth_scale' in keys else 'depth_file_path'
    source = open_source(changed(folder, frame={key: f'd{suffix}'}, **keys), depth_unit_m=option)
    first, last = (one.frame for one in source.posed_frames())
    assert first.depth is None and last.depth.shape == (48, 64)
    np.testing.assert_allclose(np.unique(last.depth), [0, metres], rtol=1e-6)
    assert source.missing == {'depth that is missing or cannot be decoded': 1}
    told = any('--depth-unit says otherwise' in line for line in source.assumptions)
    assert told == (not keys and option is None)


def test_depth_that_lies_about_its_size(folder):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (900000, 900000), }"
    data = b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header.encode()
    (folder / 'd.npy').write_bytes(data)
    source = open_source(changed(folder, frame={'depth_file_path': 'd.npy'}))
    assert [one.frame.depth for one in source.posed_frames()] == [None, None]


def test_no_depth_on_request(folder):
    cv2.imwrite(str(folder / 'd.png'), np.full((48, 64), 1500, np.uint16))
    changed(folder, frame={'depth_file_path': 'd.png'})
    source = open_source(folder, depth='off')
    assert not any(one.frame.depth is not None for one in source.posed_frames())
    assert not source.missing


def test_paths_of_another_machine(folder):
    changed(folder, frame={'file_path': 'C:\\scan\\images\\FRAME_00010.png'})
    source = open_source(folder)
    assert len(list(source.posed_frames())) == 2
    assert '1 listed images are files of another spelling' in source.assumptions[0]


def test_absolute_paths(folder):
    changed(folder, frame={'file_path': str(folder / 'images/frame_00010.png')})
    assert [one.frame.name for one in posed(folder)] == list(POSES)


def test_images_that_are_missing_are_counted(folder):
    (folder / 'images/frame_00010.png').unlink()
    source = open_source(folder)
    assert len(list(source.posed_frames())) == 1
    assert source.skipped == {'an image file that is missing': 1}


def test_images_that_the_file_does_not_list(folder):
    cv2.imwrite(str(folder / 'images/spare.png'), np.zeros((48, 64), np.uint8))
    assert open_source(folder).unread == [
        f'1 images of {folder / "images"} that transforms.json does not list: spare.png'
    ]


def test_splits_are_told(folder):
    changed(folder, train_filenames=['images/frame_00002.png'], test_filenames=[])
    assert 'train_filenames of' in open_source(folder).unread[0]


@pytest.mark.parametrize(
    ('matrix', 'reason'),
    [
        (None, 'no transform_matrix'),
        ([[1, 0], [0, 1]], 'a pose of shape (2, 2) instead of (4, 4)'),
        ([[1, 0], [0]], 'a pose of shape (0,) instead of (4, 4)'),
        ('eye', 'a pose of shape (0,) instead of (4, 4)'),
        ((np.eye(4) * 2).tolist(), 'a pose that is no rigid motion'),
        (np.full((4, 4), np.nan).tolist(), 'a pose with NaN or infinity'),
        (np.diag([1.0, 1, -1, 1]).tolist(), 'a mirrored pose'),
    ],
)
def test_a_pose_that_is_none_leaves_its_frame_out(folder, matrix, reason):
    source = open_source(changed(folder, frame={'transform_matrix': matrix}))
    assert len(list(source.posed_frames())) == 1
    assert source.skipped == {reason: 1}


def test_poses_with_the_axes_of_opencv_are_turned_back(tmp_path):
    write(tmp_path, SHARED, poses={n: p @ OPTICAL_FROM_OPENGL for n, p in POSES.items()})
    for one in posed(tmp_path, convention=PoseConvention(axes='opengl')):
        np.testing.assert_allclose(one.world_from_camera, POSES[one.frame.name], atol=1e-12)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'frames': []}, r'transforms\.json has no frames, expected "frames"'),
        ({'frames': {'a': 1}}, r'is no transforms\.json of nerfstudio or instant-ngp'),
        ({'frames': [{'transform_matrix': []}]}, r'frame 0: .* has no file_path of an image'),
        ({'frames': [3]}, r'frame 0: \'3\' has no file_path'),
        ({'frames': [{'file_path': 'a\0b'}]}, r'has no file_path'),
        ({'frames': [{'file_path': '\ud800'}]}, r'has no file_path'),
        ({'applied_transform': [[1, 2]]}, r'applied_transform is a pose of shape \(1, 2\)'),
        ({'applied_transform': (2 * np.eye(4)).tolist()}, r'is a pose that is no rigid motion'),
        ({'applied_scale': 0}, r"applied_scale is '0', expected a number greater than 0"),
        ({'frame': {'mask_path': 3}}, r"mask_path is '3', expected the path of a file"),
        (
            {'frame': {'depth_file_path': 'a'}, 'integer_depth_scale': 'mm'},
            r'integer_depth_scale is .*, expected a number greater than 0',
        ),
    ],
)
def test_a_broken_file_is_one_line(folder, values, message):
    with pytest.raises(SourceError, match=message) as error:
        open_source(changed(folder, **values))
    assert len(str(error.value).splitlines()) == 1 and str(folder) in str(error.value)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'fl_x': None, 'fl_y': None}, r'there is no focal length, expected fl_x or camera_angle'),
        ({'fl_x': '50'}, r"fl_x is '50', expected a number"),
        ({'fl_x': -50.0}, r'transforms\.json: .*'),
        ({'cx': float('nan')}, r'cx is nan, expected a finite number'),
        ({'w': -64}, r'w and h are -64 and 48, expected the size of the images'),
        ({'k4': 0.1}, r'k4 is 0\.1, a term of r\^8 that OPENCV does not have'),
        ({'camera_model': 'EQUIRECTANGULAR'}, r"unknown camera_model 'EQUIRECTANGULAR', expected"),
        ({'camera_angle_x': 4.0, 'fl_x': None}, r'camera_angle_x is 4, expected radians'),
        (
            {'frame': {'fl_x': 'wide'}},
            r"transforms\.json, 'images/frame_00010\.png': fl_x is 'wide'",
        ),
    ],
)
def test_a_broken_camera_is_one_line(folder, values, message):
    with pytest.raises(CameraError, match=message) as error:
        open_source(changed(folder, **values))
    assert len(str(error.value).splitlines()) == 1 and str(folder) in str(error.value)


def test_images_of_another_size_are_refused(folder):
    for name in POSES:
        cv2.imwrite(str(folder / name), np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(CameraError, match=r'image is 48x64 but its calibration is for 64x48'):
        posed(folder)


@pytest.mark.parametrize('text', ['', '{', '[' * 100_000, '{"frames": 1' + '0' * 5000 + '}', '3'])
def test_text_that_is_no_such_file(tmp_path, text):
    (tmp_path / 'transforms.json').write_text(text)
    with pytest.raises(DsacError, match=r'transforms\.json is no') as error:
        open_source(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_a_model_beside_the_file_goes_first(folder):
    (folder / 'cameras.txt').write_text('1 PINHOLE 64 48 50 51 32 24\n')
    (folder / 'images.txt').write_text('1 1 0 0 0 0 0 0 1 frame_00002.png\n\n')
    assert open_source(folder).kind == 'COLMAP model'
    assert open_source(folder / 'transforms.json').kind == 'transforms.json'


def test_other_sources_still_refuse_a_depth_unit(folder):
    (folder / 'transforms.json').unlink()
    with pytest.raises(SourceError, match=r'--depth-unit is for'):
        open_source(folder / 'images', focal=50.0, depth_unit_m=0.001)


def test_convert_reads_it(folder, tmp_path, capsys):
    assert main(['convert', str(folder), str(tmp_path / 'out')]) == 0
    found = posed(tmp_path / 'out')
    for one, expected in zip(found, POSES.values(), strict=True):
        np.testing.assert_allclose(one.world_from_camera, expected, atol=1e-9)
        np.testing.assert_allclose(one.frame.camera.matrix[0], [50, 0, 31.5])
