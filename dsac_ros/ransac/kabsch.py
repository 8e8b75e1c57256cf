# SPDX-License-Identifier: Apache-2.0
"""Absolute orientation: the rigid motion between two sets of corresponding points (Kabsch 1976).

One function serves the minimal set of three of RGB-D and a weighted fit to all cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry import se3
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.procrustes import nearest_rotation

# Points nearer together than this share of their distance from the origin are one point.
MIN_SPREAD = 1e-10


def solve_kabsch(
    points_world: Tensor, points_camera: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Find the pose that minimises sum_i w_i |R X_i + t - Y_i|^2, always with a proper rotation.

    Coplanar points determine the pose. Collinear, coincident and non-finite points do not, nor
    does a mirror image without a preferred axis. A point of weight zero may have any value, also
    NaN.

    Args:
        points_world: X (..., N, 3), any unit.
        points_camera: Y (..., N, 3), the same unit.
        weights: w (..., N), not negative; default equal weights.

    Returns:
        camera_from_world (..., 4, 4) in the dtype of the points, and a mask (...) of the
        determined ones; the others are the identity. First derivatives by all three arguments are
        finite, and zero for undetermined poses.
    """
    if weights is None:
        weights = torch.ones_like(points_world[..., 0])
    check_shapes(
        points_world=(points_world, '... N 3'),
        points_camera=(points_camera, '... N 3'),
        weights=(weights, '... N'),
    )
    finite = _is_finite(points_world) & _is_finite(points_camera) & weights.isfinite()
    sound = ((finite | (weights == 0.0)) & ~(weights < 0.0)).all(-1)
    usable = finite & sound[..., None]
    world, camera = (
        torch.where(usable[..., None], x, 0.0).double() for x in (points_world, points_camera)
    )
    weight = torch.where(usable, weights, 0.0).double()[..., None]
    weight = weight / weight.sum(-2, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)

    center_world, center_camera = (weight.mT @ x for x in (world, camera))
    from_center_world, from_center_camera = world - center_world, camera - center_camera
    rotation, determined = nearest_rotation((weight * from_center_camera).mT @ from_center_world)
    valid = (
        sound
        & determined
        & _spread(weight, world, from_center_world)
        & _spread(weight, camera, from_center_camera)
    )
    translation = (center_camera - center_world @ rotation.mT).squeeze(-2)
    pose = se3.from_parts(rotation, translation)
    identity = torch.eye(4, dtype=pose.dtype, device=pose.device)
    return torch.where(valid[..., None, None], pose, identity).to(points_world.dtype), valid


def _is_finite(points: Tensor) -> Tensor:
    """Return which points (..., N, 3) are finite; faster than a reduction over three numbers."""
    x, y, z = points.detach().unbind(-1)
    return (x + y + z).isfinite()


def _spread(weight: Tensor, points: Tensor, from_center: Tensor) -> Tensor:
    """Return whether points (..., N, 3) with weights (..., N, 1) are distinct: (...)."""
    apart, size = ((weight.mT @ x.square()).sum((-2, -1)) for x in (from_center, points))
    return apart > MIN_SPREAD**2 * size
