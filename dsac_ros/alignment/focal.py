# SPDX-License-Identifier: Apache-2.0
"""Test of the focal length: do the landmarks fit another one better?

Two tests. The cheap one refines pose and focal length on the matches of one pyramid level: it
notices a few percent. The search starts from several focal lengths, each with the camera moved
along its axis so that the landmarks keep their size in the image (a dolly zoom), and compares the
scores: it notices a factor of two, at the cost of about twenty alignments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from dsac_ros.alignment import match
from dsac_ros.alignment.align import LEAST, match_landmarks, nearby_correspondences
from dsac_ros.alignment.landmarks import Landmarks, Pyramid
from dsac_ros.alignment.verification import verify_pose
from dsac_ros.geometry import se3
from dsac_ros.ransac.focal import dolly_zoomed, refine_with_focal

#: Pyramid level of the cheap test: the finest has too little reach to show more than a percent.
LEVEL = 1
#: Focal lengths that the search starts from, as multiples of the given one, and the pyramid levels
#: that pose and focal length follow from there.
STARTS, START_LEVELS = (0.5, 0.6, 0.72, 0.85, 1.18, 1.4, 1.67, 2.0), (2, 1)
OWN_LEVELS = (2, 1, 0)
ROUNDS = 3
#: Starting scale of the noise, in pixels of a level.
NOISE_PX = 4.0


@dataclass(frozen=True)
class FocalFit:
    """Focal length at which landmarks fit, as a multiple of the one that was given.

    sigma is the standard deviation of its logarithm; gain is the score there (`verify_pose`) over
    that of the pose with the focal length given.
    """

    ratio: float
    sigma: float
    gain: float


@dataclass(frozen=True)
class _Camera:
    """Pose camera_from_map (4, 4), intrinsics (3, 3) and sigma of the focal length's logarithm."""

    pose: Tensor
    matrix: Tensor
    sigma: float = math.inf


class FocalTest:
    """The landmarks of one image at its pose, asked for the focal length."""

    def __init__(
        self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor, landmarks: Landmarks
    ) -> None:
        """Takes the image, its intrinsics (3, 3), an aligned pose (4, 4) and the landmarks."""
        self._image, self._landmarks = image, landmarks
        self._given = _Camera(se3.inverse(world_from_camera).float(), matrix)

    def refined(self) -> FocalFit:
        """Refine pose and focal length from where they are, on one level."""
        camera = self._refined(self._given, (LEVEL,))
        return FocalFit(self._ratio(camera), camera.sigma, 1.0)

    def searched(self) -> FocalFit:
        """Search for the focal length at which the landmarks fit best.

        The gain is over the pose refined with the focal length given: one that features told is
        not yet where the landmarks fit.
        """
        best = max(
            self._given, self._refined(self._given, OWN_LEVELS, hold_focal=True), key=self._score
        )
        score = first = self._score(best)
        for _ in range(ROUNDS):
            start = best
            for camera in self._candidates(start):
                found = self._score(camera)
                if found > score:
                    best, score = camera, found
            # far from the truth one round leads only part of the way
            if abs(math.log(self._ratio(best) / self._ratio(start))) < math.log(STARTS[4]):
                break
        return FocalFit(self._ratio(best), best.sigma, score / max(first, 1e-9))

    def _candidates(self, start: _Camera) -> Iterator[_Camera]:
        yield self._refined(start, OWN_LEVELS)
        for factor in STARTS:
            yield self._refined(self._dolly_zoomed(start, factor), START_LEVELS)

    def _ratio(self, camera: _Camera) -> float:
        return float(camera.matrix[0, 0] / self._given.matrix[0, 0])

    def _visible(self, camera: _Camera) -> Landmarks:
        return self._landmarks.take(
            match.visible(
                self._landmarks,
                camera.pose,
                camera.matrix,
                self._image.size_wh,
                self._image.mask,
            )
        )

    def _score(self, camera: _Camera) -> float:
        return verify_pose(self._image, self._visible(camera), camera.pose, camera.matrix).score

    def _dolly_zoomed(self, camera: _Camera, factor: float) -> _Camera:
        """Multiply focal length and median depth of the visible landmarks by a factor."""
        visible = self._visible(camera)
        if not len(visible):
            return camera
        depth = (visible.points @ camera.pose[2, :3] + camera.pose[2, 3]).median()
        return _Camera(dolly_zoomed(camera.pose, depth, factor), scaled(camera.matrix, factor))

    def _refined(
        self, camera: _Camera, levels: tuple[int, ...], hold_focal: bool = False
    ) -> _Camera:
        """Match the landmarks level by level and refine pose and focal length on the matches."""
        for level in levels:
            points, pixels = match_landmarks(
                self._image, level, self._visible(camera), camera.pose, camera.matrix
            )
            if len(points) < LEAST:
                continue
            near, start = nearby_correspondences(points, pixels, camera.pose, camera.matrix)
            found = refine_with_focal(
                start[None, None], near, NOISE_PX * 2.0**level, hold_focal=hold_focal
            )
            pose = se3.inverse(near.world_from_camera(found.camera_from_world)[0, 0]).float()
            # a focal length that was held has not been determined
            sigma = math.inf if hold_focal else float(found.sigma)
            camera = _Camera(pose, scaled(camera.matrix, float(found.ratio)), sigma)
        return camera


def scaled(matrix: Tensor, factor: float) -> Tensor:
    """Intrinsics (3, 3) with the focal lengths multiplied by a factor."""
    return matrix * matrix.new_tensor(
        [[factor, factor, 1.0], [factor, factor, 1.0], [1.0, 1.0, 1.0]]
    )
