# SPDX-License-Identifier: Apache-2.0
"""Errors of a system over the distance of its queries to the nearest mapping frame.

Global methods must extrapolate there, local ones need their features to be invariant (Sattler et
al., "Understanding the Limitations of CNN-based Absolute Camera Pose Regression", CVPR 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

SIMILAR_DEG = 30.0  # angle between views that may be called near
BINS = 6  # of about equal numbers of queries
FEWEST = 4  # queries in a bin


def distances(queries: Sequence[np.ndarray], mapped: Sequence[np.ndarray]) -> np.ndarray:
    """Return the distance [m] (F,) of each query to the nearest mapping frame.

    Of the mapping frames those count whose rotation differs by less than SIMILAR_DEG, all of them
    where there is none. Poses are world_from_camera (4, 4).
    """
    places = np.stack(mapped)
    found = []
    for pose in queries:
        apart = np.linalg.norm(places[:, :3, 3] - pose[:3, 3], axis=1)
        cosine = (np.einsum('nij,ij->n', places[:, :3, :3], pose[:3, :3]) - 1) / 2
        near = cosine > math.cos(math.radians(SIMILAR_DEG))
        found.append(apart[near].min() if near.any() else apart.min())
    return np.array(found)


def medians(distance: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (B,) and median errors (B,) of bins with about equally many queries.

    distance and error are of queries (F,) [m]; inf is an error like any other.
    """
    order = np.argsort(distance, kind='stable')
    count = max(1, min(BINS, len(order) // FEWEST))
    bins = np.array_split(order, count)
    return (
        np.array([np.median(distance[rows]) for rows in bins]),
        np.array([np.sort(error[rows])[len(rows) // 2] for rows in bins]),
    )
