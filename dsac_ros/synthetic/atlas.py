# SPDX-License-Identifier: Apache-2.0
"""All textures of a room in one image with its mip levels, so that one lookup serves any patch.

Every texture starts at a multiple of 2^LEVELS texels and is stretched to such a size: shrinking
the whole atlas never mixes two textures, and level l of a texel at x is simply at x / 2^l. Level 0
fills the left two thirds, the coarser levels stand in a column beside it (Williams 1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

LEVELS = 5
BLOCK = 2**LEVELS
WIDTH = 4096
# cv2.remap addresses its source with 16-bit integers.
MAX_HEIGHT = 32000

TO_LINEAR = np.where(
    np.arange(256) <= 10,
    np.arange(256) / 255 / 12.92,
    ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4,
).astype(np.float32)
_STEPS = 4096
_GRID = np.arange(_STEPS) / (_STEPS - 1)
_TO_SRGB = (
    np.where(_GRID <= 0.0031308, _GRID * 12.92, 1.055 * _GRID ** (1 / 2.4) - 0.055) * 255 + 0.5
).astype(np.uint8)


def to_linear(image: np.ndarray) -> np.ndarray:
    """Turn sRGB uint8 into linear float32 in [0, 1]."""
    return cv2.LUT(image, TO_LINEAR)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear floats, clipped to [0, 1], to sRGB uint8."""
    index = np.clip(linear * np.float32(_STEPS - 1) + np.float32(0.5), 0, _STEPS - 1)
    return np.take(_TO_SRGB, index.astype(np.int16))


@dataclass(frozen=True)
class Atlas:
    """Textures and their mip levels: image (H, 1.5 WIDTH, 3) uint8 sRGB.

    places (T, 4) are x, y, w, h of each texture at level 0; scales (T, 2) say by how much each was
    stretched along x and y.
    """

    image: np.ndarray
    height: int
    places: np.ndarray
    scales: np.ndarray

    def sample(
        self,
        x: np.ndarray,
        y: np.ndarray,
        low: tuple[np.ndarray, np.ndarray],
        high: tuple[np.ndarray, np.ndarray],
        level: np.ndarray,
    ) -> np.ndarray:
        """Linear RGB (h, w, 3) float32, bilinear in the mip level nearest to `level`.

        x, y (h, w) in level 0 texels (a texel's centre at +0.5); low, high: the texture's borders
        along x and y, each (h, w); nothing beyond the outermost texel centres is ever read.
        """
        nearest = np.clip(level + np.float32(0.5), 0, LEVELS).astype(np.intp)
        scale = _SHRINK.take(nearest)
        half = np.float32(0.5)
        column = np.clip(x * scale, low[0] * scale + half, high[0] * scale - half)
        row = np.clip(y * scale, low[1] * scale + half, high[1] * scale - half)
        column += _LEFT.take(nearest)
        row += (_DOWN * np.float32(self.height) - half).take(nearest)
        return to_linear(cv2.remap(self.image, column, row, cv2.INTER_LINEAR))


_SHRINK = (0.5 ** np.arange(LEVELS + 1)).astype(np.float32)
_LEFT = (np.where(np.arange(LEVELS + 1) > 0, WIDTH, 0) - 0.5).astype(np.float32)
_DOWN = np.where(np.arange(LEVELS + 1) > 0, 1 - 2.0 ** (1 - np.arange(LEVELS + 1)), 0).astype(
    np.float32
)


def build_atlas(textures: list[np.ndarray]) -> Atlas:
    """Pack the textures on shelves, tallest first, and shrink the whole in linear light."""
    sizes = np.array([[max(-(-n // BLOCK), 1) * BLOCK for n in t.shape[1::-1]] for t in textures])
    sizes = np.minimum(sizes, WIDTH)
    places, x, y, shelf = np.zeros((len(textures), 4), np.int64), 0, 0, 0
    for index in np.argsort(-sizes[:, 1], kind='stable'):
        w, h = sizes[index]
        if x + w > WIDTH:
            x, y, shelf = 0, y + shelf, 0
        shelf = max(shelf, int(h))
        places[index] = x, y, w, h
        x += int(w)
    height = y + shelf
    if height > MAX_HEIGHT:
        raise ValueError(f'textures need {height} rows of atlas, expected at most {MAX_HEIGHT}')
    image = np.zeros((height, WIDTH + WIDTH // 2, 3), np.uint8)
    for texture, (px, py, w, h) in zip(textures, places):
        image[py : py + h, px : px + w] = cv2.resize(
            texture, (int(w), int(h)), interpolation=cv2.INTER_CUBIC
        )
    _shrink(image, height)
    scales = sizes / np.array([t.shape[1::-1] for t in textures])
    return Atlas(image, height, places, scales)


def _shrink(image: np.ndarray, height: int) -> None:
    """Fill the column of coarser levels."""
    level0 = image[:, :WIDTH]
    rows = 512
    for top in range(0, height, rows):
        band = to_linear(np.ascontiguousarray(level0[top : top + rows]))
        for level in range(1, LEVELS + 1):
            band = cv2.resize(band, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            y = int(height * (1 - 2.0 ** (1 - level))) + (top >> level)
            image[y : y + band.shape[0], WIDTH : WIDTH + band.shape[1]] = to_srgb(band)
