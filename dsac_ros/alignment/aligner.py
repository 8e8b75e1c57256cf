# SPDX-License-Identifier: Apache-2.0
"""Alignment of poses with the landmarks of one map."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from dsac_ros.alignment.align import Alignment, align
from dsac_ros.alignment.contradiction import SoughtLandmarks, seek
from dsac_ros.alignment.focal import FocalTest
from dsac_ros.alignment.joint import refine_jointly
from dsac_ros.alignment.landmarks import Landmarks, Pyramid
from dsac_ros.alignment.match import visible
from dsac_ros.alignment.repetition import is_repetitive
from dsac_ros.alignment.search import refine_with_restarts, search
from dsac_ros.compute.threads import threads
from dsac_ros.geometry import se3
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import SceneCoordinates


class Aligner:
    """Aligns images with the landmarks of one map.

    Every method takes the pyramid of an image and its intrinsics (3, 3). Each step works on a few
    hundred landmarks, which one thread does faster than several.
    """

    def __init__(self, landmarks: Landmarks, depth: float) -> None:
        """Take the landmarks and their median depth [m] in the images that show them."""
        self.landmarks, self.depth = landmarks, depth

    def search(
        self,
        image: Pyramid,
        matrix: Tensor,
        candidates: Iterable[PoseEstimate],
        aligned: list[Alignment],
    ) -> Alignment | None:
        """Align candidate poses of an image and return the best alignment: `search.search`.

        Every alignment that succeeds is appended to `aligned`.
        """

        def align_from(pose: Tensor, coarsest: int) -> Alignment | None:
            return align(image, matrix, pose, self.landmarks, coarsest)

        def refined(pose: Tensor) -> Alignment | None:
            with threads(1):
                found = refine_with_restarts(pose, align_from, self.depth)
            if found is not None:
                aligned.append(found)
            return found

        return search(candidates, refined, self.depth)

    def is_repetitive(self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor) -> bool:
        """Return True if an image fits displaced poses as well: `repetition.is_repetitive`."""
        pose = se3.inverse(world_from_camera).float()
        landmarks = self.landmarks.take(
            visible(self.landmarks, pose, matrix, image.size_wh, image.mask)
        )
        with threads(1):
            return is_repetitive(image, landmarks, pose, matrix)

    def refine_jointly(
        self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor, features: SceneCoordinates
    ) -> tuple[Tensor, Tensor]:
        """Refine a pose (4, 4) on landmarks and matched features: `joint.refine_jointly`."""
        with threads(1):
            return refine_jointly(image, matrix, world_from_camera, self.landmarks, features)

    def sought_landmarks(
        self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor, exact: bool
    ) -> SoughtLandmarks:
        """Look for the landmarks that a pose (4, 4) brings into view: `contradiction.seek`.

        A pose that is not exact is aligned first, where that shows more of them.
        """
        pose = world_from_camera.to(self.landmarks.points.device)
        with threads(1):
            aligned = None if exact else align(image, matrix, pose, self.landmarks)
            poses = [pose] if aligned is None else [pose, aligned.world_from_camera]
            found = [
                seek(image, self.landmarks, se3.inverse(one).float(), matrix) for one in poses
            ]
        return max(found, key=lambda one: one.ratio)

    def focal_test(self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor) -> FocalTest:
        """Return the test of the focal length of an image at its pose (4, 4)."""
        return FocalTest(
            image, matrix, world_from_camera.to(self.landmarks.points.device), self.landmarks
        )
