# SPDX-License-Identifier: Apache-2.0
"""Names of image topics."""

from __future__ import annotations

import pytest

from dsac_ros.sources.topic_names import is_rectified


@pytest.mark.parametrize(
    'topic',
    [
        '/camera/image_rect',
        '/camera/image_rect_color',
        '/zed/rgb/color/rect/image',
        'image_rect',
        '/zed/rgb/color/rect/image/compressed',
        '/left/image_rectified',
        '/cam/rectified/image',
        '/camera/infra1/image_rect_raw',
        '/camera/image_rect/compressed',
        '/Camera/Image_Rect',
        '/camera/undistorted/image',
    ],
)
def test_topics_of_rectified_images(topic):
    assert is_rectified(topic)


@pytest.mark.parametrize(
    'topic',
    [
        '/camera/direct_image',
        '/camera/direct/image',
        '/camera/image_direct',
        '/rect_cam/image_raw',
        '/camera/image_raw',
        '/indirect/image',
        '/rectangle/image',
        '/camera/image_unrectified',
        '/rect/camera/image',
        'image',
        '',
    ],
)
def test_topics_of_other_images(topic):
    assert not is_rectified(topic)
