# SPDX-License-Identifier: Apache-2.0
"""Files that parameters name: paths, URLs, one for each camera."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsac_ros.errors import ConfigError
from dsac_ros.nodes.resource_path import of_camera, resource_path


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('/a/b.yaml', '/a/b.yaml'),
        ('b.yaml', f'{Path.cwd()}/b.yaml'),
        ('~/b.yaml', f'{Path.home()}/b.yaml'),
        ('file:///a/my%20camera.yaml', '/a/my camera.yaml'),
        ('file://~/b.yaml', f'{Path.home()}/b.yaml'),
        ('${ROS_HOME}/camera_info/b.yaml', '/ros/camera_info/b.yaml'),
        ('file://${ROS_HOME}/b.yaml', '/ros/b.yaml'),
    ],
)
def test_paths_and_file_urls(monkeypatch, text, expected):
    monkeypatch.setenv('ROS_HOME', '/ros')
    assert resource_path(text, 'camera_info_url') == Path(expected)


def test_a_file_of_a_package(monkeypatch, tmp_path):
    index = tmp_path / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    (index / 'my_robot').touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path}')
    found = resource_path('package://my_robot/config/front.yaml', 'camera_info_url')
    assert found == tmp_path / 'share/my_robot/config/front.yaml'
    with pytest.raises(ConfigError, match="package 'your_robot', which is not in AMENT_PREFIX"):
        resource_path('package://your_robot/front.yaml', 'camera_info_url')


@pytest.mark.parametrize(
    'text',
    ['https://a.org/b.yaml', 'package://my_robot', 'package:///b', 'file://host/b', 'flash:///1'],
)
def test_other_urls_are_refused(text):
    with pytest.raises(ConfigError, match=f'mask_path is {text!r}, expected a path, file:///'):
        resource_path(text, 'mask_path')


@pytest.mark.parametrize('text', ['/a/{name}.yaml', '/a/${NAME}.yaml'])
def test_the_name_of_the_camera_is_filled_in(text):
    assert of_camera(text, 'camera_info_url', 'left') == '/a/left.yaml'
    with pytest.raises(ConfigError, match='cameras names none'):
        of_camera(text, 'camera_info_url', '')


def test_an_unknown_home_is_one_line():
    with pytest.raises(ConfigError, match='no such user'):
        resource_path('~no_such_user/b.yaml', 'camera_info_url')
