# SPDX-License-Identifier: Apache-2.0
"""The CameraInfo or calibration of the images of a bag, and what is said about it."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from source_frames import START_NS, posed_frames

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.open_source import open_source

COLOUR, DEPTH = 'colour_optical', 'depth_optical'
IMAGE = '/camera/color/image_raw'


def camera(focal, size_wh=(32, 24)):
    width, height = size_wh
    return camera_from_info(
        size_wh, (focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1)
    )


def bag(path, infos, image=IMAGE, frame=COLOUR, pixels=None):
    """A bag of one image; infos are topic: (frame_id, camera)."""
    with BagWriter(path) as out:
        for topic, (info_frame, calibrated) in infos.items():
            out.camera_info(topic, info_frame, START_NS, calibrated)
        out.image(
            image, frame, START_NS, np.zeros((24, 32), np.uint8) if pixels is None else pixels
        )
    return path


def read(path, **options):
    """The focal length of the first frame, and the assumptions."""
    source = open_source(path, **options)
    focal = next(source.frames()).camera.matrix[0, 0]
    return focal, source.assumptions


def test_the_info_of_another_camera_is_refused(tmp_path):
    path = bag(tmp_path / 'a', {'/camera/depth/camera_info': (DEPTH, camera(40))})
    with pytest.raises(
        SourceError,
        match=r'no camera_info /camera/color/camera_info, .*'
        r"/camera/depth/camera_info \(frame 'depth_optical'\).*"
        "images have the frame 'colour_optical': name one",
    ):
        open_source(path)
    focal, told = read(path, info_topic='/camera/depth/camera_info')
    assert focal == 40 and len(told) == 1
    assert f"frame_id is '{DEPTH}' and that of the images is '{COLOUR}'" in told[0]


def test_an_info_elsewhere_of_the_same_frame(tmp_path):
    infos = {'/left/camera_info': (COLOUR, camera(50)), '/right/info': (DEPTH, camera(40))}
    focal, told = read(bag(tmp_path / 'a', infos))
    assert focal == 50 and len(told) == 1
    assert f'/left/camera_info holds for {IMAGE}, since it alone has the frame_id' in told[0]
    infos['/right/info'] = (COLOUR, camera(40))
    with pytest.raises(SourceError, match='name one with --camera-info'):
        open_source(bag(tmp_path / 'b', infos))


@pytest.mark.parametrize('frame, info_frame', [('', DEPTH), (COLOUR, ''), ('', '')])
def test_the_only_info_where_no_frame_tells(tmp_path, frame, info_frame):
    focal, told = read(bag(tmp_path / 'a', {'/info': (info_frame, camera(40))}, frame=frame))
    assert focal == 40 and len(told) == 1 and 'since it is the only CameraInfo' in told[0]


def test_the_info_beside_says_nothing(tmp_path):
    infos = {
        '/camera/color/camera_info': (f'/{COLOUR}', camera(50)),
        '/camera/depth/camera_info': (DEPTH, camera(40)),
    }
    assert read(bag(tmp_path / 'a', infos)) == (50, [])


def test_an_info_beside_of_another_frame_is_told(tmp_path):
    focal, told = read(bag(tmp_path / 'a', {'/camera/color/camera_info': (DEPTH, camera(50))}))
    assert focal == 50 and len(told) == 1 and 'although its frame_id is' in told[0]


@pytest.mark.parametrize(
    'image, info',
    [
        ('/left/image_rect', '/left/camera_info_rect'),
        ('/left/image_raw', '/left/camera_info_raw'),
        ('/cam/rect/image', '/cam/rect/camera_info'),
        ('/cam/rect/image', '/cam/camera_info'),
        ('/cam/image', '/cam/image/camera_info'),
    ],
)
def test_where_else_the_info_is_beside(tmp_path, image, info):
    infos = {info: (COLOUR, camera(50)), '/other/camera_info': (DEPTH, camera(40))}
    assert read(bag(tmp_path / 'a', infos, image=image)) == (50, [])


def test_the_raw_image_of_a_zed_has_the_raw_info(tmp_path):
    infos = {
        '/left/camera_info': (COLOUR, camera(40)),
        '/left/camera_info_raw': (COLOUR, camera(50)),
    }
    assert read(bag(tmp_path / 'a', infos, image='/left/image_raw_color')) == (50, [])
    assert read(bag(tmp_path / 'b', infos, image='/left/image_rect_color')) == (40, [])


def test_a_direct_image_is_not_rectified(tmp_path):
    frame = posed_frames(1, lens=(-0.2, 0.05, 0.0, 0.0, 0.0))[0].frame
    infos = {'/camera/direct/camera_info': (COLOUR, frame.camera)}
    path = bag(tmp_path / 'a', infos, image='/camera/direct/direct_image')
    assert next(open_source(path).frames()).camera.model == 'plumb_bob'
    infos = {'/camera/rect/camera_info': (COLOUR, frame.camera)}
    source = open_source(bag(tmp_path / 'b', infos, image='/camera/rect/image'))
    assert next(source.frames()).camera.model == 'pinhole'
    assert 'rectified by the name of their topic' in source.assumptions[0]


def test_a_calibration_file_is_scaled_to_the_images(tmp_path):
    path = bag(tmp_path / 'a', {})
    values = {
        'image_width': 64,
        'image_height': 48,
        'distortion_model': 'plumb_bob',
        'camera_matrix': [100.0, 0, 31.5, 0, 100, 23.5, 0, 0, 1],
        'distortion_coefficients': [0.1, 0, 0, 0, 0],
    }
    (tmp_path / 'a.yaml').write_text(yaml.safe_dump(values))
    focal, told = read(path, info_topic=str(tmp_path / 'a.yaml'))
    assert focal == 50 and len(told) == 1 and 'was scaled to images of 32x24' in told[0]
    (tmp_path / 'b.yaml').write_text(yaml.safe_dump({**values, 'image_height': 64}))
    with pytest.raises(CameraError, match='image is 32x24 but its calibration is for 64x64'):
        read(path, info_topic=str(tmp_path / 'b.yaml'))


def test_the_camera_of_a_kalibr_file_by_its_topic(tmp_path):
    chain = {
        f'cam{index}': {
            'camera_model': 'pinhole',
            'intrinsics': [focal, focal, 15.5, 11.5],
            'distortion_model': 'radtan',
            'distortion_coeffs': [0.0] * 4,
            'resolution': [32, 24],
            'rostopic': topic,
        }
        for index, (focal, topic) in enumerate([(40.0, '/other'), (60.0, IMAGE)])
    }
    (tmp_path / 'chain.yaml').write_text(yaml.safe_dump(chain))
    path = bag(tmp_path / 'a', {})
    assert read(path, info_topic=str(tmp_path / 'chain.yaml')) == (60, [])
    assert read(path, info_topic=f'{tmp_path / "chain.yaml"}:cam0') == (40, [])


def test_sixteen_bits_are_told_once(tmp_path):
    with BagWriter(tmp_path / 'a') as out:
        out.camera_info('/camera/color/camera_info', COLOUR, START_NS, camera(50))
        for index in range(3):
            out.depth(IMAGE, COLOUR, START_NS + index, np.full((24, 32), 2.0 + index))
    source = open_source(tmp_path / 'a')
    assert len(list(source.frames())) == 3
    assert len(source.assumptions) == 1 and 'images of 16 bits' in source.assumptions[0]
