# SPDX-License-Identifier: Apache-2.0
"""Detection of a wrong focal length of the given camera at an accepted pose."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.alignment.focal import FocalFit, FocalTest
from dsac_ros.geometry.resample import Resampler
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.focal import dolly_zoomed, refine_with_focal
from dsac_ros.ransac.scoring import camera_points
from dsac_ros.types import SceneCoordinates

# Thresholds measured on three scenes with right and wrong focal lengths. At the right one the
# refinement deviates by at most 1.5 % for exact poses and 9 % for poses with errors of 3 cm, so
# that it only triggers the search; the search improves the score by at most 6 % or deviates by at
# most 12 %.
#: The refinement on one level reveals about half of a small error, and a quarter at least: of two
#: zoomed images that scored 1.07 and 1.10 times as much at wrong focal lengths it showed nothing.
REFINED_FRACTION, LEAST_REFINED, SIGMAS = 0.5, 0.25, 3.0
#: The search contradicts if the score improves by MIN_GAIN, or by MIN_GAIN_IF_LARGE at a log ratio
#: above LARGE_LOG_RATIO, and if its standard deviation is below MAX_SEARCH_SIGMA.
MIN_GAIN, MIN_GAIN_IF_LARGE, LARGE_LOG_RATIO, MAX_SEARCH_SIGMA = 1.06, 1.03, 0.18, 0.02
#: The search confirms a camera if it deviates by less than half of the accepted error, its
#: standard deviation is below that error, and the inlier ratio of landmarks in view exceeds this.
MIN_CONFIRMING_INLIER_RATIO = 0.5
#: Scene coordinates contradict if another focal length has this many times the inliers.
MIN_INLIER_FACTOR, INLIER_PX = 1.25, 10.0
#: Inlier threshold of features [px]; counts above this share of the best are equivalent.
FEATURE_PX, EQUIVALENT_COUNT = 3.0, 0.95
STARTS = (0.4, 0.55, 0.75, 1.0, 1.33, 1.8, 2.5)
MIN_CELLS = 12
#: Features determine the focal length if there are MIN_DETERMINING inliers and its standard
#: deviation is small. MIN_CONCLUSIVE inliers contradict another result of the search, or the given
#: focal length if the share of them that agrees with it is below MAX_AGREEING_RATIO.
MIN_DETERMINING, MAX_SIGMA_DETERMINING, MIN_CONCLUSIVE, MAX_AGREEING_RATIO = 60, 0.01, 20, 0.8
#: Errors of the map's points are alike in one part of an image, which the standard deviation does
#: not know: with half of the image covered, the right focal length was off by up to 16 of them
#: (9 % beside 0.5 %). Features contradict a camera beyond the accepted error and this many. An
#: image of a camera that none has confirmed is refused beyond SIGMAS: of fourteen places ten wrong
#: focal lengths (1.12 and 1.3 times the right one) were between the two, and one of 25 right ones.
SYSTEMATIC_SIGMAS = 10.0


class FocalCheck:
    """Tests the focal length at every accepted pose, thoroughly until a camera is confirmed.

    Features determine the focal length best; if there are few, it is searched by landmarks, at the
    cost of twenty alignments. Once an image has confirmed its camera, only the fast refinement on
    landmarks is run, and the other tests if it deviates. If an image contradicts its camera, later
    inconclusive images are rejected, too, until one confirms it; landmarks that contradict a
    camera which is confirmed rather show that the pose is wrong, and reject this image alone.
    """

    def __init__(self, max_error: float) -> None:
        """Set the accepted relative error of the focal length; 0 accepts all."""
        self.max_error = max_error
        # camera -> ratio fitted to its last conclusive image; 1 if that confirmed it
        self._ratio_of_camera: weakref.WeakKeyDictionary[Resampler, float] = (
            weakref.WeakKeyDictionary()
        )

    def by_landmarks(
        self,
        camera: Resampler,
        test: FocalTest,
        inlier_ratio: float,
        features: Callable[[], SceneCoordinates],
        pose: Tensor,
    ) -> float:
        """Return the fitting focal length relative to the given one; 1 if nothing contradicts it.

        Args:
            camera: the resampler of the image, which identifies its camera.
            test: the landmarks of the image at the accepted pose.
            inlier_ratio: ratio of confirmed landmarks among those in view; 0 if they do not
                confirm the pose and are inconclusive.
            features: computes correspondences of image features; called on demand.
            pose: the accepted world_from_camera (4, 4).
        """
        if not self.max_error:
            return 1.0
        refined = test.refined()
        log_error = abs(math.log(refined.ratio))
        contradicts = log_error > max(REFINED_FRACTION * self.max_error, SIGMAS * refined.sigma)
        is_confirmed = self._ratio_of_camera.get(camera) == 1.0
        if not contradicts and is_confirmed:
            return 1.0
        fit = fitted_focal(features(), pose, FEATURE_PX)
        # features are matched independently of the focal length, hence more reliable
        ratio = fit.verdict(self.max_error)
        if ratio is None and inlier_ratio:
            ratio = self._searched(test, refined, fit, inlier_ratio)
            if ratio is not None and ratio != 1.0 and is_confirmed:
                return ratio
        if ratio is not None:
            self._ratio_of_camera[camera] = ratio
        elif camera not in self._ratio_of_camera and fit.deviates(self.max_error, SIGMAS):
            return fit.ratio
        return self._ratio_of_camera.get(camera, 1.0)

    def _searched(
        self, test: FocalTest, refined: FocalFit, fit: MatchedFocal, inlier_ratio: float
    ) -> float | None:
        """Return the ratio that a search by landmarks finds, 1 to confirm; None if undecided."""
        if fit.is_conclusive:
            return None
        found = test.searched()
        far = abs(math.log(found.ratio))
        contradicts = (
            far > self.max_error
            and found.sigma < MAX_SEARCH_SIGMA
            and found.gain > (MIN_GAIN_IF_LARGE if far > LARGE_LOG_RATIO else MIN_GAIN)
        )
        small = far < LARGE_LOG_RATIO
        shown = math.log(refined.ratio) * math.copysign(1.0, math.log(found.ratio))
        agrees = not fit.deviates(self.max_error, SIGMAS) and fit.excludes(found.ratio)
        if contradicts and not agrees and not (small and shown < LEAST_REFINED * far):
            return found.ratio
        confirms = (
            far < REFINED_FRACTION * self.max_error
            and found.sigma < self.max_error
            and inlier_ratio > MIN_CONFIRMING_INLIER_RATIO
        )
        return 1.0 if confirms else None

    def by_scene_coordinates(self, scene: SceneCoordinates, pose: Tensor) -> float:
        """Return the fitting focal length relative to the given one; 1 if nothing contradicts it.

        For a map without landmarks, of one image and the accepted world_from_camera (4, 4).
        """
        if not self.max_error:
            return 1.0
        fit = fitted_focal(scene, pose, INLIER_PX)
        contradicts = (
            fit.log_error > self.max_error and fit.inliers > MIN_INLIER_FACTOR * fit.inliers_given
        )
        return fit.ratio if contradicts else 1.0


@dataclass(frozen=True)
class MatchedFocal:
    """Focal length fitted to correspondences, relative to the given one.

    Attributes:
        ratio: fitted over given focal length.
        sigma: standard deviation of its logarithm.
        inliers: number of inliers at the fitted focal length.
        inliers_given: number of inliers at the given focal length.
    """

    ratio: float
    sigma: float
    inliers: int
    inliers_given: int

    @property
    def log_error(self) -> float:
        """Absolute value of the logarithm of the ratio."""
        return abs(math.log(self.ratio))

    @property
    def is_conclusive(self) -> bool:
        """True if correspondences determine the focal length, or refute the given one."""
        determined = self.inliers >= MIN_DETERMINING and self.sigma < MAX_SIGMA_DETERMINING
        refuting = (
            self.inliers >= MIN_CONCLUSIVE
            and self.inliers_given < MAX_AGREEING_RATIO * self.inliers
        )
        return determined or (refuting and self.log_error > SIGMAS * self.sigma)

    def deviates(self, max_error: float, sigmas: float) -> bool:
        """Return True if the error exceeds `max_error` by so many standard deviations."""
        return self.inliers >= MIN_CELLS and self.log_error > max_error + sigmas * self.sigma

    def verdict(self, max_error: float) -> float | None:
        """Return the ratio that the correspondences tell, 1 to confirm; None if undecided."""
        if not self.is_conclusive:
            return 1.0 if self.confirms(max_error) else None
        if self.deviates(max_error, SYSTEMATIC_SIGMAS):
            return self.ratio
        return None if self.deviates(max_error, SIGMAS) else 1.0

    def confirms(self, max_error: float) -> bool:
        """Return True if enough correspondences agree with a focal length within `max_error`."""
        return (
            self.inliers >= MIN_CONCLUSIVE
            and self.inliers_given >= EQUIVALENT_COUNT * self.inliers
            and self.log_error < max_error
            and self.sigma < REFINED_FRACTION * max_error
        )

    def excludes(self, ratio: float) -> bool:
        """Return True if enough correspondences fit another focal length than this one."""
        return (
            self.inliers >= MIN_CONCLUSIVE
            and abs(math.log(ratio / self.ratio)) > SIGMAS * self.sigma
        )


def fitted_focal(
    scene: SceneCoordinates, world_from_camera: Tensor, threshold_px: float
) -> MatchedFocal:
    """Fit pose and focal length to the correspondences of one image, from several starts.

    Each start moves the camera along its axis so that objects at the median depth keep their size.

    Args:
        scene: correspondences of one image.
        world_from_camera: (4, 4) at the given focal length.
        threshold_px: largest error of an inlier [px].
    """
    if int(scene.valid.sum()) < MIN_CELLS:
        return MatchedFocal(1.0, math.inf, 0, 0)
    correspondences = normalize_correspondences(scene)
    pose = correspondences.camera_from_scaled(
        world_from_camera[None, None].to(correspondences.points)
    )
    starts = pose.new_tensor(STARTS)
    depth = camera_points(pose, correspondences.points)[2][correspondences.valid[:, None]].median()
    poses = dolly_zoomed(pose.expand(-1, len(STARTS), -1, -1), depth, starts)
    fixed = refine_with_focal(pose, correspondences, INLIER_PX, hold_focal=True)
    free = refine_with_focal(poses, correspondences, INLIER_PX, ratio=starts[None])
    inliers, others = (
        ((one.squared[0] < threshold_px**2) & correspondences.valid).sum(-1)
        for one in (fixed, free)
    )
    # among equivalent ones, the nearest to the given focal length
    far = torch.where(
        others >= EQUIVALENT_COUNT * others.max(), free.ratio[0].log().abs(), math.inf
    )
    best = int(far.argmin())
    return MatchedFocal(
        float(free.ratio[0, best]), float(free.sigma[0, best]), int(others[best]), int(inliers[0])
    )
