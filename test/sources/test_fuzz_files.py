# SPDX-License-Identifier: Apache-2.0
"""Readers of files on damaged files: a result or one line of error, whatever the bytes.

DSAC_FUZZ_EXAMPLES=20000 tries as many at random for each reader, not the same few each time.
"""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_frames import posed_frames

from dsac_ros.errors import DsacError
from dsac_ros.sources.calibration_files import read_calibration
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.image_files import read_depth, read_image
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import read_pose_file
from dsac_ros.sources.trajectory_files import read_trajectory

EXAMPLES = os.environ.get('DSAC_FUZZ_EXAMPLES')
SEVERAL = settings(
    max_examples=int(EXAMPLES or 25),
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NASTY = [
    b'nan',
    b'inf',
    b'-1',
    b'1e999',
    b'1e-999',
    b'9' * 30,
    b'9' * 5000,
    b'1_0',
    b'\0',
    b'\xff',
    b'\xff\xfe',
    b'\xef\xbb\xbf',
    b'\r',
    b'\n',
    b' ',
    b',',
    b'"',
    b'[',
    b'{',
    b'&a',
    b'*a',
    b'!!',
    b'#',
    b'%',
    '\u0663'.encode(),
    '\xb2'.encode(),
    b'../',
    b'\xff' * 4,
    b'\xff' * 8,
    b'\x7f' * 8,
    struct.pack('<Q', 2**63),
    struct.pack('<d', np.nan),
    struct.pack('>I', 100_000),
]

CALIBRATION = b"""image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [70.0, 0.0, 30.0, 0.0, 71.0, 25.0, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.01, 0.0, 0.0, 0.0]}
"""
DATASET = (
    b'map_frame: hall\ncamera: {distortion_model: plumb_bob, distortion_coefficients: [0.1, 0]}\n'
)
MATRIX = b'500.0 0.0 32.0\n0.0 510.0 24.0\n0.0 0.0 1.0\n'
POSE = b'1.0 0.0 0.0 0.5\n0.0 1.0 0.0 -0.5\n0.0 0.0 1.0 2.0\n0.0 0.0 0.0 1.0\n'
TUM = (
    b'# timestamp tx ty tz qx qy qz qw\n1305031102.1758 1 2 3 0 0 0 1\n'
    b'1305031102.2758,1.5,2,3,0,0,0.1,0.9\n'
)
COLMAP = {
    'cameras.txt': b'# Number of cameras: 1\n1 PINHOLE 32 24 50 51 16 12\n',
    'images.txt': b'# Number of images: 2\n1 1 0 0 0 0 0 0 1 frame-000000.png\n\n'
    b'2 0.5 0.5 0.5 0.5 1 2 3 1 frame-000001.png\n1.5 2.5 -1 3 4 5\n',
    'cameras.bin': struct.pack('<QiiQQ4d', 1, 1, 1, 32, 24, 50, 51, 16, 12),
    'images.bin': struct.pack('<Qi7di', 1, 1, 1, 0, 0, 0, 0, 0, 0, 1)
    + b'frame-000000.png\0'
    + struct.pack('<Qddq', 1, 1.5, 2.5, -1),
}
LISTS = {
    'rgb.txt': b'# color\n1305031102.17 rgb/frame-000000.png\n'
    b'1305031102.27 rgb/frame-000001.png\n',
    'depth.txt': b'1305031102.18 depth/frame-000000.png\n',
    'groundtruth.txt': TUM,
}
TRANSFORMS = (
    b'{"fl_x": 50, "cx": 16.0, "cy": 12, "w": 32, "h": 24, "k1": 0.1, "camera_model": "OPENCV",\n'
    b'"applied_transform": [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]], "applied_scale": 0.5,\n'
    b'"frames": [{"file_path": "./rgb/frame-000000", "mask_path": "rgb/frame-000001.png",\n'
    b'"depth_file_path": "depth/frame-000000.png", "fl_y": 51,\n'
    b'"transform_matrix": [[1, 0, 0, 0.5], [0, 1, 0, 1], [0, 0, 1, 2], [0, 0, 0, 1]]}]}\n'
)
EUROC = {
    'cam0/data.csv': b'#timestamp [ns],filename\n1403636579763555584,frame-000000.png\n'
    b'1403636579813555584,frame-000001.png\n',
    'cam0/sensor.yaml': b'T_BS:\n  cols: 4\n  rows: 4\n'
    b'  data: [0, -1, 0, 0.1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]\nresolution: [32, 24]\n'
    b'camera_model: pinhole\nintrinsics: [50.0, 51, 16, 12]\n'
    b'distortion_model: radial-tangential\ndistortion_coefficients: [-0.1, 0.07, 0.001, 0]\n',
    'vicon0/data.csv': b'#timestamp [ns],p_RS_R_x [m],p_RS_R_y [m],p_RS_R_z [m],q_RS_w [],'
    b'q_RS_x [],q_RS_y [],q_RS_z []\n1403636579763555000,1,2,3,1,0,0,0\n'
    b'1403636579813556000,1.5,2,3,0.9,0,0,0.1\n',
    'vicon0/sensor.yaml': b'T_BS: {data: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}\n',
}
KAPTURE = {
    'sensors.txt': b'# kapture format: 1.1\ncam, , camera, PINHOLE, 32, 24, 50, 51, 16, 12\n',
    'records_camera.txt': b'0000, cam, frame-000000.png\n0001, cam, frame-000001.png\n',
    'trajectories.txt': b'0000, rig, 1, 0, 0, 0, 1, 2, 3\n0001, cam, 0.9, 0, 0, 0.1, 1, 2, 3\n',
    'rigs.txt': b'rig, cam, 1, 0, 0, 0, 0.1, 0, 0\n',
}
RECORD3D = (
    b'{"w": 32, "h": 24, "K": [50, 0, 0, 0, 51, 0, 16, 12, 1], "frameTimestamps": [0.25, 0.3],\n'
    b'"perFrameIntrinsicCoeffs": [[50, 51, 16, 12.5]],\n'
    b'"poses": [[0, 0, 0, 1, 0.5, 1, 2], [0, 0, 0.1, 0.9, 1, 2, 3]]}\n'
)
POLYCAM = (
    b'{"t_00": 1, "t_01": 0, "t_02": 0, "t_03": 0.5, "t_10": 0, "t_11": 1, "t_12": 0, "t_13": 1,\n'
    b'"t_20": 0, "t_21": 0, "t_22": 1, "t_23": 2, "fx": 50, "fy": 51.0, "cx": 16, "cy": 12,\n'
    b'"width": 32, "height": 24}\n'
)
IMAGE = posed_frames(1)[0].frame.image


@st.composite
def damaged(draw, valid):
    """Random bytes, or a valid file that is cut, overwritten or has parts put in."""
    if draw(st.integers(0, 7)) == 0:
        return draw(st.binary(max_size=200))
    data = valid
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        removed = draw(st.sampled_from([0, 1, 2, 4, 8, 40, len(data)]))
        part = draw(st.one_of(st.sampled_from(NASTY), st.binary(max_size=12)))
        data = data[:start] + part + data[start + removed :]
    return data


def tried(read):
    """The result of a reader, None where it ends in one line of error."""
    try:
        return read()
    except DsacError as error:
        assert len(str(error).splitlines()) == 1
        return None


def frames_of(path):
    return tried(lambda: len(list(open_source(path).posed_frames())))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder in the layout that each test damages in one file, and then restores."""
    path = tmp_path_factory.mktemp('scene')
    with FolderWriter(path) as writer:
        for posed in posed_frames(2, depth=True):
            writer.write(posed.frame, posed.world_from_camera)
    return path


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    return tmp_path_factory.mktemp('file')


@SEVERAL
@given(damaged(POSE))
def test_a_pose_file(file, data):
    (file / 'pose.txt').write_bytes(data)
    pose = read_pose_file(file / 'pose.txt')
    assert isinstance(pose, str) or (pose.shape == (4, 4) and np.isfinite(pose).all())


@pytest.mark.parametrize(
    ('name', 'valid'), [('k.txt', MATRIX), ('focal.txt', b'500.0\n'), ('k.yaml', CALIBRATION)]
)
@SEVERAL
@given(st.data())
def test_a_calibration_file(file, name, valid, data):
    (file / name).write_bytes(data.draw(damaged(valid)))
    tried(lambda: read_calibration(file / name)((64, 48)))


@SEVERAL
@given(damaged(TUM))
def test_a_trajectory_file(file, data):
    (file / 'a.tum').write_bytes(data)
    read = tried(lambda: read_trajectory(file / 'a.tum'))
    assert read is None or np.isfinite(read.trajectory.world_from_x).all()


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.tif', '.webp', '.ppm', '.pgm'])
@SEVERAL
@given(st.data())
def test_an_image_file(file, suffix, data):
    image = IMAGE if suffix != '.pgm' else IMAGE[..., 0]
    path = file / f'image{suffix}'
    path.write_bytes(data.draw(damaged(cv2.imencode(suffix, image)[1].tobytes())))
    read = tried(lambda: read_image(path))
    assert read is None or read.dtype == np.uint8


@SEVERAL
@given(damaged(cv2.imencode('.png', np.full((24, 32), 1500, np.uint16))[1].tobytes()))
def test_a_depth_file(file, data):
    (file / 'depth.png').write_bytes(data)
    read = tried(lambda: read_depth(file / 'depth.png', (32, 24)))
    assert read is None or read.shape == (24, 32)


@pytest.mark.parametrize(
    ('name', 'valid'),
    [
        ('stamps.txt', b'frame-000000 1700000000123456789\nframe-000001 1700000000223456789\n'),
        ('dataset.yaml', DATASET),
        ('poses/frame-000001.txt', POSE),
        ('calibration/frame-000001.txt', MATRIX),
    ],
)
@SEVERAL
@given(st.data())
def test_a_folder_in_the_layout(folder, name, valid, data):
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(data.draw(damaged(valid)))
    try:
        frames_of(folder)
    finally:
        (folder / name).write_bytes(before)


@pytest.mark.parametrize('name', COLMAP)
@SEVERAL
@given(st.data())
def test_a_colmap_model(folder, file, name, data):
    model = file / name.replace('.', '_')
    model.mkdir(exist_ok=True)
    for other, valid in COLMAP.items():
        if other.endswith(name[-4:]):
            (model / other).write_bytes(valid)
    (model / name).write_bytes(data.draw(damaged(COLMAP[name])))
    tried(lambda: len(list(open_source(model, images=folder / 'rgb').posed_frames())))


@SEVERAL
@given(damaged(TRANSFORMS))
def test_a_transforms_json(folder, data):
    (folder / 'transforms.json').write_bytes(data)
    try:
        frames_of(folder / 'transforms.json')
    finally:
        (folder / 'transforms.json').unlink()


@pytest.mark.parametrize('name', EUROC)
@SEVERAL
@given(st.data())
def test_a_euroc_folder(folder, file, name, data):
    path = file / 'mav0'
    for other, valid in EUROC.items():
        (path / other).parent.mkdir(parents=True, exist_ok=True)
        (path / other).write_bytes(valid if other != name else data.draw(damaged(valid)))
    if not (path / 'cam0/data').exists():
        (path / 'cam0/data').symlink_to(folder / 'rgb')
    frames_of(path)


@pytest.mark.parametrize('name', KAPTURE)
@SEVERAL
@given(st.data())
def test_a_kapture(folder, file, name, data):
    path = file / 'kapture' / 'sensors'
    path.mkdir(parents=True, exist_ok=True)
    for other, valid in KAPTURE.items():
        (path / other).write_bytes(valid if other != name else data.draw(damaged(valid)))
    if not (path / 'records_data').exists():
        (path / 'records_data').symlink_to(folder / 'rgb')
    frames_of(path)


@pytest.mark.parametrize(
    ('valid', 'images', 'name'),
    [
        (RECORD3D, 'record3d/rgbd', 'record3d/metadata'),
        (POLYCAM, 'polycam/images', 'polycam/cameras/1.json'),
    ],
)
@SEVERAL
@given(st.data())
def test_a_capture_of_a_phone(file, valid, images, name, data):
    for folder in (file / images, (file / name).parent):
        folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file / images / '1.jpg'), IMAGE)
    (file / name).write_bytes(data.draw(damaged(valid)))
    frames_of(file / name.split('/')[0])


@pytest.mark.parametrize('name', LISTS)
@SEVERAL
@given(st.data())
def test_an_rgbd_folder(folder, file, name, data):
    path = file / 'freiburg1'
    path.mkdir(exist_ok=True)
    for part in ('rgb', 'depth'):
        if not (path / part).exists():
            (path / part).symlink_to(folder / part)
    for other, valid in LISTS.items():
        (path / other).write_bytes(valid if other != name else data.draw(damaged(valid)))
    frames_of(path)


@pytest.mark.parametrize(
    ('name', 'valid'),
    [('TrainSplit.txt', b'sequence1\r\nsequence2\r\n'), ('seq-01/frame-000000.pose.txt', POSE)],
)
@SEVERAL
@given(st.data())
def test_seven_scenes(file, name, valid, data):
    for sequence in ('seq-01', 'seq-02'):
        (file / sequence).mkdir(exist_ok=True)
        cv2.imwrite(str(file / sequence / 'frame-000000.color.png'), IMAGE)
        (file / sequence / 'frame-000000.pose.txt').write_bytes(POSE)
    (file / name).write_bytes(data.draw(damaged(valid)))
    frames_of(file / name.split('/')[0])


BOMB = ''.join(f'a{i + 1}: &a{i + 1} [{", ".join([f"*a{i}"] * 10)}]\n' for i in range(9))


@pytest.mark.parametrize(
    'text',
    [
        f'a0: &a0 [1.0, 2.0]\n{BOMB}camera_matrix: *a9\n',
        'camera_matrix: &a [*a, *a]\n',
        f'a0: &a0 [1.0, 2.0]\n{BOMB}camera: *a9\ncamera_matrix: [1]\ndistortion_model: *a9\n',
    ],
)
def test_aliases_that_grow_without_end(folder, file, text):
    (file / 'bomb.yaml').write_text(text)
    with pytest.raises(DsacError, match=r'bomb\.yaml .* aliases make more than 100000 values'):
        read_calibration(file / 'bomb.yaml')((64, 48))
    before = (folder / 'dataset.yaml').read_bytes()
    (folder / 'dataset.yaml').write_text(text)
    with pytest.raises(DsacError, match=r'dataset\.yaml is not YAML: its aliases make more'):
        open_source(folder)
    (folder / 'dataset.yaml').write_bytes(before)


def test_a_calibration_with_a_mark_of_byte_order(file):
    for encoding in ('utf-8-sig', 'utf-16'):
        (file / 'k.txt').write_text('500', encoding=encoding)
        assert read_calibration(file / 'k.txt')((64, 48)).matrix[0, 0] == 500
