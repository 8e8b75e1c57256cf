# SPDX-License-Identifier: Apache-2.0
"""Pixels that a mask leaves out take no part, whatever stands there."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.errors import CameraError
from dsac_ros.geometry.masking import filled, without_masked_pixels
from dsac_ros.types import Camera, Frame

CAMERA = Camera((40, 30), np.array([[40.0, 0, 19.5], [0, 40.0, 14.5], [0, 0, 1]]))


def image(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def test_the_nearest_pixel_stands_in():
    mask = np.ones((30, 40), bool)
    mask[20:] = False
    shown = image(30, 40)
    result = filled(shown, mask)
    np.testing.assert_array_equal(result[:20], shown[:20])
    np.testing.assert_array_equal(result[20:], np.broadcast_to(shown[19], (10, 40)))


@pytest.mark.parametrize('shape', [(30, 40), (30, 40, 3)])
def test_what_is_masked_does_not_matter(shape):
    mask = np.ones((30, 40), bool)
    mask[5:25, 12:31] = False
    first = image(*shape)
    other = first.copy()
    other[~mask] = 255 - other[~mask]
    first, other = (
        without_masked_pixels(Frame(one, CAMERA, mask=mask)).image for one in (first, other)
    )
    np.testing.assert_array_equal(first, other)


def test_frames_without_a_mask_are_left_alone():
    frame = Frame(image(30, 40), CAMERA)
    assert without_masked_pixels(frame) is frame
    everything = Frame(image(30, 40), CAMERA, mask=np.ones((30, 40), bool))
    assert without_masked_pixels(everything) is everything


def test_a_mask_of_another_size_is_one_line():
    with pytest.raises(CameraError, match='40x30'):
        without_masked_pixels(Frame(image(30, 40), CAMERA, mask=np.ones((15, 20), bool)))
