# SPDX-License-Identifier: Apache-2.0
"""A pose by matched features, and the choice between it and an alignment with templates."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dsac_ros.alignment.align import Alignment
from dsac_ros.ransac.correspondences import correspondences
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.ransac.scoring import squared_error
from dsac_ros.types import SceneCoordinates

TIGHT_PX = 1.0  # reprojection error of a match that tells which of two poses is the better
FAVOUR = 1.03   # weight of these for a pose that was not fitted to them


@dataclass(frozen=True)
class FeaturePose:
    """Pose that features of an image tell: their matches with points (1, N) and the estimate."""

    scene: SceneCoordinates
    estimate: PoseEstimate

    @property
    def count(self) -> int:
        """Number of features that agree with the pose."""
        return int(self.estimate.inlier_count[0])

    def better(self, alignment: Alignment | None) -> tuple[Tensor, Tensor]:
        """Pose (4, 4) and covariance (6, 6) of these features, or of an alignment.

        Of the one with more matches within TIGHT_PX. Templates are finer where they fit, but may
        hold on to the wrong place of a repeated pattern; the matches favour the pose that was
        fitted to them, by a few in a hundred.
        """
        own = self.estimate.world_from_camera[0]
        if alignment is not None and (FAVOUR * self._tight(alignment.world_from_camera)
                                      >= self._tight(own)):
            return alignment.world_from_camera, alignment.covariance
        return own, self.estimate.covariance[0]

    def _tight(self, world_from_camera: Tensor) -> int:
        seen = correspondences(self.scene)
        pose = seen.camera_from_scaled(world_from_camera[None, None].to(seen.points))
        return int(((squared_error(pose, seen)[0, 0] < TIGHT_PX ** 2) & seen.valid[0]).sum())
