# SPDX-License-Identifier: Apache-2.0
"""Alignment of a pose: template matching of landmarks and robust refinement, coarse to fine.

At each level of the pyramid every landmark is looked for where the pose predicts it, and the pose
is refined on the matches by the robust Gauss-Newton that also ends RANSAC.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import LEVELS, Landmarks, Pyramid
from dsac_ros.alignment.verification import INLIER_NCC, Verification, verify_pose
from dsac_ros.geometry import se3
from dsac_ros.ransac import refine
from dsac_ros.ransac.correspondences import Correspondences, normalize_correspondences
from dsac_ros.ransac.leverage import bounded_influence
from dsac_ros.ransac.noise_model import initial_noise_model
from dsac_ros.types import SceneCoordinates

REACH = (2, 2, 5, 6)  # radius of the search on each level [px of the level]
LEAST = 12  # matches of a pose
COARSEST_END = 1  # a pose that was refined on no finer level than this is not aligned
ITERATIONS = 3
SETTLED = 0.002  # a pose that the finest level moved by less is not refined there again


@dataclass(frozen=True)
class Alignment:
    """A pose aligned with landmarks, and their evidence for it.

    world_from_camera (4, 4) float64 and covariance (6, 6) as in PoseEstimate, in the map's frame.
    repetitive: the landmarks fit displaced poses as well (`repetition`).
    """

    world_from_camera: Tensor
    covariance: Tensor
    verification: Verification
    repetitive: bool = False


def align(
    image: Pyramid,
    matrix: Tensor,
    world_from_camera: Tensor,
    landmarks: Landmarks,
    coarsest: int = LEVELS - 1,
) -> Alignment | None:
    """Align a pose with the landmarks; None if they are not found around it.

    Where the finest level still moved the pose, other landmarks come into view: it is refined once
    more, and the pose with the higher score is kept.

    Args:
        image: pyramid of the image.
        matrix: its intrinsics (3, 3).
        world_from_camera: pose (4, 4) to start from.
        landmarks: of the map.
        coarsest: level to start from; the coarser, the further it reaches.
    """

    def in_view(pose: Tensor) -> Landmarks:
        return landmarks.take(match.visible(landmarks, pose, matrix, image.size_wh, image.mask))

    best = world_from_camera.to(landmarks.points.device).double()
    pose = se3.inverse(best).float()
    visible, refined, reached = in_view(pose), None, LEVELS
    for level in range(coarsest, -1, -1):
        found = refine_at_level(image, level, visible, pose, matrix)
        if found is None:
            continue
        before, best, refined, reached = best, found[0], found, level
        pose = se3.inverse(best).float()
        visible = in_view(pose)
    if refined is None or reached > COARSEST_END:
        return None
    aligned = Alignment(*refined, verify_pose(image, visible, pose, matrix))
    depth = float((visible.points @ pose[2, :3] + pose[2, 3]).median()) if len(visible) else 0.0
    if reached > 0 or se3.same_view(before, best, SETTLED, depth):
        return aligned
    found = refine_at_level(image, 0, visible, pose, matrix)
    if found is None:
        return aligned
    pose = se3.inverse(found[0]).float()
    again = Alignment(*found, verify_pose(image, in_view(pose), pose, matrix))
    return max(aligned, again, key=lambda one: one.verification.score)


def refine_at_level(
    image: Pyramid, level: int, landmarks: Landmarks, camera_from_map: Tensor, matrix: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Refine a pose on matches of one level; return pose and covariance, None with too few."""
    if len(landmarks) < LEAST:
        return None
    points, pixels = match_landmarks(image, level, landmarks, camera_from_map, matrix)
    if len(points) < LEAST:
        return None
    pose, covariance, inliers = fit(
        points, pixels, torch.ones_like(points[:, 0]), camera_from_map, matrix, 2.0**level
    )
    return (pose, covariance) if inliers >= LEAST else None


def match_landmarks(
    image: Pyramid, level: int, landmarks: Landmarks, camera_from_map: Tensor, matrix: Tensor
) -> tuple[Tensor, Tensor]:
    """Match landmarks on one level; return the points (N, 3) found and their pixels (N, 2)."""
    if not len(landmarks):
        return landmarks.points, landmarks.points[:, :2]
    predicted = match.predict(landmarks, camera_from_map, matrix)
    scores = match.correlate(image, level, landmarks.templates, predicted, REACH[level])
    pixels, ncc = match.best_match(scores, predicted, level)
    good = ncc > INLIER_NCC
    return landmarks.points[good], pixels[good]


def fit(
    points: Tensor,
    pixels: Tensor,
    sigma: Tensor,
    camera_from_map: Tensor,
    matrix: Tensor,
    step_px: float,
) -> tuple[Tensor, Tensor, int]:
    """Fit a pose to points (N, 3) at pixels (N, 2) robustly, from a pose (4, 4) near it.

    Points are matched near where the pose predicts them: a chance match of one near the camera
    would hold a wrong pose against all others. So no match may have a high leverage, until the
    others have brought the pose to where a wrong match is an outlier.

    Args:
        points: places [m] in the map.
        pixels: where they are matched.
        sigma: standard deviations (N,) of the pixels relative to each other.
        camera_from_map: pose to start from.
        matrix: intrinsics (3, 3).
        step_px: size of a pixel of the level [px].

    Returns:
        world_from_camera (4, 4), covariance (6, 6) and number of inliers.
    """
    seen, start = nearby_correspondences(points, pixels, camera_from_map, matrix, sigma)
    pose, mixture = start[None, None], initial_noise_model(start[None, None], 12.0 * step_px)
    pose, mixture = refine.refine(
        pose, seen, mixture, 4.0 * step_px, ITERATIONS, bounded_influence
    )
    # what contradicts the bounded fit is an outlier by now: near points that agree count in full
    pose, mixture = refine.refine(pose, seen, mixture, 4.0 * step_px, 1)
    pose, covariance, squared = refine.final_step(pose, seen, mixture)
    inliers = int((squared < (2.0 * step_px) ** 2).sum())
    return seen.world_from_camera(pose.double())[0, 0], covariance[0, 0], inliers


def nearby_correspondences(
    points: Tensor,
    pixels: Tensor,
    camera_from_map: Tensor,
    matrix: Tensor,
    sigma: Tensor | None = None,
) -> tuple[Correspondences, Tensor]:
    """Make correspondences of points (N, 3) and pixels (N, 2), and a pose in their scaled unit.

    sigma (N,) are the relative standard deviations of the pixels, equal by default.
    """
    ones = torch.ones(1, len(points), device=points.device)
    seen = normalize_correspondences(
        SceneCoordinates(
            points_world=points[None],
            pixels=pixels[None],
            sigma_px=ones if sigma is None else sigma[None],
            valid=ones > 0,
            matrices=matrix[None],
            grid_hw=(1, len(points)),
        )
    )
    start = camera_from_map.clone()
    start[:3, 3] = (camera_from_map[:3, 3] + camera_from_map[:3, :3] @ seen.centre[0]) / seen.scale
    return seen, start
