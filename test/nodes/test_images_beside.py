# SPDX-License-Identifier: Apache-2.0
"""Depth and masks beside the images of a camera: which belongs to an image, and its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image

from dsac_ros.errors import ImageError
from dsac_ros.nodes import conversions
from dsac_ros.nodes.images_beside import MAX_GAP_NS, MAX_IMAGES, ImageBuffer, mask_from_message


def mono(pixels, stamp=0):
    return conversions.image_message(pixels, conversions.header('camera', stamp))


def buffer_of(*stamps):
    buffer = ImageBuffer('/valid_mask')
    for stamp in stamps:
        buffer.put(mono(np.zeros((2, 2), np.uint8), stamp))
    return buffer


def test_the_nearest_image_belongs():
    buffer = buffer_of(10, 40, 90)
    assert buffer.near(50).header.stamp.nanosec == 40
    assert buffer.near(90 + MAX_GAP_NS) is not None
    assert buffer.near(91 + MAX_GAP_NS) is None
    assert ImageBuffer().near(0) is None


def test_a_later_image_ends_the_wait():
    buffer = buffer_of(10, 40)
    assert buffer.reaches(40) and not buffer.reaches(41)
    assert not ImageBuffer().reaches(0)


def test_old_images_are_forgotten():
    step = 3 * MAX_GAP_NS
    buffer = buffer_of(*(step * n for n in range(MAX_IMAGES + 1)))
    assert buffer.near(0) is None and buffer.near(step) is not None


def test_black_is_left_out():
    pixels = np.array([[0, 1], [255, 0]], np.uint8)
    assert mask_from_message(mono(pixels), (2, 2)).tolist() == [[False, True], [True, False]]
    assert mask_from_message(mono(pixels), (4, 4)).sum() == 8
    color = np.zeros((2, 2, 3), np.uint8)
    color[0, 0, 2] = 9
    assert mask_from_message(mono(color), (2, 2)).tolist() == [[True, False], [False, False]]


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ImageError, match='the mask is 4x2 but the image is 4x4'):
        mask_from_message(mono(np.ones((2, 4), np.uint8)), (4, 4))


def test_a_mask_that_cannot_be_decoded_is_refused():
    with pytest.raises(ImageError, match='purple'):
        mask_from_message(Image(encoding='purple', height=2, width=2, step=2), (2, 2))
