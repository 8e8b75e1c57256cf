# SPDX-License-Identifier: Apache-2.0
"""A pose by matched features."""
from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import SceneCoordinates


@dataclass(frozen=True)
class FeaturePose:
    """Pose that features of an image tell: their matches with points (1, N) and the estimate."""

    scene: SceneCoordinates
    estimate: PoseEstimate

    @property
    def count(self) -> int:
        """Number of features that agree with the pose."""
        return int(self.estimate.inlier_count[0])
