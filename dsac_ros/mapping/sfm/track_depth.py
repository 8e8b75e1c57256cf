# SPDX-License-Identifier: Apache-2.0
"""Depth of views that no sensor measured, from the tracked points that they see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from scipy.spatial import cKDTree

from dsac_ros.geometry.resample import STRIDE, cell_centres
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.optim.parallel import in_parallel
from dsac_ros.mapping.sfm.matching import match
from dsac_ros.mapping.sfm.reference_selection import distances
from dsac_ros.mapping.sfm.tracks import MAX_ERROR_PX, Tracks, linked


def with_own_depth(
    views: Sequence[View], progress: Callable[[float], None] = lambda share: None
) -> list[View]:
    """The views with depth by tracks through those among them that have features."""
    tracked = [view for view in views if view.features is not None]
    if not tracked:
        return list(views)
    matches = match(tracked, MAX_ERROR_PX, progress)
    return with_depth(views, tracked, linked(tracked, matches).precise())


def with_depth(views: Sequence[View], tracked: Sequence[View], tracks: Tracks) -> list[View]:
    """The views, those without measured depth with that of the nearest track at each pixel.

    A view shows what the nearest one of the tracked views sees; one that is far from all of them
    stays as it is.
    """
    points = [tracks.points[tracks.point[tracks.view == index]] for index in range(len(tracked))]

    def filled(view: View) -> View:
        if view.depth is not None or not tracked:
            return view
        apart = distances([view, *tracked], 0)[1:]
        nearest = int(apart.argmin())
        return view if apart[nearest] >= 1.0 else with_depth_of(view, points[nearest])

    return list(in_parallel(filled, views))


def with_depth_of(view: View, points: np.ndarray) -> View:
    """The view with the depth of the nearest of the points (P, 3) at each pixel."""
    camera_from_scene = np.linalg.inv(view.scene_from_camera)
    camera = points @ camera_from_scene[:3, :3].T + camera_from_scene[:3, 3]
    camera = camera[camera[:, 2] > 0]
    pixels = camera[:, :2] / camera[:, 2:] * view.matrix[0, 0] + view.matrix[:2, 2]
    size_wh = (view.image.shape[1], view.image.shape[0])
    shown = ((pixels >= -0.5) & (pixels < np.array(size_wh) - 0.5)).all(1)
    if not shown.any():
        return view
    nearest = cKDTree(pixels[shown]).query(cell_centres(size_wh))[1]
    cells = camera[shown][nearest, 2].reshape(size_wh[1] // STRIDE, size_wh[0] // STRIDE)
    depth = cv2.resize(cells.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST)
    return replace(view, depth=depth)
