# SPDX-License-Identifier: Apache-2.0
"""Localization by local features: detect, match with the points of a map, estimate the pose."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.alignment.features import LONGEST, features_of_frame
from dsac_ros.alignment.gallery import matched_points
from dsac_ros.alignment.point_map import PointMap, PointMatcher
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.types import Frame

INLIER_PX = 4.0  # reprojection error of an inlier among features


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
        pixels, points = np.zeros((0, 2)), np.zeros((0, 3), np.float32)
        if self._matcher is not None:
            features = features_of_frame(frame, self._resamplers(frame.camera), matrix)
            rows, index = self._matcher.match(features)
            pixels, points = features.pixels[rows], self._matcher.points.points[index]
        scene = matched_points([torch.from_numpy(points).to(self.device)],
                               [torch.from_numpy(pixels).to(self.device).float()],
                               torch.from_numpy(matrix).to(self.device))
        return FeaturePose(scene, estimate_pose(scene, replace(config, inlier_px=INLIER_PX)))
