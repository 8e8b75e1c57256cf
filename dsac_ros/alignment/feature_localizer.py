# SPDX-License-Identifier: Apache-2.0
"""Localization by local features: detect, match with the points of a map, estimate the pose.

The pose is estimated twice, from matches that stand out among the points of the retrieved views,
and from those that are found with the first pose known. Where few matches agree they are sought
among the points of fewer views, of which fewer look alike.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.alignment.features import LONGEST, Features, features_of_frame
from dsac_ros.alignment.gallery import matched_points
from dsac_ros.alignment.landmarks import parts
from dsac_ros.alignment.point_map import PointMap, PointMatcher
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.resample import Resampler, Resamplers
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.ransac.scoring import squared_error
from dsac_ros.types import Frame, SceneCoordinates

INLIER_PX = 4.0    # reprojection error of an inlier among features
VIEWS = (20, 5)    # mapping views that an image is matched with, the second where that fails
PER_PART = 2       # matches that count in each of the 48 parts of an image
# Supporting matches from which on no other views are tried, and at most so many where some pose
# fits another place.
ENOUGH, CHANCE = 12, 7
GUIDED_SETS = 64   # minimal sets beside the first pose: it is hardly ever beaten
LEAST_CONFIRMING = 0.5  # share of the first pose's matches that must agree with the precise one


class FeatureLocalizer:
    """Localizes frames by their features in one map, at the frames' full resolution."""

    def __init__(self, points: PointMap | None, device: torch.device | str = 'cpu') -> None:
        """Takes the points of the map; None: no feature is ever matched."""
        self.device = torch.device(device)
        self._matcher = None if points is None else PointMatcher(points, device)
        self._resamplers = Resamplers.to_own_size(LONGEST)

    def localize(self, frame: Frame, pinhole: Resampler, config: RansacConfig) -> FeaturePose:
        """Match features of a frame with the map's points and estimate the pose from them.

        The matches are in the pixels of the frame's ideal pinhole, whose images `pinhole` makes.
        """
        config = replace(config, inlier_px=INLIER_PX)
        if self._matcher is None:
            nothing = self._scene(np.zeros((0, 2)), np.zeros((0, 3), np.float32), pinhole.matrix)
            return FeaturePose(nothing, nothing, estimate_pose(nothing, config), 0)
        features = features_of_frame(frame, self._resamplers(frame.camera), pinhole.matrix)
        views = self._matcher.retrieve(features, VIEWS[0])
        best: FeaturePose | None = None
        for count in VIEWS:
            found = self._first_pose(features, views[:count], pinhole, config)
            if best is None or found.count > best.count:
                best = found
            if best.count >= ENOUGH:
                break
        return best if best.count <= CHANCE else self._made_precise(best, features, pinhole,
                                                                   config)

    def _first_pose(self, features: Features, views: Tensor, pinhole: Resampler,
                    config: RansacConfig) -> FeaturePose:
        """Estimate the pose from matches that stand out among the points of these views."""
        matches = self._matched(features, *self._matcher.match(features, views), pinhole.matrix)
        estimate = estimate_pose(matches, config)
        count = (supporting(matches, estimate.world_from_camera[0], pinhole.size_wh)
                 if bool(estimate.found[0]) else 0)
        return FeaturePose(matches, matches, estimate, count)

    def _made_precise(self, first: FeaturePose, features: Features, pinhole: Resampler,
                      config: RansacConfig) -> FeaturePose:
        """Estimate the pose from matches that are found with it known; `first` where that fails.

        It fails where the matches that the first pose is made of do not support the other one.
        """
        known = first.estimate.world_from_camera
        guided = self._matched(features, *self._matcher.guided_match(
            features, known[0].cpu().numpy(), pinhole.matrix), pinhole.matrix)
        precise = estimate_pose(guided, replace(config, hypotheses=GUIDED_SETS), guess=known)
        count = supporting(first.matches, precise.world_from_camera[0], pinhole.size_wh)
        if count < LEAST_CONFIRMING * first.count:
            return first
        return FeaturePose(first.matches, guided, precise, count)

    def _matched(self, features: Features, rows: np.ndarray, index: np.ndarray,
                 matrix: np.ndarray) -> SceneCoordinates:
        return self._scene(features.pixels[rows], self._matcher.points.points[index], matrix)

    def _scene(self, pixels: np.ndarray, points: np.ndarray,
               matrix: np.ndarray) -> SceneCoordinates:
        return matched_points([torch.from_numpy(points).to(self.device)],
                              [torch.from_numpy(pixels).to(self.device).float()],
                              torch.from_numpy(matrix).to(self.device))


def supporting(matches: SceneCoordinates, world_from_camera: Tensor,
               size_wh: tuple[int, int]) -> int:
    """Count the matches (1, N) within INLIER_PX of a pose (4, 4), at most PER_PART of a part.

    The parts are those of an image of this size. What repeats itself in a corner, one window of
    many or one chair, fits a wrong pose with many matches.
    """
    seen = normalize_correspondences(matches)
    pose = seen.camera_from_scaled(world_from_camera[None, None].to(seen.points))
    near = (squared_error(pose, seen)[0, 0] < INLIER_PX ** 2) & seen.valid[0]
    in_part = torch.bincount(parts(matches.pixels[0][near], size_wh))
    return int(in_part.clamp(max=PER_PART).sum())
