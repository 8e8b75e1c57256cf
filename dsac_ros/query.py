# SPDX-License-Identifier: Apache-2.0
"""Lazy results of one frame: each step is computed when its result is first asked for."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.feature_localizer import FeatureLocalizer
from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.alignment.landmarks import Pyramid
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.compute.stopwatch import Stopwatch
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.masking import without_masked_pixels
from dsac_ros.geometry.resample import Resampler, to_gray
from dsac_ros.ransac.estimator import PoseEstimate, estimate_pose
from dsac_ros.scene_coordinates import NetworkOutput, SceneRegressor
from dsac_ros.types import Frame, SceneCoordinates

SCREENING = 8  # where landmarks verify a pose, so many times fewer minimal sets are drawn


@dataclass(frozen=True)
class Budgets:
    """RANSAC settings: the whole budget, the reduced one for a pose that landmarks verify.

    candidate is the reduced one for poses of other sources, which is never compiled: what is
    seldom done, or of another shape every time, is not worth minutes of compiling.
    """

    full: RansacConfig
    screening: RansacConfig
    candidate: RansacConfig

    @classmethod
    def of(cls, config: RansacConfig, verified: bool) -> Budgets:
        """Make the budgets of a map, from the settings and from whether it has landmarks."""
        reduced = reduced_budget(config) if verified else config
        return cls(replace(config, compiled=False), reduced, replace(reduced, compiled=False))

    def screened_by(self, hypotheses: int) -> Budgets:
        """Return the budgets with so many minimal sets for the first estimate."""
        screened = min(self.screening.screened, hypotheses)
        return replace(
            self, screening=replace(self.screening, hypotheses=hypotheses, screened=screened)
        )


def reduced_budget(config: RansacConfig) -> RansacConfig:
    """Return fewer hypotheses: as good where landmarks verify the pose afterwards."""
    return replace(
        config,
        hypotheses=-(-config.hypotheses // SCREENING),
        screened=-(-config.screened // SCREENING),
        rescored=-(-config.rescored // 2),
    )


class Query:
    """Results computed of one frame; the clock has a stage for each of them.

    features is the pose by local features and estimate the best one by scene coordinates so far;
    None as long as they have not been computed. alignments are those of candidate poses so far.
    lacks_landmarks: the image was found not to show what is in view at the pose by features.
    """

    def __init__(
        self,
        frame: Frame,
        resampler: Resampler,
        regressor: SceneRegressor,
        localizer: FeatureLocalizer,
        budgets: Budgets,
        clock: Stopwatch,
        guess: Tensor | None = None,
        cache: FrameCache | None = None,
    ) -> None:
        """Take a frame, the models that compute, and perhaps a guess (4, 4) of its pose.

        Queries of one frame in several maps share a cache, which has the frame without masked
        pixels, its image, pyramid, descriptors and features.
        """
        self.resampler, self.clock = resampler, clock
        self.cache = cache = FrameCache() if cache is None else cache
        self._view = (resampler.size_wh, resampler.matrix.tobytes())
        self._regressor, self._localizer = regressor, localizer
        self._budgets, self._guess = budgets, None if guess is None else guess[None]
        self._output: NetworkOutput | None = None
        self.features: FeaturePose | None = None
        self.estimate: PoseEstimate | None = None
        self.alignments: list[Alignment] = []
        self.lacks_landmarks = False
        with clock.stage('resample'):
            self.frame = shown_frame(frame, cache)
            self.image: np.ndarray = cache.get(
                ('image', self._view), lambda: resampler(self.frame.image)
            )

    @property
    def matrix(self) -> np.ndarray:
        """Intrinsics (3, 3) of the ideal pinhole whose image is `image` (H, W) uint8."""
        return self.resampler.matrix

    @property
    def feature_inliers(self) -> int:
        """Distributed inliers of the pose by local features; 0 if not computed."""
        return self.features.inlier_count if self.features else 0

    @functools.cached_property
    def pyramid(self) -> Pyramid:
        """The image at all levels, in which landmarks are looked for."""
        return self.cache.get(
            ('pyramid', self._view),
            lambda: Pyramid.of(self.image, self.clock.device, self.valid_mask),
        )

    @functools.cached_property
    def valid_mask(self) -> np.ndarray:
        """Pixels (H, W) bool of `image` that the camera sees and the frame's mask lets through."""
        return self.cache.get(
            ('mask', self._view), lambda: self.resampler.valid_mask(self.frame.mask)
        )

    @functools.cached_property
    def intrinsics(self) -> Tensor:
        """`matrix` as a tensor (3, 3) on the device."""
        return torch.from_numpy(self.matrix).to(self.clock.device).float()

    def network_output(self) -> NetworkOutput:
        """Return the scene coordinates, and what they were predicted from."""
        if self._output is None:
            with self.clock.stage('network'):
                self._output = self._regressor(self.frame, self.resampler, self.cache)
        return self._output

    def screening_estimate(self) -> PoseEstimate:
        """Estimate the pose by scene coordinates with the reduced budget."""
        return self.estimate or self._estimated(self._budgets.screening)

    def full_estimate(self) -> PoseEstimate:
        """Estimate the pose by scene coordinates with the whole budget."""
        if self.estimate is not None and self._budgets.screening == self._budgets.full:
            return self.estimate
        return self._estimated(self._budgets.full)

    def feature_pose(self) -> FeaturePose:
        """Return the pose by local features."""
        if self.features is None:
            with self.clock.stage('features'):
                self.features = self._localizer.localize(
                    self.frame, self.resampler, self._budgets.full, self.cache
                )
        return self.features

    def is_where_guessed(self, pose: Tensor, depth: float) -> bool:
        """Return True if a pose (4, 4) and the guess see the same place, half a depth apart.

        The middles of both views are compared, at the scene's depth. False without a guess.
        """
        if self._guess is None:
            return False
        one, other = pose.double(), self._guess[0].to(pose.device).double()
        apart = one[:3, 3] - other[:3, 3] + depth * (one[:3, 2] - other[:3, 2])
        return float(apart.norm()) <= depth / 2

    def retrieved_estimate(self, scene: SceneCoordinates, hypotheses: int = 0) -> PoseEstimate:
        """Estimate poses by matches with retrieved images.

        With so many minimal sets; 0 for those of any other candidate.
        """
        budget = self._budgets.candidate
        with self.clock.stage('ransac'):
            return estimate_pose(
                scene, replace(budget, hypotheses=hypotheses) if hypotheses else budget
            )

    def correspondences(self) -> tuple[SceneCoordinates, PoseEstimate]:
        """Return the scene coordinates and the pose by them; else matched features and theirs."""
        if self.estimate is not None:
            return self.network_output().scene, self.estimate
        found = self.feature_pose()
        return found.guided, found.estimate

    def _estimated(self, budget: RansacConfig) -> PoseEstimate:
        scene = self.network_output().scene
        with self.clock.stage('ransac'):
            self.estimate = estimate_pose(scene, budget, guess=self._guess)
        return self.estimate


def shown_frame(frame: Frame, cache: FrameCache) -> Frame:
    """Return a frame in gray without its masked pixels, which the cache keeps for other maps."""
    return cache.get(
        'frame', lambda: without_masked_pixels(replace(frame, image=to_gray(frame.image)))
    )
