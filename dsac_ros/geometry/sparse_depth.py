# SPDX-License-Identifier: Apache-2.0
"""Depth of single points in the pixels of an image."""

from __future__ import annotations

import numpy as np

from dsac_ros.geometry.camera import project
from dsac_ros.types import Camera


def sparse_depth(points: np.ndarray, camera_from_world: np.ndarray, camera: Camera) -> np.ndarray:
    """Return depth (H, W) float32 of points (K, 3) at the pixels that show them, 0 at all others.

    Args:
        points: in the world frame.
        camera_from_world: (4, 4).
        camera: with its distortion. Of points that meet in a pixel it shows the nearest.
    """
    width, height = camera.size_wh
    depth = np.zeros((height, width), np.float32)
    in_camera = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    in_camera = in_camera[in_camera[:, 2] > 0]
    pixels = project(camera, in_camera)
    seen = np.isfinite(pixels).all(1)
    u, v = np.rint(np.where(seen[:, None], pixels, -1)).clip(-1, 1 << 30).astype(int).T
    seen &= (u >= 0) & (u < width) & (v >= 0) & (v < height)
    for row in np.argsort(-in_camera[:, 2], kind='stable'):
        if seen[row]:
            depth[v[row], u[row]] = in_camera[row, 2]
    return depth
