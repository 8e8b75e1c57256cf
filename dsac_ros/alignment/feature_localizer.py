# SPDX-License-Identifier: Apache-2.0
"""Localization by local features: detect, match with the points of a map, estimate the pose.

The pose is estimated twice, from matches that stand out among the points of the retrieved views,
and from those that are found with the first pose known.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.alignment.features import LONGEST, Features, features_of_frame
from dsac_ros.alignment.gallery import matched_points
from dsac_ros.alignment.point_map import PointMap, PointMatcher
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.ransac.correspondences import correspondences
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.ransac.scoring import squared_error
from dsac_ros.types import Frame, SceneCoordinates

INLIER_PX = 4.0    # reprojection error of an inlier among features
CHANCE = 8         # matches that agree with some pose although another place is seen
GUIDED_SETS = 64   # minimal sets beside the first pose: it is hardly ever beaten
LEAST_CONFIRMING = 0.5  # share of the first pose's matches that must agree with the precise one


class FeatureLocalizer:
    """Localizes frames by their features in one map, at the frames' full resolution."""

    def __init__(self, points: PointMap | None, device: torch.device | str = 'cpu') -> None:
        """Takes the points of the map; None: no feature is ever matched."""
        self.device = torch.device(device)
        self._matcher = None if points is None else PointMatcher(points, device)
        self._resamplers = Resamplers.to_own_size(LONGEST)

    def localize(self, frame: Frame, matrix: np.ndarray, config: RansacConfig) -> FeaturePose:
        """Match features of a frame with the map's points and estimate the pose from them.

        The matches are in the pixels of the frame's ideal pinhole with the intrinsics `matrix`
        (3, 3).
        """
        config = replace(config, inlier_px=INLIER_PX)
        if self._matcher is None:
            nothing = self._scene(np.zeros((0, 2)), np.zeros((0, 3), np.float32), matrix)
            return FeaturePose(nothing, nothing, estimate_pose(nothing, config), 0)
        features = features_of_frame(frame, self._resamplers(frame.camera), matrix)
        matches = self._matched(features, *self._matcher.match(features), matrix)
        estimate = estimate_pose(matches, config)
        count = int(estimate.inlier_count[0])
        if count <= CHANCE:
            return FeaturePose(matches, matches, estimate, count)
        first = estimate.world_from_camera
        guided = self._matched(
            features, *self._matcher.guided_match(features, first[0].cpu().numpy(), matrix),
            matrix)
        precise = estimate_pose(guided, replace(config, hypotheses=GUIDED_SETS), guess=first)
        confirming = agreeing(matches, precise.world_from_camera[0])
        if confirming < LEAST_CONFIRMING * count:
            return FeaturePose(matches, matches, estimate, count)
        return FeaturePose(matches, guided, precise, confirming)

    def _matched(self, features: Features, rows: np.ndarray, index: np.ndarray,
                 matrix: np.ndarray) -> SceneCoordinates:
        return self._scene(features.pixels[rows], self._matcher.points.points[index], matrix)

    def _scene(self, pixels: np.ndarray, points: np.ndarray,
               matrix: np.ndarray) -> SceneCoordinates:
        return matched_points([torch.from_numpy(points).to(self.device)],
                              [torch.from_numpy(pixels).to(self.device).float()],
                              torch.from_numpy(matrix).to(self.device))


def agreeing(matches: SceneCoordinates, world_from_camera: Tensor) -> int:
    """Count the matches (1, N) within INLIER_PX of a pose (4, 4)."""
    seen = correspondences(matches)
    pose = seen.camera_from_scaled(world_from_camera[None, None].to(seen.points))
    near = squared_error(pose, seen)[0, 0] < INLIER_PX ** 2
    return int((near & seen.valid[0]).sum())
