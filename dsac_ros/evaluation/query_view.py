# SPDX-License-Identifier: Apache-2.0
"""Visualisation data of one localized frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from dsac_ros.geometry.resample import Resampler, to_gray
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.systems.system import System
from dsac_ros.types import Frame, Localization, Result, SceneCoordinates


@runtime_checkable
class SceneCoordinateSystem(Protocol):
    """A system that tells scene coordinates of a frame, and the pose by them alone."""

    def scene_coordinates(self, frame: Frame) -> tuple[SceneCoordinates, PoseEstimate]:
        """See `Localizer.scene_coordinates`."""


@dataclass(frozen=True)
class QueryView:
    """Visualisation data of one frame.

    Attributes:
        image: (H, W) uint8 of the ideal pinhole.
        colours: (h, w, 3) in [0, 1].
        pixels: (N, 2) of the cells, row by row.
        valid: (N,) bool.
        inliers: (N,) bool.
        localization: the result.
    """

    image: np.ndarray
    colours: np.ndarray
    pixels: np.ndarray
    valid: np.ndarray
    inliers: np.ndarray
    localization: Localization

    @property
    def inlier_ratio(self) -> float:
        """Share of the valid cells that agree with the pose."""
        return float(self.inliers.sum() / max(1, self.valid.sum()))


def query_view_of(localizer: System, frame: Frame) -> QueryView | None:
    """Localize a frame again and return its visualisation data.

    None for an unusable image, and of a system without scene coordinates.
    """
    if not isinstance(localizer, SceneCoordinateSystem):
        return None
    found = localizer.localize(frame)
    if found.result is Result.BAD_IMAGE:
        return None
    scene, estimate = localizer.scene_coordinates(frame)
    image = Resampler(frame.camera, localizer.map.header['short_side'])(to_gray(frame.image))
    valid = scene.valid[0].cpu().numpy()
    points = scene.points_world[0].float().cpu().numpy()
    return QueryView(
        image,
        as_colours(points, valid).reshape(*scene.grid_hw, 3),
        scene.pixels[0].float().cpu().numpy(),
        valid,
        estimate.inliers[0].cpu().numpy() & valid,
        found,
    )


def as_colours(points: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Map points (N, 3) to colours in [0, 1] over the 2nd to 98th percentile; invalid: white."""
    visible = points[valid & np.isfinite(points).all(axis=1)]
    if not len(visible):
        return np.ones_like(points)
    low, high = np.percentile(visible, (2, 98), axis=0)
    colours = 0.08 + 0.87 * np.clip((points - low) / np.maximum(high - low, 1e-9), 0, 1)
    return np.where(valid[:, None], np.nan_to_num(colours, nan=1.0), 1.0)
