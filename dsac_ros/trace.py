# SPDX-License-Identifier: Apache-2.0
"""Localization of a frame together with what it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsac_ros.query import Query
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import Localization, SceneCoordinates


@dataclass(frozen=True)
class Trace:
    """A localization and what it was made of, for reports.

    correspondences and the estimate by them are scene coordinates; matched features where these
    decided without the network; None of an image that was not looked at. candidates are the poses
    world_from_camera (4, 4) that were compared, the best first. matches (1, N) are local features
    and points of the map that pass the ratio test, in the ideal image of size_wh; None where
    features were not needed.
    """

    localization: Localization
    correspondences: SceneCoordinates | None = None
    estimate: PoseEstimate | None = None
    candidates: tuple[np.ndarray, ...] = ()
    matches: SceneCoordinates | None = None
    size_wh: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, localization: Localization, query: Query, origin: np.ndarray) -> Trace:
        """Make the trace of a query; origin (3,) is that of the map's frame in the world."""
        return cls(
            localization,
            *query.correspondences(),
            ranked_poses(localization, query, origin),
            query.features.matches if query.features else None,
            query.resampler.size_wh,
        )


def ranked_poses(
    localization: Localization, query: Query, origin: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return the poses (4, 4) in the world that were compared for a frame, the best first.

    The localization's own, accepted or not; then alignments of candidate poses by their score;
    then the poses by features and by scene coordinates, before any alignment.
    """
    by_score = sorted(query.alignments, key=lambda one: one.verification.score, reverse=True)
    poses = [one.world_from_camera for one in by_score]
    by_features = query.features.estimate if query.features else None
    for estimate in (by_features, query.estimate):
        if estimate is not None and bool(estimate.found[0]):
            poses.append(estimate.world_from_camera[0])
    placed = [pose.cpu().double().numpy().copy() for pose in poses]
    for pose in placed:
        pose[:3, 3] += origin
    own = localization.world_from_camera
    return (*([] if own is None else [own]), *placed)
