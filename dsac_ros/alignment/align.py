# SPDX-License-Identifier: Apache-2.0
"""From a pose that is nearly right to one at which the image looks like the map's pictures.

Coarse to fine: at each level of the pyramid every landmark is looked for where the pose predicts
it, and the pose follows the matches by the robust Gauss-Newton that ends RANSAC.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import LEVELS, Landmarks, Pyramid
from dsac_ros.alignment.support import ALIKE, support
from dsac_ros.geometry import se3
from dsac_ros.ransac import refine
from dsac_ros.ransac.correspondences import Correspondences, normalize_correspondences
from dsac_ros.ransac.noise_model import initial_noise_model
from dsac_ros.types import SceneCoordinates

REACH = (2, 2, 5, 6)     # how far is searched on each level [px of the level]
LEAST = 12               # matches of a pose
COARSEST_END = 1         # a pose that no finer level than this agrees with is not aligned
ITERATIONS = 3
SETTLED = 0.002          # a pose that the finest level moved by less is not followed there again


@dataclass(frozen=True)
class Alignment:
    """A pose at which the landmarks are where they should be.

    world_from_camera (4, 4) float64 and covariance (6, 6) as in PoseEstimate, in the map's frame;
    fit: how well the landmarks look as they should, of poses of one image the better the more;
    share: of those that nothing hides, how many do; overall: of all in view; corner: whether they
    lie in a corner of the image, and repeats: whether they fit elsewhere as well (`repetition`),
    either of which confirms no pose.
    """

    world_from_camera: Tensor
    covariance: Tensor
    fit: float
    share: float
    overall: float
    corner: bool = False
    repeats: bool = False


def align(image: Pyramid, matrix: Tensor, world_from_camera: Tensor, landmarks: Landmarks,
          coarsest: int = LEVELS - 1) -> Alignment | None:
    """The pose near `world_from_camera` (4, 4) at which an image fits the landmarks.

    Of the image with intrinsics (3, 3), from level `coarsest` on: the coarser, the further it
    reaches. Where the finest still moved the pose other landmarks are in reach then: it is
    followed once more, and what fits better is kept. None where it fits nowhere near.
    """
    def in_view(pose: Tensor) -> Landmarks:
        return landmarks.take(match.visible(landmarks, pose, matrix, image.size_wh))
    best = world_from_camera.to(landmarks.points.device).double()
    pose = se3.inverse(best).float()
    seen, fitted, reached = in_view(pose), None, LEVELS
    for number in range(coarsest, -1, -1):
        step = follow(image, number, seen, pose, matrix)
        if step is None:
            continue
        before, best, fitted, reached = best, step[0], step, number
        pose = se3.inverse(best).float()
        seen = in_view(pose)
    if fitted is None or reached > COARSEST_END:
        return None
    found = Alignment(*fitted, *support(image, seen, pose, matrix))
    depth = float((seen.points @ pose[2, :3] + pose[2, 3]).median()) if len(seen) else 0.0
    if reached > 0 or se3.same_view(before, best, SETTLED, depth):
        return found
    step = follow(image, 0, seen, pose, matrix)
    if step is None:
        return found
    pose = se3.inverse(step[0]).float()
    again = Alignment(*step, *support(image, in_view(pose), pose, matrix))
    return max(found, again, key=lambda one: one.fit)


def follow(image: Pyramid, number: int, seen: Landmarks, camera_from_map: Tensor,
           matrix: Tensor) -> tuple[Tensor, Tensor] | None:
    """Pose and covariance after looking for the landmarks on one level; None if not found."""
    if len(seen) < LEAST:
        return None
    points, pixels = matched(image, number, seen, camera_from_map, matrix)
    if len(points) < LEAST:
        return None
    pose, covariance, inliers = fit(points, pixels, torch.ones_like(points[:, 0]),
                                    camera_from_map, matrix, 2.0 ** number)
    return (pose, covariance) if inliers >= LEAST else None


def matched(image: Pyramid, number: int, seen: Landmarks, camera_from_map: Tensor,
            matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Points (N, 3) of the landmarks that are found on one level, and their pixels (N, 2)."""
    if not len(seen):
        return seen.points, seen.points[:, :2]
    predicted = match.predict(seen, camera_from_map, matrix)
    scores = match.correlate(image, number, seen.templates, predicted, REACH[number])
    pixels, ncc = match.best_match(scores, predicted, number)
    good = ncc > ALIKE
    return seen.points[good], pixels[good]


def fit(points: Tensor, pixels: Tensor, sigma: Tensor, camera_from_map: Tensor, matrix: Tensor,
        step_px: float) -> tuple[Tensor, Tensor, int]:
    """The pose at which points (N, 3) are seen at pixels (N, 2), its covariance, and by how many.

    Robust, from a pose near; step_px is the size of a pixel of the level, and sigma (N,) are the
    standard deviations of the pixels relative to each other.
    """
    seen, start = nearby_correspondences(points, pixels, camera_from_map, matrix, sigma)
    pose, mixture = start[None, None], initial_noise_model(start[None, None], 12.0 * step_px)
    pose, mixture = refine.refine(pose, seen, mixture, 4.0 * step_px, ITERATIONS)
    pose, covariance, squared = refine.final_step(pose, seen, mixture)
    inliers = int((squared < (2.0 * step_px) ** 2).sum())
    return seen.world_from_camera(pose.double())[0, 0], covariance[0, 0], inliers


def nearby_correspondences(points: Tensor, pixels: Tensor, camera_from_map: Tensor,
                           matrix: Tensor, sigma: Tensor | None = None,
                           ) -> tuple[Correspondences, Tensor]:
    """Points (N, 3) seen at pixels (N, 2), and a pose (4, 4) in the unit of their scaled world.

    sigma (N,) are the relative standard deviations of the pixels, all the same by default.
    """
    ones = torch.ones(1, len(points), device=points.device)
    seen = normalize_correspondences(SceneCoordinates(
        points_world=points[None], pixels=pixels[None],
        sigma_px=ones if sigma is None else sigma[None], valid=ones > 0,
        matrices=matrix[None], grid_hw=(1, len(points))))
    start = camera_from_map.clone()
    start[:3, 3] = (camera_from_map[:3, 3] + camera_from_map[:3, :3] @ seen.centre[0]) / seen.scale
    return seen, start
