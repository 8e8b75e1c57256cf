# SPDX-License-Identifier: Apache-2.0
"""Twins in a map: views of a place that another place of the same map looks like.

The points that a view saw are matched with those that no view of its place saw. One rigid motion
that explains many of the matches (Umeyama's least squares for minimal sets of three, RANSAC)
means that what the view shows stands in the map twice: rooms of one plan, floors of one building.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.features import unit
from dsac_ros.alignment.point_map import RATIO, PointMap

#: Share of a view's points that one rigid motion finds in another place. In a map of two equal
#: rooms 95 % of the views share more, in those of fourteen real scenes none more than 2 %.
TWIN_SHARE = 0.15
#: Of the depth: views whose points are no further from the middle of another view share its place.
PLACE = 1.0
#: Of the depth: least distance of a place and its twin.
APART = 0.5
#: Of the depth: error of a point that follows the motion; points of two rooms differ by as much.
TOLERANCE = 0.03
SETS = 200
#: Points by which most views are told to have no twin, and the least that a view must have.
SCREENED, LEAST = 64, 30


def twin_views(points: PointMap | None, depth: float) -> list[int]:
    """Return the views of a map whose place has a twin in it, by their index, ascending.

    Args:
        points: of the map; None for no points.
        depth: median depth of the scene [m].
    """
    if points is None or not len(points):
        return []
    descriptors = torch.from_numpy(unit(points.descriptors)).float()
    rng = np.random.default_rng(0)
    found = []
    for view in range(int(points.view.max()) + 1):
        own = np.unique(points.point[points.view == view])
        others = np.flatnonzero(points.outside(points.view_centres[view], PLACE * depth))
        if len(own) < LEAST or len(others) < LEAST:
            continue
        few = rng.choice(own, min(SCREENED, len(own)), replace=False)
        if len(_matches(descriptors[few], descriptors[others])[0]) < TWIN_SHARE * len(few):
            continue
        rows, columns = _matches(descriptors[own], descriptors[others])
        a, b = points.points[own[rows]], points.points[others[columns]]
        # What did not move is the same thing, seen from far away and mapped once more.
        count = rigid_inliers(a, b, TOLERANCE * depth, rng, APART * depth)
        if count >= TWIN_SHARE * len(own):
            found.append(view)
    return found


def _matches(own: Tensor, others: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Match unit descriptors (N, 128) and (M, 128) as queries are; return K indices of both."""
    like = own @ others.T
    top, column = like.topk(2, dim=1)
    distance = 1.0 - top
    rows = torch.arange(len(own))
    mutual = like.argmax(0)[column[:, 0]] == rows
    good = mutual & (distance[:, 0] < RATIO**2 * distance[:, 1])
    return rows[good].numpy(), column[good, 0].numpy()


def rigid_inliers(
    a: np.ndarray, b: np.ndarray, tolerance: float, rng: np.random.Generator, apart: float = 0.0
) -> int:
    """Return how many of the points b (K, 3) one rigid motion takes points a (K, 3) to.

    Motions that move the middle of a by less than `apart` do not count.
    """
    if len(a) < 3:
        return 0
    sets = np.argsort(rng.random((SETS, len(a))), axis=1)[:, :3]
    rotation, translation = rigid_motions(a[sets], b[sets])
    moved = np.einsum('sij,kj->ski', rotation, a) + translation[:, None]
    counts = (np.linalg.norm(moved - b, axis=2) <= tolerance).sum(1)
    away = np.linalg.norm(moved.mean(1) - a.mean(0), axis=1) >= apart
    return int((counts * away).max())


def rigid_motions(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit rotations (S, 3, 3) and translations (S, 3) that take points a (S, N, 3) to b.

    Least squares (Umeyama, PAMI 1991), without scale.
    """
    centre_a, centre_b = a.mean(1), b.mean(1)
    covariance = np.einsum('sni,snj->sij', b - centre_b[:, None], a - centre_a[:, None])
    u, _, vt = np.linalg.svd(covariance)
    sign = np.ones((len(a), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    return rotation, centre_b - np.einsum('sij,sj->si', rotation, centre_a)
