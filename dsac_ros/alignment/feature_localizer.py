# SPDX-License-Identifier: Apache-2.0
"""Localization by local features: detect, match with the points of a map, estimate the pose.

The pose is estimated twice: from matches that pass the ratio test among the points of the
retrieved views, and from those that are found with the first pose known. With few inliers the
features are matched again with the points of fewer views, among which fewer are similar.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.alignment.features import LONGEST, Features, shared_features
from dsac_ros.alignment.landmarks import grid_bins
from dsac_ros.alignment.matched_points import matched_points
from dsac_ros.alignment.point_map import PointMap, PointMatcher
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.resample import Resampler, Resamplers
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.ransac.scoring import squared_error
from dsac_ros.types import Frame, SceneCoordinates

INLIER_PX = 4.0  # reprojection error of an inlier among features
VIEWS = (20, 5)  # mapping views that an image is matched with, the second where that fails
PER_BIN = 2  # inliers that count in each of the 48 grid bins of an image
# Distributed inliers from which on no other views are tried, and the most that a pose has by
# chance in another place.
ENOUGH, CHANCE = 12, 7
GUIDED_SETS = 64  # minimal sets beside the first pose: it is hardly ever beaten
LEAST_KEPT = 0.5  # share of the first pose's inliers that the precise one must keep


class FeatureLocalizer:
    """Localizes frames by their local features in one map, at their full resolution."""

    def __init__(self, points: PointMap | None, device: torch.device | str = 'cpu') -> None:
        """Take the points of the map; with None no feature is ever matched."""
        self.device = torch.device(device)
        self._matcher = None if points is None else PointMatcher(points, device)
        self.resamplers = Resamplers.to_own_size(LONGEST)

    def outside(self, centre: np.ndarray, radius: float) -> FeatureLocalizer:
        """Return a localizer by the points that no view of a place saw (`PointMap.outside`).

        It shares what this one has in memory: nothing is computed anew.
        """
        others = copy.copy(self)
        if self._matcher is not None:
            others._matcher = self._matcher.among(self._matcher.points.outside(centre, radius))
        return others

    def localize(
        self,
        frame: Frame,
        pinhole: Resampler,
        config: RansacConfig,
        cache: FrameCache | None = None,
    ) -> FeaturePose:
        """Match features of a frame with the points of the map and estimate the pose.

        The matches are in the pixels of the frame's ideal pinhole, whose images `pinhole` makes.
        The cache keeps the features for other maps.
        """
        config = replace(config, inlier_px=INLIER_PX)
        matcher = self._matcher
        if matcher is None:
            nothing = self._scene(np.zeros((0, 2)), np.zeros((0, 3), np.float32), pinhole.matrix)
            estimate = estimate_pose(nothing, replace(config, hypotheses=1))
            return FeaturePose(nothing, nothing, estimate, 0)
        features = self._features_of(frame, pinhole, cache)
        views = matcher.retrieve(features, VIEWS[0])
        best = self._first_pose(matcher, features, views, pinhole, config)
        for count in VIEWS[1:]:
            if best.inlier_count >= ENOUGH:
                break
            found = self._first_pose(matcher, features, views[:count], pinhole, config)
            best = max(best, found, key=lambda one: one.inlier_count)
        if best.inlier_count <= CHANCE:
            return best
        return self._precise_pose(matcher, best, features, pinhole, config)

    def similar_views(
        self, frame: Frame, pinhole: Resampler, count: int, cache: FrameCache | None = None
    ) -> list[int]:
        """Return the mapping views that a frame is most similar to, the best first."""
        if self._matcher is None:
            return []
        features = self._features_of(frame, pinhole, cache)
        found: list[int] = self._matcher.retrieve(features, count).tolist()
        return found

    def _features_of(self, frame: Frame, pinhole: Resampler, cache: FrameCache | None) -> Features:
        return shared_features(
            frame,
            self.resamplers(frame.camera),
            pinhole.matrix,
            FrameCache() if cache is None else cache,
        )

    def _first_pose(
        self,
        matcher: PointMatcher,
        features: Features,
        views: Tensor,
        pinhole: Resampler,
        config: RansacConfig,
    ) -> FeaturePose:
        """Estimate the pose from matches that pass the ratio test among the points of views."""
        rows, index = matcher.match(features, views)
        matches = self._scene(features.pixels[rows], matcher.points.points[index], pinhole.matrix)
        estimate = estimate_pose(matches, config)
        count = (
            count_distributed_inliers(matches, estimate.world_from_camera[0], pinhole.size_wh)
            if bool(estimate.found[0])
            else 0
        )
        return FeaturePose(matches, matches, estimate, count)

    def _precise_pose(
        self,
        matcher: PointMatcher,
        first: FeaturePose,
        features: Features,
        pinhole: Resampler,
        config: RansacConfig,
    ) -> FeaturePose:
        """Estimate the pose from guided matches; return `first` where they lose its inliers."""
        known = first.estimate.world_from_camera
        rows, index = matcher.guided_match(features, known[0].cpu().numpy(), pinhole.matrix)
        guided = self._scene(features.pixels[rows], matcher.points.points[index], pinhole.matrix)
        precise = estimate_pose(guided, replace(config, hypotheses=GUIDED_SETS), guess=known)
        count = count_distributed_inliers(
            first.matches, precise.world_from_camera[0], pinhole.size_wh
        )
        if count < LEAST_KEPT * first.inlier_count:
            return first
        return FeaturePose(first.matches, guided, precise, count)

    def _scene(
        self, pixels: np.ndarray, points: np.ndarray, matrix: np.ndarray
    ) -> SceneCoordinates:
        return matched_points(
            [torch.from_numpy(points).to(self.device)],
            [torch.from_numpy(pixels).to(self.device).float()],
            torch.from_numpy(matrix).to(self.device),
        )


def count_distributed_inliers(
    matches: SceneCoordinates, world_from_camera: Tensor, size_wh: tuple[int, int]
) -> int:
    """Count the matches (1, N) within INLIER_PX of a pose (4, 4), at most PER_BIN in a grid bin.

    The bins are those of an image of this size. What repeats itself in a corner, one window of
    many or one chair, fits a wrong pose with many matches.
    """
    seen = normalize_correspondences(matches)
    pose = seen.camera_from_scaled(world_from_camera[None, None].to(seen.points))
    inlier = (squared_error(pose, seen)[0, 0] < INLIER_PX**2) & seen.valid[0]
    in_bin = torch.bincount(grid_bins(matches.pixels[0][inlier], size_wh))
    return int(in_bin.clamp(max=PER_BIN).sum())
