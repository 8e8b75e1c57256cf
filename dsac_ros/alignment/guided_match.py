# SPDX-License-Identifier: Apache-2.0
"""Guided matching: once a pose is known, a feature is compared with the points projected near it.

Few points compete, so that features match which do not stand out among those of a whole place
(active search in the image, as tracking does: Klein and Murray, PTAM, ISMAR 2007).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

RADIUS_PX = 5.0  # between a feature and the projection of its point
CANDIDATES = 8  # points that a feature is compared with, the nearest
RATIO = 0.85  # of Lowe's test
LEAST_SECOND = 0.8  # similarity that a second candidate is taken to have at least
NEAREST = 1e-3  # depth of a point, as a share of the median, below which it is not in view


def guided_match(
    pixels: np.ndarray,
    descriptors: np.ndarray,
    points: np.ndarray,
    of_points: np.ndarray,
    world_from_camera: np.ndarray,
    matrix: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Match features with points near their projection; return K indices of both.

    Args:
        pixels: of the features (N, 2).
        descriptors: of the features (N, 128), of unit length.
        points: places (P, 3) in the map.
        of_points: descriptors (P, 128) of the points, of unit length.
        world_from_camera: known pose (4, 4) in the map.
        matrix: intrinsics (3, 3) of the pixels.
    """
    rotation = world_from_camera[:3, :3]
    camera = (points - world_from_camera[:3, 3]) @ rotation
    depth = camera[:, 2]
    visible = np.flatnonzero(depth > NEAREST * np.median(np.abs(depth)))
    projected = camera[visible, :2] / depth[visible, None] * matrix[0, 0] + matrix[:2, 2]
    inside = (
        (projected > pixels.min(0) - RADIUS_PX) & (projected < pixels.max(0) + RADIUS_PX)
    ).all(1)
    visible, projected = visible[inside], projected[inside]
    if not len(visible):
        return np.zeros(0, int), np.zeros(0, int)
    distance, near = cKDTree(projected).query(pixels, CANDIDATES, distance_upper_bound=RADIUS_PX)
    row, column = np.isfinite(distance).nonzero()
    point = visible[near[row, column]]
    similarity = np.full(distance.shape, -1.0)
    similarity[row, column] = np.einsum('kc,kc->k', descriptors[row], of_points[point])
    of_point = np.full(len(points), -1.0)
    np.maximum.at(of_point, point, similarity[row, column])
    second, best = np.sort(similarity, axis=1)[:, -2:].T
    rows = np.flatnonzero(1.0 - best < RATIO**2 * (1.0 - np.maximum(second, LEAST_SECOND)))
    taken = visible[near[rows, similarity[rows].argmax(1)]]
    mutual = best[rows] >= of_point[taken]
    return rows[mutual], taken[mutual]
