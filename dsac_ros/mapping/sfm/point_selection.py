# SPDX-License-Identifier: Apache-2.0
"""Selection of the tracked points that a map keeps with their descriptors."""

from __future__ import annotations

import numpy as np

from dsac_ros.alignment.point_map import PointMap
from dsac_ros.mapping.sfm.tracks import Tracks

# Least angle between the rays of a point. Below it depth follows the errors of the views' poses,
# the same for all points about: such points agree with each other, and on a wrong position.
MIN_PARALLAX = np.radians(1.5)

# A depth error [share of the distance] divides the worth of a point by 1 + DOUBT times itself.
# 20 in place of 0: a rooftop within 1 % of the depth 81 in place of 79 %, rooms the same.
DOUBT = 20.0


def point_map(
    tracks: Tracks, scale: float, most: int, known: PointMap | None = None
) -> PointMap | None:
    """Keep at most so many points of the tracks, and of a map that is known already.

    Every view keeps first the points that are observed often and known precisely: a place that few
    views show must not give way to one that all of them show. scale [m] is the unit of the tracks'
    scene. None where there is no point.
    """
    tracks = tracks.select(tracks.parallax > MIN_PARALLAX)
    points = scale * tracks.points
    descriptors, view, point = tracks.descriptors, tracks.view, tracks.point
    precision = 1.0 / (1.0 + DOUBT * tracks.depth_error)
    if known is not None:
        view = np.concatenate([known.view, view + known.view.max(initial=-1) + 1])
        point = np.concatenate([known.point, point + len(known)])
        points = np.concatenate([known.points, points])
        descriptors = np.concatenate([known.descriptors, descriptors])
        precision = np.concatenate([np.ones(len(known)), precision])
    if not len(points):
        return None
    kept = np.sort(np.argsort(place_in_views(view, point, precision), kind='stable')[:most])
    renumbered = np.full(len(points), -1)
    renumbered[kept] = np.arange(len(kept))
    seen = renumbered[point] >= 0
    view, point = view[seen], renumbered[point[seen]]
    order = np.lexsort((point, view))
    return PointMap(points[kept].astype(np.float32), descriptors[kept], view[order], point[order])


def place_in_views(view: np.ndarray, point: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Best place (P,) of each point among those of one view, ordered by observations.

    Of observations (M,) of views and points; each counts as much as the precision (P,) of its
    point.
    """
    count = len(precision)
    worth = np.bincount(point, minlength=count) * precision
    order = np.lexsort((-worth[point], view))
    first = np.concatenate([[0], np.flatnonzero(np.diff(view[order])) + 1])
    start = np.repeat(first, np.diff(np.concatenate([first, [len(order)]])))
    best = np.full(count, len(view))
    np.minimum.at(best, point[order], np.arange(len(order)) - start)
    return best
