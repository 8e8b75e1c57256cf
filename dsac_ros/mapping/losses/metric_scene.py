# SPDX-License-Identifier: Apache-2.0
"""Predictions of one image in metres of a room, as the pose losses weigh them.

Pose losses weigh centimetres against degrees as in a room: a scene's typical depth counts as
ROOM_M, whatever its unit is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry import se3
from dsac_ros.mapping.losses.curriculum import Patches
from dsac_ros.types import SceneCoordinates

ROOM_M = 2.5


def to_metric(scene_from_camera: Tensor) -> Tensor:
    """Convert poses (..., 4, 4) from scene units to metres of a room."""
    return se3.from_parts(scene_from_camera[..., :3, :3], ROOM_M * scene_from_camera[..., :3, 3])


def metric_scene(
    points: Tensor, patches: Patches, matrix: Tensor, rgbd: bool, sigma: Tensor | None = None
) -> tuple[SceneCoordinates, Tensor]:
    """Return scene coordinates and world_from_camera (1, 4, 4) of one image, in metres of a room.

    Args:
        points: predictions (N, 3) in scene units.
        patches: where they were seen (N), all by one camera.
        matrix: its intrinsics (3, 3).
        rgbd: True if measured depth takes part.
        sigma: predicted standard deviations (N, 1) [px]; all the same by default.
    """
    everywhere = torch.ones(1, len(points), device=points.device)
    scene = SceneCoordinates(
        points_world=ROOM_M * points[None],
        pixels=patches.pixels[None],
        sigma_px=everywhere if sigma is None else sigma.T,
        valid=everywhere > 0,
        matrices=matrix[None],
        grid_hw=(1, len(points)),
        depth=ROOM_M * patches.depth[None] if rgbd else None,
    )
    camera_from_scene = se3.from_parts(patches.rotation[:1], patches.translation[:1])
    return scene, to_metric(se3.inverse(camera_from_scene))
