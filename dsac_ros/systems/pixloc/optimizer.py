# SPDX-License-Identifier: Apache-2.0
"""Levenberg-Marquardt on SE(3) with learned damping (Sarlin et al., CVPR 2021, eq. 4 and 5).

    d = -(H + diag(lambda) diag(H))^-1 g,  T <- exp(d) T

One lambda for each parameter and level, learned with the features: the prior on the motion. Every
step is differentiable, so that poses alone teach features, confidences and damping.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry import se3
from dsac_ros.systems.pixloc.featuremetric import Field, ReferencePoints, Residuals, residuals

LEAST_POINTS = 10  # in view of a pose that is refined
SINGULAR = 1e-6  # added to the diagonal of the scaled normal equations


def step(found: Residuals, damping: Tensor) -> Tensor:
    """Return the twist (B, 6) of one step; zero where too few points are in view.

    The equations are scaled to a unit diagonal first: metres and radians then weigh the same, and
    the step does not depend on the unit of length.
    """
    diagonal = found.hessian.diagonal(dim1=-2, dim2=-1)
    enough = (found.in_view.sum(1) >= LEAST_POINTS) & (diagonal > 0).all(1)
    # a square root of zero has no derivative
    length = torch.where(enough[:, None], diagonal, torch.ones_like(diagonal)).sqrt()
    scaled = found.hessian / (length[:, :, None] * length[:, None, :])
    identity = torch.eye(6, dtype=scaled.dtype, device=scaled.device)
    scaled = torch.where(enough[:, None, None], scaled, identity)
    twist = -torch.linalg.solve(
        scaled + torch.diag_embed(damping + SINGULAR).expand_as(scaled),
        found.gradient / length,
    )
    return torch.where(enough[:, None], twist / length, torch.zeros_like(twist))


def optimize(
    reference: ReferencePoints,
    field: Field,
    camera_from_map: Tensor,
    matrix: Tensor,
    damping: Tensor,
    scale: Tensor,
    iterations: int,
    converged: float = 0.0,
) -> Tensor:
    """Refine poses (B, 4, 4) on one level.

    Args:
        reference: points and their features.
        field: of the query.
        camera_from_map: poses to start from.
        matrix: intrinsics (3, 3).
        damping: factors (6,).
        scale: of the robust loss.
        iterations: at most.
        converged: stop when no pose turns any more by so much [rad], or moves by so much of the
            median depth.
    """
    pose = camera_from_map
    for _ in range(iterations):
        twist = step(residuals(reference, field, pose, matrix, scale), damping)
        pose = se3.exp(twist) @ pose
        if converged and bool(is_small(twist, reference, pose, converged)):
            break
    return pose


def is_small(
    twist: Tensor, reference: ReferencePoints, camera_from_map: Tensor, limit: float
) -> Tensor:
    """Return whether all twists (B, 6) change the views by less than a limit [rad]."""
    depth = reference.points @ camera_from_map[:, 2, :3, None] + camera_from_map[:, 2:3, 3:]
    median = depth[..., 0].abs().median(1).values.clamp(min=1e-9)
    moved = twist[:, :3].norm(dim=1) / median
    return (torch.maximum(moved, twist[:, 3:].norm(dim=1)) < limit).all()
