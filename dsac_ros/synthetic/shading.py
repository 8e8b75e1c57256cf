# SPDX-License-Identifier: Apache-2.0
"""From what each pixel sees to its colour: texture times light, filtered to the pixel's size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dsac_ros.synthetic.atlas import Atlas
from dsac_ros.synthetic.raycast import NOTHING, RayHits
from dsac_ros.synthetic.surfaces import SurfacePatches

BAND_ROWS = 32


@dataclass(frozen=True)
class Lightmaps:
    """Irradiance of every patch in one image (H, W, 3) float32.

    places (Q, 4) are x, y of a patch's first sample's centre, and the distance to the last one's
    along s and t.
    """

    image: np.ndarray
    places: np.ndarray


class Shader:
    """Textures and lightmaps of one room, ready for any view of it."""

    def __init__(self, patches: SurfacePatches, atlas: Atlas, lightmaps: Lightmaps) -> None:
        self._atlas, self._lightmaps = atlas, lightmaps
        place = atlas.places[patches.textures].astype(np.float64)
        scale = atlas.scales[patches.textures]
        start = place[:, :2] + patches.regions[:, :2] * scale
        size = patches.regions[:, 2:] * scale
        light = lightmaps.places
        # s = (x - start) / size, so the lightmap's coordinates are affine in the atlas's.
        slope = light[:, 2:] / size
        self._table = np.concatenate(
            [place[:, :2], place[:, :2] + place[:, 2:], slope, light[:, :2] - start * slope],
            axis=1,
        ).astype(np.float32)
        self._start, self._size = start, size

    def shade(self, view: RayHits) -> np.ndarray:
        """Linear colours (H, W, 3) float32; black where nothing is seen."""
        g = view.gradients.astype(np.float64)
        # From patch coordinates to atlas texels, still affine in the pixel.
        texels = g[:, :2] * self._size[..., None] + self._start[..., None] * g[:, 2:]
        table = np.concatenate([texels.reshape(-1, 6), g[:, 2, :2], self._table], axis=1)
        table = np.ascontiguousarray(table.T, np.float32)
        image = np.empty((*view.seen.shape, 3), np.float32)
        for top in range(0, view.seen.shape[0], BAND_ROWS):
            band = slice(top, top + BAND_ROWS)
            image[band] = self._band(view.seen[band], view.inverse_depth[band], table, top)
        return image

    def _band(
        self, seen: np.ndarray, inverse_depth: np.ndarray, table: np.ndarray, top: int
    ) -> np.ndarray:
        """The colours of some rows; `table` (16, Q) has one row per value gathered."""
        index = np.maximum(seen, 0).astype(np.intp)
        v = np.arange(top, top + seen.shape[0], dtype=np.float32)[:, None]
        u = np.arange(seen.shape[1], dtype=np.float32)
        (
            xu,
            xv,
            x1,
            yu,
            yv,
            y1,
            wu,
            wv,
            x_low,
            y_low,
            x_high,
            y_high,
            light_su,
            light_sv,
            light_u,
            light_v,
        ) = (row.take(index, mode='clip') for row in table)
        z = 1.0 / np.maximum(inverse_depth, np.float32(1e-6))
        x, y = (xu * u + xv * v + x1) * z, (yu * u + yv * v + y1) * z
        step_u = (xu - x * wu) * z, (yu - y * wu) * z
        step_v = (xv - x * wv) * z, (yv - y * wv) * z
        long, level = footprint(step_u, step_v)
        low, high, blend = (x_low, y_low), (x_high, y_high), np.float32(0.25)
        colour = self._atlas.sample(x - long[0], y - long[1], low, high, level - blend)
        colour += self._atlas.sample(x + long[0], y + long[1], low, high, level + blend)
        colour *= cv2.remap(
            self._lightmaps.image, x * light_su + light_u, y * light_sv + light_v, cv2.INTER_LINEAR
        )
        colour *= np.where(seen == NOTHING, np.float32(0), np.float32(0.5))[..., None]
        return colour


def footprint(
    step_u: tuple[np.ndarray, np.ndarray], step_v: tuple[np.ndarray, np.ndarray]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return the filter of each pixel: offset of two probes along its longer side, and level.

    step_u, step_v are the texels crossed by one pixel along u and v. Two probes halve the blur of
    surfaces seen at a slant; as they round their levels differently, their mean also hides where
    the level changes.
    """
    length_u, length_v = (a * a + b * b for a, b in (step_u, step_v))
    wide = length_u > length_v
    long = tuple(np.where(wide, a, b) * np.float32(0.25) for a, b in zip(step_u, step_v))
    larger, smaller = np.maximum(length_u, length_v), np.minimum(length_u, length_v)
    size = np.maximum(smaller, np.float32(0.25) * larger)
    level = np.float32(0.5) * np.log2(np.maximum(size, np.float32(1e-6)))
    return long, level
