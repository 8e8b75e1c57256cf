# SPDX-License-Identifier: Apache-2.0
"""SIFT and structure from motion: what a robotics engineer would build with COLMAP.

RootSIFT features of images with up to 1280 px, each by its own camera; points triangulated at the
known poses by pycolmap, each with the mean of its descriptors in 8 bits; for a query the 20 most
similar images by VLAD, Lowe's ratio test against the points that these see, and PoseLib's
LO-RANSAC (hloc: Sarlin et al., CVPR 2019; Active Search: Sattler et al., TPAMI 2017). Needs the
`sfm` extra.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from dsac_ros.alignment.features import mutual, root_sift
from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.errors import ConfigError
from dsac_ros.geometry.resample import Resampler, Resamplers, to_gray
from dsac_ros.map_container import StoredMap
from dsac_ros.systems.evidence import EvidenceModel
from dsac_ros.systems.sift_sfm.reprojection import pose_covariance
from dsac_ros.systems.sift_sfm.sift_map import SiftMap, normalised
from dsac_ros.systems.sift_sfm.triangulation import CORNER, Features, camera_of
from dsac_ros.systems.system import Estimate, EvidenceSystem, Query
from dsac_ros.types import Frame, PoseStatistics

FEATURES = 3000
LONG_SIDE = 1280  # of images at most [px]
RETRIEVED = 20
RATIO = 0.85  # of Lowe's test among mean descriptors
INLIER_SHARE = 0.0075  # threshold of RANSAC, of the long side: 12 px of 1600, as in hloc
LEAST_INLIERS = 12


class SiftSfm(EvidenceSystem):
    """Localizes in a map of SIFT points; the evidence is the number of inliers."""

    EVIDENCE = 'inliers'
    UNMEASURED = EvidenceModel(
        threshold=LEAST_INLIERS,
        accepts=True,
        covariance_scale=10.0,
        floor_rad=0.01,
        logit_offset=-8.0,
        logit_slope=4.0,
    )

    def __init__(
        self, stored: StoredMap, learned: SiftMap, device: str, accept: AcceptConfig
    ) -> None:
        """Take the header, and the points that it is about."""
        require('poselib')
        super().__init__(stored, resamplers(), device, accept)
        self._apply_threshold(accept)
        self.learned = learned
        self._descriptors = normalised(learned.descriptors.astype(np.float32))

    @classmethod
    def of(
        cls,
        header: dict[str, Any],
        tensors: Mapping[str, Tensor],
        device: str,
        ransac: RansacConfig,
        accept: AcceptConfig,
    ) -> SiftSfm:
        """Make the system of a map's header and tensors."""
        return cls(StoredMap(header), SiftMap.from_tensors(tensors), device, accept)

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> SiftSfm:
        """Return a system of the same map under other settings."""
        changed = super().with_settings(ransac, accept)
        changed.acceptance = EvidenceModel.from_dict(self.map.header.get('acceptance'))
        changed._apply_threshold(accept)
        return changed

    def _apply_threshold(self, accept: AcceptConfig) -> None:
        """Ask for the inliers that the user asks for, if so, in place of the map's threshold."""
        if accept.min_feature_inliers >= 0:
            self.acceptance = replace(
                self.acceptance, threshold=float(accept.min_feature_inliers), accepts=True
            )

    def estimate(self, query: Query) -> Estimate:
        """Estimate a pose from matches with the points that the most similar images see."""
        import poselib

        clock, matrix, size_wh = query.clock, query.resampler.matrix, query.resampler.size_wh
        pixels, descriptors = root_sift(query.image, FEATURES, query.valid)
        clock.lap('features')
        candidates = self.learned.seen_by(self.learned.vlad.nearest(descriptors, RETRIEVED))
        clock.lap('retrieval')
        rows, matched = mutual(descriptors, self._descriptors[candidates], ratio=RATIO).T
        clock.lap('matching')
        if len(rows) < 4:
            return Estimate(reason=f'{len(rows)} matches, expected at least {LEAST_INLIERS}')
        points = self.learned.points[candidates[matched]].astype(np.float64)
        pose, report = poselib.estimate_absolute_pose(
            pixels[rows] + CORNER,
            points,
            camera_of(matrix, size_wh),
            {
                'max_reproj_error': INLIER_SHARE * max(size_wh),
                'max_iterations': 20000,
                'min_iterations': 200,
            },
            {'loss_type': 'CAUCHY', 'loss_scale': 1.0},
        )
        clock.lap('ransac')
        count = int(report['num_inliers'])
        if count < 4:
            return Estimate(reason=f'no pose fits {len(rows)} matches')
        inliers = np.asarray(report['inliers'], bool)
        camera_from_map = np.eye(4)
        camera_from_map[:3, :3], camera_from_map[:3, 3] = pose.R, pose.t
        world_from_camera = np.linalg.inv(camera_from_map)
        world_from_camera[:3, 3] += self.map.origin
        return Estimate(
            world_from_camera,
            float(count),
            pose_covariance(camera_from_map, points[inliers], pixels[rows][inliers], matrix),
            statistics=PoseStatistics(
                inlier_ratio=count / len(rows), inlier_count=count, feature_inliers=count
            ),
            candidates=(world_from_camera,),
        )


def resamplers() -> Resamplers:
    """Make images of their own size, up to LONG_SIDE."""
    return Resamplers.to_own_size(LONG_SIDE)


def features_of(frame: Frame, resampler: Resampler, world_from_camera: np.ndarray) -> Features:
    """RootSIFT features of a frame where it shows the scene."""
    pixels, descriptors = root_sift(
        resampler(to_gray(frame.image)), FEATURES, resampler.valid_mask(frame.mask)
    )
    return Features(pixels, descriptors, resampler.matrix, resampler.size_wh, world_from_camera)


def require(*modules: str) -> None:
    """Raise ConfigError where one of the modules is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f'the system sift_sfm needs {" and ".join(missing)}; '
            "`pip install 'dsac_ros[sfm]'` installs them"
        )


SYSTEM = SiftSfm
