# SPDX-License-Identifier: Apache-2.0
"""Decide whether an accepted pose contradicts the focal length that was given with the image."""
from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.alignment.focal import FocalTest
from dsac_ros.geometry.resample import Resampler
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.focal import dolly_zoomed, refine_with_focal
from dsac_ros.ransac.scoring import camera_points
from dsac_ros.types import SceneCoordinates

# Measured on three scenes with right and wrong focal lengths: at the right one the refinement is
# at most 1.5 % off where poses are exact and 9 % where they are good to 3 cm, so that it only asks
# for the search; that gains at most 6 % in fit or is at most 12 % off.
#: The refinement on one level shows about half of a small error, hence half of what is allowed.
REFINED_SHARE, SIGMAS = 0.5, 3.0
#: A search contradicts by this gain in fit, or by a smaller one where the ratio is this far off;
#: and only where it is determined.
MIN_GAIN, FAR_GAIN, FAR_OFF, DETERMINED = 1.06, 1.03, 0.18, 0.02
#: A search confirms a camera where it ends within half of what is allowed, is determined to what
#: is allowed, and this share of all landmarks in view looks as it should.
CONFIRMING = 0.5
#: Scene coordinates contradict where another focal length has this many times the inliers.
MORE_INLIERS, INLIER_PX = 1.25, 10.0
#: Features are counted within so many pixels; a share of the best count is as good as it.
FEATURE_PX, AS_GOOD = 3.0, 0.95
STARTS = (0.4, 0.55, 0.75, 1.0, 1.33, 1.8, 2.5)
LEAST = 12
#: So many features determine the focal length, where its standard deviation is below this; and so
#: many contradict a search that ends elsewhere, or the focal length given where no larger share of
#: them agrees with that.
ENOUGH, WELL_DETERMINED, TELLING, AGREEING = 60, 0.01, 20, 0.8


class FocalCheck:
    """Test the focal length of every accepted pose: thoroughly until a camera is confirmed.

    Features determine the focal length best; where there are few, a search by landmarks takes as
    long as twenty alignments. A good image confirms its camera, and from then on the refinement on
    landmarks watches alone, which asks the others again when it is off. An image that
    contradicts makes its camera doubted: the next images that determine nothing are refused, too,
    until one confirms it.
    """

    def __init__(self, max_error: float) -> None:
        """Takes the relative error of the focal length that is allowed; 0 allows all."""
        self.max_error = max_error
        # of each camera the ratio that its last telling image fits; 1 where that confirmed it
        self._fitting: weakref.WeakKeyDictionary[Resampler, float] = weakref.WeakKeyDictionary()

    def by_landmarks(self, camera: Resampler, test: FocalTest, inlier_ratio: float,
                     features: Callable[[], SceneCoordinates], pose: Tensor) -> float:
        """Return the fitting focal length as a multiple of the given one; 1 if none contradicts.

        Args:
            camera: the resampler of the image, which stands for its camera.
            test: the landmarks of the image at the accepted pose.
            inlier_ratio: share of all landmarks in view that look as they should, 0 where they
                do not confirm the pose and so say nothing.
            features: matches features of the image with points; called where they are needed.
            pose: the accepted world_from_camera (4, 4).
        """
        if not self.max_error:
            return 1.0
        refined = test.refined()
        off = abs(math.log(refined.ratio))
        contradicts = off > max(REFINED_SHARE * self.max_error, SIGMAS * refined.sigma)
        if not contradicts and self._fitting.get(camera) == 1.0:
            return 1.0
        fit = fitted_focal(features(), pose, FEATURE_PX)
        if fit.is_telling:
            # features are matched whatever the focal length is, and so the better witness
            wrong = fit.off > self.max_error + SIGMAS * fit.sigma
            self._fitting[camera] = fit.ratio if wrong else 1.0
            return self._fitting[camera]
        if fit.confirms(self.max_error):
            self._fitting[camera] = 1.0
            return 1.0
        if not inlier_ratio:
            return self._fitting.get(camera, 1.0)
        found = test.searched()
        far = abs(math.log(found.ratio))
        contradicts = (far > self.max_error and found.sigma < DETERMINED
                       and found.gain > (FAR_GAIN if far > FAR_OFF else MIN_GAIN))
        if contradicts and not fit.excludes(found.ratio):
            self._fitting[camera] = found.ratio
        elif (far < REFINED_SHARE * self.max_error and found.sigma < self.max_error
              and inlier_ratio > CONFIRMING):
            self._fitting[camera] = 1.0
        return self._fitting.get(camera, 1.0)

    def by_scene_coordinates(self, scene: SceneCoordinates, pose: Tensor) -> float:
        """Return the fitting focal length as a multiple of the given one; 1 if none contradicts.

        For a map without landmarks, of one image and the world_from_camera (4, 4) accepted.
        """
        if not self.max_error:
            return 1.0
        fit = fitted_focal(scene, pose, INLIER_PX)
        contradicts = fit.off > self.max_error and fit.inliers > MORE_INLIERS * fit.inliers_given
        return fit.ratio if contradicts else 1.0


