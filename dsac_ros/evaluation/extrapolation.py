# SPDX-License-Identifier: Apache-2.0
"""Errors of a system over the distance of its queries to the nearest mapping frame.

Global methods must extrapolate there, local ones need their features to be invariant (Sattler et
al., "Understanding the Limitations of CNN-based Absolute Camera Pose Regression", CVPR 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsac_ros.metrics import Report, field_median

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


def bins(distance: np.ndarray) -> list[np.ndarray]:
    """Return indices of bins with about equally many queries (F,), the nearest first."""
    order = np.argsort(distance, kind='stable')
    return np.array_split(order, max(1, min(BINS, len(order) // FEWEST)))


def medians(distance: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (B,) and median errors (B,) of the bins.

    distance and error are of queries (F,) [m]; inf is an error like any other.
    """
    return (
        np.array([np.median(distance[rows]) for rows in bins(distance)]),
        np.array([field_median(error[rows]) for rows in bins(distance)]),
    )


def by_distance(distance: np.ndarray, report: Report) -> list[dict[str, Any]]:
    """Return the errors of each bin of distances (F,) [m], as objects of the JSON."""
    wrong = report.false_accepts()
    return [
        {
            'from_m': float(distance[rows].min()),
            'to_m': float(distance[rows].max()),
            'frames': len(rows),
            'accepted': int(report.accepted[rows].sum()),
            'false_accepts': int(wrong[rows].sum()),
            'median_translation_m': field_median(report.translation_m[rows]),
            'median_rotation_deg': field_median(report.rotation_deg[rows]),
        }
        for rows in bins(distance)
    ]


def keyframe_poses(header: Mapping[str, Any]) -> np.ndarray:
    """Return world_from_camera (K, 4, 4) of the mapping frames that a map's header keeps."""
    rows = np.array(header.get('keyframes') or [], dtype=float).reshape(-1, 9)
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, 3], poses[:, :3, 1], poses[:, :3, 2] = np.split(rows, 3, axis=1)
    poses[:, :3, 0] = np.cross(poses[:, :3, 1], poses[:, :3, 2])
    return poses
