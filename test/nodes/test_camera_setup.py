# SPDX-License-Identifier: Apache-2.0
"""Cameras by the parameters."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from dsac_ros.errors import ConfigError, DsacError
from dsac_ros.nodes.camera_setup import camera_names, camera_setup, image_mask
from dsac_ros.nodes.conversions import camera_from_file
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters

CALIBRATION = {
    'image_width': 640,
    'image_height': 480,
    'camera_name': 'left',
    'camera_matrix': {'rows': 3, 'cols': 3, 'data': [500.0, 0, 320, 0, 500, 240, 0, 0, 1]},
    'distortion_model': 'plumb_bob',
    'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [-0.1, 0, 0, 0, 0]},
    'projection_matrix': {
        'rows': 3,
        'cols': 4,
        'data': [450.0, 0, 322, 0, 0, 450, 241, 0, 0, 0, 1, 0],
    },
}


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / 'left.yaml'
    path.write_text(yaml.safe_dump(CALIBRATION))
    return path


def setup_of(name='', topic='/image', **changed):
    return camera_setup(RelocalizerParameters(**changed), name, topic)


@pytest.mark.parametrize(
    ('names', 'expected'),
    [([''], ['']), ([], ['']), (['left', 'right'], ['left', 'right']), (['a/b'], ['a/b'])],
)
def test_names(names, expected):
    assert camera_names(names) == expected


@pytest.mark.parametrize(
    ('names', 'reason'),
    [
        (['left', 'left'], 'each name once'),
        (['my camera'], "'my camera', expected a name of ROS"),
        (['left/'], "'left/', expected a name of ROS"),
        (['2'], "'2', expected a name of ROS"),
        ([f'c{index}' for index in range(9)], '9 names, expected at most 8'),
    ],
)
def test_bad_names_are_refused(names, reason):
    with pytest.raises(ConfigError, match=reason):
        camera_names(names)


@pytest.mark.parametrize(
    ('topic', 'setting', 'expected'),
    [
        ('/image_direct', 'auto', False),
        ('/direct/image', 'auto', False),
        ('/camera/image_raw', 'auto', False),
        ('/camera/rect/image', 'auto', True),
        ('/image_rect', 'auto', True),
        ('/image_rect_color', 'auto', True),
        ('/image_rect/compressed', 'auto', True),
        ('/image_rect', 'no', False),
        ('/image', 'yes', True),
    ],
)
def test_rectified_by_the_topic_or_the_parameter(topic, setting, expected):
    assert setup_of(topic=topic, rectified=setting).rectified == expected


def test_a_calibration_file_for_each_camera(calibration, tmp_path):
    setup = setup_of(
        'left',
        '/left/image',
        camera_info_url=f'file://{tmp_path}/${{NAME}}.yaml',
        camera_frame='{name}_optical',
    )
    assert (setup.name, setup.camera_frame) == ('left', 'left_optical')
    camera = setup.calibration((640, 480))
    assert camera.matrix[0, 0] == 500.0 and camera.distortion[0] == -0.1
    half = camera_from_file(setup.calibration, np.zeros((240, 320), np.uint8))
    assert half.matrix[0, 0] == 250.0 and 'scaled' in half.assumptions[-1]
    with pytest.raises(DsacError, match='image is 640x640 but its calibration is for 640x480'):
        camera_from_file(setup.calibration, np.zeros((640, 640), np.uint8))
    with pytest.raises(DsacError, match=r'right.yaml cannot be read'):
        setup_of('right', '/right/image', camera_info_url=f'{tmp_path}/{{name}}.yaml')


@pytest.mark.parametrize(
    ('topic', 'setting', 'focal'),
    [
        ('/image_rect', 'auto', 450.0),
        ('/image', 'yes', 450.0),
        ('/image_rect', 'no', 500.0),
        ('/image', 'auto', 500.0),
    ],
)
def test_a_file_for_rectified_images(calibration, topic, setting, focal):
    setup = setup_of(topic=topic, rectified=setting, camera_info_url=str(calibration))
    assert setup.calibration((640, 480)).matrix[0, 0] == focal


@pytest.mark.parametrize('text', ['', 'no: calibration', '[1, 2', '\0'])
def test_a_file_that_is_no_calibration(tmp_path, text):
    path = tmp_path / 'camera.yaml'
    path.write_text(text)
    with pytest.raises(
        DsacError, match=r'camera_info_url: .*camera.yaml is not a camera'
    ) as caught:
        setup_of(camera_info_url=str(path))
    assert '\n' not in str(caught.value)


def test_a_mask_for_each_camera(tmp_path):
    for name, level in (('left', 255), ('right', 0)):
        pixels = np.full((48, 64), 255, np.uint8)
        pixels[:24] = level
        cv2.imwrite(str(tmp_path / f'{name}.png'), pixels)
    masks = [image_mask(f'{tmp_path}/{{name}}.png', 0, name) for name in ('left', 'right')]
    left, right = (mask.of_size((64, 48)) for mask in masks)
    assert left.all() and not right[:24].any() and right[24:].all()
