# SPDX-License-Identifier: Apache-2.0
"""Pixels of a camera's images that are used: a mask picture, and a border that is left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dsac_ros.compute.files import read_whole
from dsac_ros.config import setting
from dsac_ros.errors import ConfigError, ImageError
from dsac_ros.geometry.camera import is_resized
from dsac_ros.sources.encoded_images import decode_encoded

USED = 128  # gray level from which on a pixel of the picture is used


@dataclass(frozen=True)
class BorderConfig:
    """Border of every image of a camera, such as that of a lens hood."""

    exclude_border_px: int = setting(
        0,
        'width of a border of the image whose pixels are not used',
        unit='px',
        low=0,
        high=10_000,
    )


class ImageMask:
    """The mask of one camera, in the pixels of its images as they are received."""

    def __init__(self, picture: np.ndarray | None = None, border_px: int = 0) -> None:
        """Take a picture (H, W) uint8, white where pixels are used, and a border [px]."""
        self._picture, self._border_px = picture, border_px
        self._size_wh: tuple[int, int] | None = None
        self._mask: np.ndarray | None = None

    @classmethod
    def read(cls, path: Path | None, border_px: int) -> ImageMask:
        """Read the picture from a file.

        Raises:
            ConfigError: it cannot be read, or leaves nothing.
        """
        if path is None:
            return cls(None, border_px)
        try:
            picture = decode_encoded(read_whole(path), cv2.IMREAD_GRAYSCALE)
        except (OSError, ImageError) as error:
            raise ConfigError(f'mask_path: {path} cannot be read as an image: {error}') from None
        if not (picture >= USED).any():
            raise ConfigError(f'mask_path: {path} is black, expected white where pixels are used')
        return cls(picture, border_px)

    def of_size(self, size_wh: tuple[int, int]) -> np.ndarray | None:
        """Return the mask (H, W) bool of images of this size; None if all pixels are used.

        A picture of the same aspect ratio is resized.

        Raises:
            ImageError: the picture is of another aspect ratio, or nothing is left.
        """
        if self._picture is None and not self._border_px:
            return None
        if self._size_wh != size_wh:
            self._mask = self._make(size_wh)
            self._size_wh = size_wh
        return self._mask

    def _make(self, size_wh: tuple[int, int]) -> np.ndarray:
        (width, height), border = size_wh, self._border_px
        used = np.ones((height, width), bool)
        if self._picture is not None:
            picture_wh = (self._picture.shape[1], self._picture.shape[0])
            if not is_resized(picture_wh, size_wh):
                raise ImageError(
                    f'the mask (mask_path) is {picture_wh[0]}x{picture_wh[1]} but the images are '
                    f'{width}x{height}: give a mask of the size of the images'
                )
            resized = cv2.resize(self._picture, size_wh, interpolation=cv2.INTER_NEAREST)
            used &= resized >= USED
        if border:
            inside = np.zeros_like(used)
            inside[border : height - border, border : width - border] = True
            used &= inside
        if not used.any():
            raise ImageError(
                f'exclude_border_px {border} and mask_path leave nothing of images of '
                f'{width}x{height}'
            )
        return used
