# SPDX-License-Identifier: Apache-2.0
"""Result of the localization by local features."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import SceneCoordinates


@dataclass(frozen=True)
class FeaturePose:
    """Pose by local features, and the matches behind it.

    matches (1, N) pass the ratio test among all points of the retrieved views; inlier_count of
    them agree with the pose, distributed over the image (`count_distributed_inliers`). guided
    (1, M) are matches with the points that the pose projects near a feature: they make the pose
    precise and do not verify it, since a wrong pose finds some everywhere. estimate is the pose
    by these.
    """

    matches: SceneCoordinates
    guided: SceneCoordinates
    estimate: PoseEstimate
    inlier_count: int
