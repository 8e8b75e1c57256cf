# SPDX-License-Identifier: Apache-2.0
"""The mask of a camera from a picture and a border."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dsac_ros.errors import ConfigError, ImageError
from dsac_ros.nodes.image_mask import ImageMask


@pytest.fixture
def picture(tmp_path):
    """White but for the lower half, 64x48."""
    pixels = np.full((48, 64), 255, np.uint8)
    pixels[24:] = 0
    path = tmp_path / 'mask.png'
    cv2.imwrite(str(path), pixels)
    return path


def test_all_pixels_are_used_by_default():
    assert ImageMask.read(None, 0).of_size((64, 48)) is None


def test_white_pixels_are_used(picture):
    mask = ImageMask.read(picture, 0).of_size((64, 48))
    assert mask[:24].all() and not mask[24:].any()


def test_the_picture_is_resized_with_the_images(picture):
    mask = ImageMask.read(picture, 0)
    assert mask.of_size((64, 48)).shape == (48, 64)
    large = mask.of_size((640, 480))
    assert large[:240].all() and not large[240:].any()


def test_a_border_is_left_out(picture):
    mask = ImageMask.read(None, 3).of_size((64, 48))
    assert mask[3:-3, 3:-3].all() and mask.sum() == 58 * 42
    assert ImageMask.read(picture, 3).of_size((64, 48)).sum() == 58 * 21


def test_the_same_size_is_made_once(picture):
    mask = ImageMask.read(picture, 0)
    assert mask.of_size((64, 48)) is mask.of_size((64, 48))


def test_a_mask_of_another_shape_is_one_line(picture):
    with pytest.raises(ImageError, match=r'mask \(mask_path\) is 64x48 but the images are 64x64'):
        ImageMask.read(picture, 0).of_size((64, 64))


def test_a_border_that_leaves_nothing_is_one_line():
    with pytest.raises(ImageError, match='exclude_border_px 30 and mask_path leave nothing'):
        ImageMask.read(None, 30).of_size((64, 48))


@pytest.mark.parametrize('content', [None, b'', b'no image'])
def test_a_mask_that_cannot_be_read(tmp_path, content):
    path = tmp_path / 'mask.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r'mask_path: .*mask.png cannot be read as an image'):
        ImageMask.read(path, 0)


def test_a_black_mask_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'black.png'), np.zeros((48, 64), np.uint8))
    with pytest.raises(ConfigError, match='is black, expected white'):
        ImageMask.read(tmp_path / 'black.png', 0)
