# SPDX-License-Identifier: Apache-2.0
"""A posed frame as the network sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dsac_ros.alignment.features import Features
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.types import Camera


@dataclass(frozen=True)
class View:
    """One frame for training.

    image (H, W) uint8 of an ideal pinhole `matrix`, mask (H, W) bool, depth (H, W) float32 or
    None, scene_from_camera (4, 4) float64 in scene units. stamp_ns is the frame's stamp, focal_px
    the focal length of the camera that took it, 0 where that is not known. features are those of
    the image at its full resolution, in the pixels of this one; None of a view without tracks.
    """

    image: np.ndarray
    mask: np.ndarray
    matrix: np.ndarray
    scene_from_camera: np.ndarray
    depth: np.ndarray | None
    stamp_ns: int = 0
    focal_px: float = 0.0
    features: Features | None = None

    @property
    def camera(self) -> Camera:
        """The ideal pinhole."""
        height, width = self.image.shape
        return Camera((width, height), self.matrix)

    def resampled(self, resamplers: Resamplers) -> View:
        """The view as another ideal pinhole shows it, without its features."""
        resampler = resamplers(self.camera)
        return replace(
            self,
            image=resampler(self.image),
            mask=resampler.valid_mask(self.mask),
            matrix=resampler.matrix,
            features=None,
            depth=None if self.depth is None else resampler.depth(self.depth),
        )
