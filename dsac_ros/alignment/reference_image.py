# SPDX-License-Identifier: Apache-2.0
"""Reference images: the few mapping frames that a map keeps, and points of known depth in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from dsac_ros.types import Camera

WEBP_QUALITY = 80
PREFIX = 'reference_images.'
MOST_PIXELS = 1 << 26  # of an image: a few kilobytes could hold a gigapixel
_SIZE_AT, _SIZE_MASK = 26, 0x3FFF  # of a lossy WebP: width and height, 14 bits each


@dataclass(frozen=True)
class ReferenceImage:
    """One gray image of the ideal pinhole `matrix`, taken at camera_from_map (4, 4).

    webp (M,) uint8 is the image as the map file stores it: it is compressed once, however often
    the map is read and written. pixels (L, 2) integers and depth (L,) [m] are the points known in
    it; global_descriptor (C,) is of unit length.
    """

    webp: np.ndarray
    matrix: np.ndarray
    camera_from_map: np.ndarray
    pixels: np.ndarray
    depth: np.ndarray
    global_descriptor: np.ndarray

    @property
    def camera(self) -> Camera:
        """The ideal pinhole."""
        height, width = self.image.shape
        return Camera((width, height), self.matrix)

    @property
    def image(self) -> np.ndarray:
        """The image (H, W) uint8."""
        return np.asarray(cv2.imdecode(self.webp, cv2.IMREAD_GRAYSCALE))

    @property
    def points(self) -> np.ndarray:
        """The landmarks (L, 3) in the map's frame [m]."""
        map_from_camera = np.linalg.inv(self.camera_from_map)
        rays = np.column_stack([self.pixels, np.ones(len(self.pixels))])
        in_camera = rays @ np.linalg.inv(self.matrix).T * self.depth[:, None].astype(float)
        points: np.ndarray = in_camera @ map_from_camera[:3, :3].T + map_from_camera[:3, 3]
        return points


def compressed(image: np.ndarray) -> np.ndarray:
    """Compress an image (H, W) uint8 to the bytes of a WebP (M,) uint8."""
    return cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])[1].ravel()


def to_tensors(references: Sequence[ReferenceImage]) -> dict[str, Tensor]:
    """Return reference images as a map file stores them."""
    if not references:
        return {}
    columns: dict[str, Any] = {
        'image_bytes': np.concatenate([one.webp for one in references]),
        'image_sizes': np.array([len(one.webp) for one in references]),
        'matrix': np.stack([one.matrix for one in references]),
        'camera_from_map': np.stack([one.camera_from_map for one in references]),
        'global_descriptor': np.stack([one.global_descriptor for one in references]).astype(
            np.float16
        ),
        'landmarks': np.array([len(one.pixels) for one in references]),
        'pixels': np.concatenate([one.pixels for one in references]).astype(np.int16),
        'depth': np.concatenate([one.depth for one in references]).astype(np.float32),
    }
    return {
        PREFIX + name: torch.from_numpy(np.ascontiguousarray(value))
        for name, value in columns.items()
    }


def from_tensors(tensors: dict[str, Tensor]) -> list[ReferenceImage]:
    """Invert `to_tensors`; empty where the map has no reference images.

    Raises ValueError where the tensors do not fit each other.
    """
    column = {
        name.removeprefix(PREFIX): value.numpy()
        for name, value in tensors.items()
        if name.startswith(PREFIX)
    }
    if not column:
        return []
    for parts, whole in (('image_sizes', 'image_bytes'), ('landmarks', 'pixels')):
        sizes = column[parts]
        if (sizes < 0).any() or sizes.sum(dtype=np.float64) != len(column[whole]):
            raise ValueError(f'{parts} of the reference images do not add up')
    images = np.split(column['image_bytes'], np.cumsum(column['image_sizes'])[:-1])
    if not all(map(_is_small_webp, images)):
        raise ValueError(f'a reference image is no WebP of up to {MOST_PIXELS} pixels')
    starts = np.cumsum(column['landmarks'])[:-1]
    return [
        ReferenceImage(*columns)
        for columns in zip(
            images,
            column['matrix'],
            column['camera_from_map'],
            np.split(column['pixels'].astype(int), starts),
            np.split(column['depth'], starts),
            column['global_descriptor'].astype(np.float32),
        )
    ]


def _is_small_webp(data: np.ndarray) -> bool:
    """Return True for the bytes of a WebP as `compressed` makes it."""
    head = data[: _SIZE_AT + 4].astype(np.uint8).tobytes()
    if len(head) < _SIZE_AT + 4 or head[:4] != b'RIFF' or head[8:16] != b'WEBPVP8 ':
        return False
    width, height = (value & _SIZE_MASK for value in struct.unpack_from('<HH', head, _SIZE_AT))
    return bool(0 < width * height <= MOST_PIXELS)
