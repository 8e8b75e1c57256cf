# SPDX-License-Identifier: Apache-2.0
"""Names of frames, as drivers give them, and what they say about poses and images."""

from __future__ import annotations

import pytest

from dsac_ros.sources.pose_frames import optical_frame, pose_child


@pytest.mark.parametrize(
    'ancestors, pose_frame, expected',
    [
        ((), 'map', ('optical',)),
        (('map',), 'map', ('optical',)),
        (('odom', 'map'), 'map', ('optical',)),
        (('vicon',), 'vicon', ('optical',)),
        (('base_link',), 'map', ('optical', 'base_link')),
        (
            ('camera_link', 'base_link', 'odom', 'map'),
            'map',
            ('optical', 'camera_link', 'base_link'),
        ),
        (('robot1/base_link', 'robot1/odom'), 'map', ('optical', 'robot1/base_link')),
    ],
)
def test_whose_pose_it_may_be(ancestors, pose_frame, expected):
    assert pose_child('optical', ancestors, pose_frame) == expected


@pytest.mark.parametrize(
    'frame, below, expected',
    [
        ('camera_optical', (), ('camera_optical',)),
        ('camera_rgb_optical_frame', ('other_optical',), ('camera_rgb_optical_frame',)),
        ('cam0', (), ('cam0',)),
        ('default_cam', (), ('default_cam',)),
        ('camera_link', (), ()),
        ('robot1/base_link', (), ()),
        ('camera_link', ('camera_frame', 'camera_optical_frame'), ('camera_optical_frame',)),
        ('camera', ('left_optical', 'right_optical'), ('left_optical', 'right_optical')),
    ],
)
def test_which_frame_has_the_axes_of_an_image(frame, below, expected):
    assert optical_frame(frame, below) == expected
