# SPDX-License-Identifier: Apache-2.0
"""Refinement of a pose on landmarks and matched features together.

Template matches are more precise where they exist, but may settle on the wrong period of a
repeated pattern, or fail where the view has changed. Feature matches are more robust and less
precise. The robust fit weights both and rejects outliers of either.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.alignment import match
from dsac_ros.alignment.align import fit, match_landmarks
from dsac_ros.alignment.landmarks import Landmarks, Pyramid
from dsac_ros.geometry import se3
from dsac_ros.types import SceneCoordinates

REFINED_LEVELS = (2, 1, 0)  # of the pyramid, coarse to fine
# Standard deviation of a feature's pixel, in those of a landmark on the finest level: of 1, 2 and
# 4 on three scenes the best.
FEATURE_SIGMA = 2.0


def refine_jointly(
    image: Pyramid,
    matrix: Tensor,
    world_from_camera: Tensor,
    landmarks: Landmarks,
    features: SceneCoordinates,
) -> tuple[Tensor, Tensor]:
    """Refine the pose of an image on landmarks and features.

    Args:
        image: the image that landmarks are looked for in.
        matrix: its intrinsics (3, 3).
        world_from_camera: pose (4, 4) near the right one.
        landmarks: of the map.
        features: matched features (1, N) of the image, in the same pixels.

    Returns:
        Pose (4, 4) float64 and covariance (6, 6) as in PoseEstimate.
    """
    pose = world_from_camera.to(landmarks.points.device).double()
    covariance = torch.full((6, 6), torch.inf, dtype=pose.dtype, device=pose.device)
    for level in REFINED_LEVELS:
        camera_from_map = se3.inverse(pose).float()
        visible = landmarks.take(
            match.visible(landmarks, camera_from_map, matrix, image.size_wh, image.mask)
        )
        points, pixels = match_landmarks(image, level, visible, camera_from_map, matrix)
        known = features.points_world[0].to(points)
        sigma = torch.cat(
            [
                torch.full_like(points[:, 0], 2.0**level),
                torch.full_like(known[:, 0], FEATURE_SIGMA),
            ]
        )
        pose, covariance, _ = fit(
            torch.cat([points, known]),
            torch.cat([pixels, features.pixels[0].to(pixels)]),
            sigma,
            camera_from_map,
            matrix,
            2.0**level,
        )
    return pose, covariance