@dataclass(frozen=True)
class MatchedFocal:
    """Focal length that correspondences fit, as a multiple of the one given.

    sigma is the standard deviation of its logarithm; inliers agree with it, inliers_given with the
    one given.
    """

    ratio: float
    sigma: float
    inliers: int
    inliers_given: int

    @property
    def off(self) -> float:
        """Absolute value of the logarithm of the ratio."""
        return abs(math.log(self.ratio))

    @property
    def is_telling(self) -> bool:
        """Return True if correspondences determine the focal length, or refute the given one."""
        determined = self.inliers >= ENOUGH and self.sigma < WELL_DETERMINED
        refuting = self.inliers >= TELLING and self.inliers_given < AGREEING * self.inliers
        return determined or (refuting and self.off > SIGMAS * self.sigma)

    def confirms(self, max_error: float) -> bool:
        """Return True if enough correspondences agree with a focal length within `max_error`."""
        return (self.inliers >= TELLING and self.inliers_given >= AS_GOOD * self.inliers
                and self.off < max_error and self.sigma < REFINED_SHARE * max_error)

    def excludes(self, ratio: float) -> bool:
        """Return True if enough correspondences fit another focal length than this one."""
        return (self.inliers >= TELLING
                and abs(math.log(ratio / self.ratio)) > SIGMAS * self.sigma)


def fitted_focal(scene: SceneCoordinates, world_from_camera: Tensor,
                 within_px: float) -> MatchedFocal:
    """Fit pose and focal length to the correspondences of one image, from several starts.

    world_from_camera (4, 4) is the pose with the given focal length; each start moves it along its
    axis so that what lies at the median depth keeps its size. Inliers are within so many pixels.
    """
    if int(scene.valid.sum()) < LEAST:
        return MatchedFocal(1.0, math.inf, 0, 0)
    seen = normalize_correspondences(scene)
    pose = seen.camera_from_scaled(world_from_camera[None, None].to(seen.points))
    starts = pose.new_tensor(STARTS)
    depth = camera_points(pose, seen.points)[2][seen.valid[:, None]].median()
    poses = dolly_zoomed(pose.expand(-1, len(STARTS), -1, -1), depth, starts)
    given = refine_with_focal(pose, seen, INLIER_PX, hold_focal=True)
    free = refine_with_focal(poses, seen, INLIER_PX, ratio=starts[None])
    inliers, others = (((one.squared[0] < within_px ** 2) & seen.valid).sum(-1)
                       for one in (given, free))
    # of those that explain as many, the nearest to the focal length given
    far = torch.where(others >= AS_GOOD * others.max(), free.ratio[0].log().abs(), math.inf)
    best = int(far.argmin())
    return MatchedFocal(float(free.ratio[0, best]), float(free.sigma[0, best]),
                        int(others[best]), int(inliers[0]))
