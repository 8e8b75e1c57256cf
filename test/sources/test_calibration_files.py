# SPDX-License-Identifier: Apache-2.0
"""Calibrations as tools write them: ROS, OpenCV, Kalibr, VINS, ORB-SLAM, `ros2 topic echo`."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dsac_ros.errors import CameraError
from dsac_ros.sources.calibration_files import (
    calibration_from_focal,
    find_calibration,
    named_calibration,
    read_calibration,
)

K = [[480.0, 0, 319.5], [0, 481.0, 239.5], [0, 0, 1]]
D = (-0.3, 0.1, 1e-3, -1e-3, 0.01)
FISHEYE = (0.1, -0.05, 0.02, -0.004)
SIZE = (640, 480)
FLAT = [value for row in K for value in row]
P = [470.0, 0, 320, 0, 0, 470, 240, 0, 0, 0, 1, 0]

ROS = {
    'image_width': 640,
    'image_height': 480,
    'camera_name': 'narrow_stereo',
    'camera_matrix': {'rows': 3, 'cols': 3, 'data': FLAT},
    'distortion_model': 'plumb_bob',
    'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': list(D)},
    'projection_matrix': {'rows': 3, 'cols': 4, 'data': P},
}
KALIBR = {
    'camera_model': 'pinhole',
    'intrinsics': [480.0, 481.0, 319.5, 239.5],
    'distortion_model': 'radtan',
    'distortion_coeffs': list(D[:4]),
    'resolution': [640, 480],
    'rostopic': '/left/image_raw',
}
EUROC = {
    'sensor_type': 'camera',
    'T_BS': {'rows': 4, 'cols': 4, 'data': [0.0] * 16},
    'rate_hz': 20,
    'resolution': [640, 480],
    'camera_model': 'pinhole',
    'intrinsics': [480.0, 481.0, 319.5, 239.5],
    'distortion_model': 'radial-tangential',
    'distortion_coefficients': list(D[:4]),
}
VINS = {
    'model_type': 'PINHOLE',
    'camera_name': 'c',
    'image_width': 640,
    'image_height': 480,
    'distortion_parameters': dict(zip(('k1', 'k2', 'p1', 'p2'), D)),
    'projection_parameters': dict(zip(('fx', 'fy', 'cx', 'cy'), KALIBR['intrinsics'])),
}
KANNALA = {
    'model_type': 'KANNALA_BRANDT',
    'image_width': 640,
    'image_height': 480,
    'projection_parameters': {
        **dict(zip(('k2', 'k3', 'k4', 'k5'), FISHEYE)),
        'mu': 480.0,
        'mv': 481.0,
        'u0': 319.5,
        'v0': 239.5,
    },
}
ORB = {
    'Camera.type': 'PinHole',
    'Camera.width': 640,
    'Camera.height': 480,
    'Camera.fps': 30,
    **dict(zip(('Camera.fx', 'Camera.fy', 'Camera.cx', 'Camera.cy'), KALIBR['intrinsics'])),
    **dict(zip(('Camera.k1', 'Camera.k2', 'Camera.p1', 'Camera.p2', 'Camera.k3'), D)),
}
ECHO = {
    'header': {'stamp': {'sec': 1, 'nanosec': 2}, 'frame_id': 'optical'},
    'height': 480,
    'width': 640,
    'distortion_model': 'plumb_bob',
    'd': list(D),
    'k': FLAT,
    'r': [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
    'p': P,
    'binning_x': 0,
    'binning_y': 0,
    'roi': {'x_offset': 0, 'y_offset': 0, 'height': 0, 'width': 0, 'do_rectify': False},
}
ECHO_1 = {
    **{k: v for k, v in ECHO.items() if k not in 'dkrp'},
    **{name.upper(): ECHO[name] for name in 'dkrp'},
}


def dumped(values, flow=False):
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=flow)


def opencv(suffix, **values):
    """Text as cv::FileStorage writes it."""
    storage = cv2.FileStorage(f'memory.{suffix}', cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    for name, value in values.items():
        storage.write(name, value)
    return storage.releaseAndGetString()


OPENCV = {
    'calibration_time': 'Mon 30 Nov',
    'image_width': 640,
    'image_height': 480,
    'flags': 0,
    'camera_matrix': np.array(K),
    'distortion_coefficients': np.array(D)[:, None],
}
OST = f"""# oST version 5.0 parameters
[image]
width
640
height
480
[narrow_stereo]
camera matrix
{' '.join(map(str, K[0]))}
{' '.join(map(str, K[1]))}
{' '.join(map(str, K[2]))}
distortion
{' '.join(map(str, D))}
rectification
1 0 0
0 1 0
0 0 1
projection
{' '.join(map(str, P))}
"""


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    'name, text, lens',
    [
        ('a.yaml', dumped(ROS), D),
        ('a.json', json.dumps(ROS), D),
        ('a.yml', opencv('yml', **OPENCV), D),
        ('a.xml', opencv('xml', **OPENCV), D),
        ('a.json', opencv('json', **OPENCV), D),
        ('a.yaml', dumped({'cam0': KALIBR}), D[:4]),
        ('a.yaml', dumped(EUROC), D[:4]),
        ('a.yaml', '%YAML:1.0\n---\n' + dumped(VINS), D[:4]),
        ('a.yaml', '%YAML:1.0\n---\n' + dumped(KANNALA), FISHEYE),
        ('a.yaml', '%YAML:1.0\n\n#-----\n' + dumped(ORB), D),
        ('a.yaml', dumped(ECHO) + '---\n', D),
        ('a.yaml', dumped(ECHO_1) + '---\n', D),
        ('a.yaml', dumped(ECHO, flow=True), D),
        ('a.txt', OST, D),
        ('a.ini', OST, D),
    ],
)
def test_layouts_of_calibration_tools(tmp_path, name, text, lens):
    camera = read_calibration(write(tmp_path / name, text))(SIZE)
    np.testing.assert_allclose(camera.matrix, K)
    assert (camera.size_wh, camera.distortion) == (SIZE, pytest.approx(lens))
    assert camera.model == ('equidistant' if lens == FISHEYE else 'plumb_bob')


def test_kalibr_equidistant_and_opencv_fisheye(tmp_path):
    equi = {**KALIBR, 'distortion_model': 'equidistant', 'distortion_coeffs': [0.0] * 4}
    camera = read_calibration(write(tmp_path / 'a.yaml', dumped({'cam0': equi})))(SIZE)
    assert (camera.model, camera.distortion) == ('equidistant', (0, 0, 0, 0))
    text = opencv(
        'yml',
        **{**OPENCV, 'fisheye_model': 1, 'distortion_coefficients': np.array(FISHEYE)[:, None]},
    )
    camera = read_calibration(write(tmp_path / 'b.yml', text))(SIZE)
    assert (camera.model, camera.distortion) == ('equidistant', FISHEYE)


def test_a_camera_of_a_stereo_pair_is_named(tmp_path):
    names = {'M1': 300.0, 'M2': 310.0}
    (tmp_path / 'a.yml').write_text(
        yaml.safe_dump(
            {
                name: [focal, 0.0, 159.5, 0.0, focal, 119.5, 0.0, 0.0, 1.0]
                for name, focal in names.items()
            }
            | {'D2': [-0.1, 0.0, 0.0, 0.0]}
        )
    )
    with pytest.raises(CameraError, match='holds the cameras M1, M2'):
        read_calibration(tmp_path / 'a.yml')
    for name, focal in names.items():
        camera = read_calibration(tmp_path / 'a.yml', name=name)((320, 240))
        assert camera.matrix[0, 0] == focal
        assert any(camera.distortion) == (name == 'M2')


def test_a_camera_of_several_is_named(tmp_path):
    right = {**KALIBR, 'rostopic': '/right/image_raw', 'intrinsics': [500.0, 500, 319.5, 239.5]}
    path = write(tmp_path / 'chain.yaml', dumped({'cam0': KALIBR, 'cam1': right}))
    with pytest.raises(
        CameraError,
        match=r'holds the cameras cam0 \(/left/image_raw\), cam1 .*'
        r'--camera-info .*chain\.yaml:cam0',
    ):
        read_calibration(path)
    with pytest.raises(CameraError, match="has no camera 'cam2', its cameras are: cam0"):
        read_calibration(path, name='cam2')
    assert named_calibration(f'{path}:cam1') == (path, 'cam1')
    assert named_calibration(str(path)) == (path, '')
    assert named_calibration('/camera/camera_info') is named_calibration('no.yaml:cam1') is None
    assert read_calibration(path, name='cam1')(SIZE).matrix[0, 0] == 500
    topic = '/right/image_raw/compressed'
    assert read_calibration(path, topic=topic)(SIZE).matrix[0, 0] == 500


@pytest.mark.parametrize(
    'values, message',
    [
        (
            {'cam0': {**KALIBR, 'camera_model': 'omni', 'intrinsics': [1.0, 480, 481, 320, 240]}},
            "camera_model is 'omni', expected pinhole",
        ),
        (
            {'cam0': {**KALIBR, 'distortion_model': 'fov', 'distortion_coeffs': [0.9]}},
            "model 'fov'",
        ),
        ({**VINS, 'model_type': 'MEI'}, "model_type is 'MEI'"),
        ({**ROS, 'distortion_model': 'brown_conrady'}, "model 'brown_conrady'"),
        ({**ROS, 'camera_matrix': FLAT[:6]}, '6 values, expected 9'),
        ({**ROS, 'camera_matrix': {'data': ['x']}}, 'is not a camera calibration'),
        ({**ROS, 'image_width': 'wide'}, 'is not a camera calibration'),
        ({'image_width': 640}, 'is not a camera calibration .*image_width.* expected image_width'),
        ({**ECHO, 'k': [0.0] * 9, 'p': [0.0] * 12}, 'K is zero'),
        ([1, 2], 'holds no keys'),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, values, message):
    path = write(tmp_path / 'a.yaml', dumped(values))
    with pytest.raises(CameraError, match=message) as caught:
        read_calibration(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_an_echo_of_several_messages(tmp_path):
    later = {**ECHO, 'header': {'stamp': {'sec': 9, 'nanosec': 2}, 'frame_id': 'optical'}}
    text = f'{dumped(ECHO)}---\n{dumped(later)}---\n'
    assert read_calibration(write(tmp_path / 'a.yaml', text))(SIZE).assumptions == ()
    cut = text + 'header:\n  stamp:\n    sec: [1\n'
    told = read_calibration(write(tmp_path / 'b.yaml', cut))(SIZE).assumptions
    assert len(told) == 1 and '1 documents of ' in told[0]
    zoomed = f'{dumped(ECHO)}---\n{dumped({**ECHO, "k": [500.0, *FLAT[1:]]})}---\n'
    with pytest.raises(CameraError, match='holds 2 calibrations that differ'):
        read_calibration(write(tmp_path / 'c.yaml', zoomed))


def test_an_echo_without_a_size_and_with_binning(tmp_path):
    path = write(tmp_path / 'a.yaml', dumped({**ECHO, 'width': 0, 'height': 0}))
    assert read_calibration(path)(SIZE).size_wh == SIZE
    full = {**ECHO, 'width': 1280, 'height': 960, 'binning_x': 2, 'binning_y': 2}
    camera = read_calibration(write(tmp_path / 'b.yaml', dumped(full)))(SIZE)
    assert (camera.size_wh, camera.matrix[0, 0], len(camera.assumptions)) == (SIZE, 480, 1)


def test_rectified_images_take_the_projection(tmp_path):
    path = write(tmp_path / 'a.yaml', dumped(ROS))
    camera = read_calibration(path, topic='/camera/image_rect')(SIZE)
    assert (camera.matrix[0, 0], camera.model) == (470, 'pinhole')
    path = write(tmp_path / 'b.yaml', dumped({'cam0': KALIBR}))
    with pytest.raises(CameraError, match='has a distortion and no projection_matrix'):
        read_calibration(path, topic='/camera/image_rect')


@pytest.mark.parametrize('rows, cols', [(3, 3), (3, 4), (4, 4)])
def test_a_matrix_in_a_text_file(tmp_path, rows, cols):
    matrix = np.eye(4)
    matrix[:2, :3] = [[480, 0, 320], [0, 480, 240]]
    path = tmp_path / 'k.txt'
    np.savetxt(path, matrix[:rows, :cols])
    np.testing.assert_allclose(
        read_calibration(path)(SIZE).matrix, [[480, 0, 319.5], [0, 480, 239.5], [0, 0, 1]]
    )


def test_one_focal_length_is_for_one_size():
    camera_of = calibration_from_focal(500.0)
    assert camera_of(SIZE).matrix[0, 0] == camera_of((480, 640)).matrix[0, 0] == 500
    with pytest.raises(
        CameraError,
        match='a focal length of 500 px cannot hold for images of '
        '640x480 and of 320x240, expected one size: give',
    ):
        camera_of((320, 240))
    assert camera_of(SIZE).size_wh == SIZE


def test_one_matrix_is_for_one_size(tmp_path):
    path = write(tmp_path / 'k.txt', '480 0 320 0 480 240 0 0 1')
    camera_of = read_calibration(path)
    camera_of(SIZE)
    with pytest.raises(
        CameraError,
        match=r'k\.txt: a camera matrix without an image size cannot '
        'hold for images of 640x480 and of 480x640',
    ):
        camera_of((480, 640))


def test_a_matrix_of_another_size_is_refused(tmp_path):
    path = write(tmp_path / 'k.txt', '480 0 320 0 480 240 0 0 1')
    for size in ((1280, 960), (320, 240)):
        with pytest.raises(
            CameraError,
            match=r'principal point \(320, 240\), which is the middle '
            f'of about 640x480, but the images are {size[0]}x',
        ):
            read_calibration(path)(size)
    assert read_calibration(path, whole=False)((1280, 960)).matrix[0, 0] == 480


def test_a_calibration_beside_is_read_once(tmp_path):
    write(tmp_path / 'focal.txt', '500')
    read = []
    for stem in ('a', 'b'):
        find_calibration(tmp_path, stem, lambda path: read.append(path))
    assert read == [tmp_path / 'focal.txt'] * 2


TEXTS = [b'', dumped(ROS).encode(), OST.encode(), opencv('xml', **OPENCV).encode()]
DOCUMENTS = (ROS, {'cam0': KALIBR}, EUROC, VINS, KANNALA, ORB, ECHO, ECHO_1)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.floats(), max_size=5),
    st.just({}),
    st.just({'data': None}),
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(DOCUMENTS), st.data())
def test_whatever_a_document_holds_is_one_line(tmp_path_factory, document, data):
    values = json.loads(json.dumps(document))
    where = values.get('cam0', values)
    for key in data.draw(st.lists(st.sampled_from(sorted(where)), min_size=1, max_size=3)):
        where[key] = data.draw(JUNK)
    path = tmp_path_factory.mktemp('fuzz') / 'a.yaml'
    write(path, dumped(values))
    topic = data.draw(st.sampled_from(['', '/image_rect']))
    try:
        camera = read_calibration(path, topic=topic)(SIZE)
    except CameraError as error:
        assert '\n' not in str(error)
    else:
        assert np.isfinite(camera.matrix).all()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(['a.yaml', 'a.xml', 'a.txt', 'a.json']),
    st.binary(max_size=60),
    st.sampled_from(TEXTS),
    st.integers(0, 700),
)
def test_whatever_bytes_a_file_holds_are_one_line(tmp_path_factory, name, junk, text, cut):
    path = tmp_path_factory.mktemp('fuzz') / name
    path.write_bytes(text[:cut] + junk + text[cut + len(junk) :])
    try:
        read_calibration(path)(SIZE)
    except CameraError as error:
        assert '\n' not in str(error)
