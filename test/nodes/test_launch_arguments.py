# SPDX-License-Identifier: Apache-2.0
"""Arguments of launch files that ros2 launch would drop in silence."""

from __future__ import annotations

import pytest

from dsac_ros.nodes.launch_arguments import misspelled

DECLARED = ('image', 'camera_info', 'map', 'base_frame', 'image_transport')


@pytest.mark.parametrize(
    ('word', 'meant'),
    [
        ('imge:=/camera/image', 'image'),
        ('camera-info:=/info', 'camera_info'),
        ('camerainfo:=/info', 'camera_info'),
        ('base_link_frame:=x', 'base_frame'),
        ('image_transprt:=raw', 'image_transport'),
    ],
)
def test_a_misspelt_argument_is_told(word, meant):
    (line,) = misspelled([word, 'map:=/x.map'], DECLARED)
    assert line.startswith(word.split(':=')[0]) and line.endswith(f'{meant}:= is one')


@pytest.mark.parametrize('word', ['image:=/a', 'world:=office', '--debug', 'map:=a:=b'])
def test_others_are_left_alone(word):
    assert misspelled([word], DECLARED) == []
