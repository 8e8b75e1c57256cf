# SPDX-License-Identifier: Apache-2.0
"""A pose by matched features."""
from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import SceneCoordinates


@dataclass(frozen=True)
class FeaturePose:
    """Pose that features of an image tell, and their matches with points.

    matches (1, N) stand out among all points of the retrieved views; count of them agree with the
    pose, spread over the image (`feature_localizer.supporting`). guided (1, M) are matches among
    the points that the pose projects near a feature: they make a pose precise and do not confirm
    it, since a wrong one finds some everywhere. estimate is the pose by these.
    """

    matches: SceneCoordinates
    guided: SceneCoordinates
    estimate: PoseEstimate
    count: int
