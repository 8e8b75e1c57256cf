# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as 4x4 matrices (..., 4, 4), batched, in torch.

A twist (..., 6) is [translation, rotation]; perturbations act on the left, T <- exp(d) @ T.
Equations: Barfoot, State Estimation for Robotics, chapter 7 (V is his left Jacobian J).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.rotation import axis_angle_from_matrix, exponential_coefficients, skew


def exp(twist: Tensor) -> Tensor:
    """Exponential map: twist (..., 6) -> motion (..., 4, 4)."""
    check_shapes(twist=(twist, '... 6'))
    rotation, left_jacobian = _rotation_and_left_jacobian(twist[..., 3:])
    return from_parts(rotation, (left_jacobian @ twist[..., :3, None]).squeeze(-1))


def log(motion: Tensor) -> Tensor:
    """Logarithm: motion (..., 4, 4) -> twist (..., 6), rotation of length at most pi."""
    check_shapes(motion=(motion, '... 4 4'))
    axis_angle = axis_angle_from_matrix(motion[..., :3, :3])
    _, left_jacobian = _rotation_and_left_jacobian(axis_angle)
    translation = torch.linalg.solve(left_jacobian, motion[..., :3, 3:]).squeeze(-1)
    return torch.cat([translation, axis_angle], -1)


def _rotation_and_left_jacobian(axis_angle: Tensor) -> tuple[Tensor, Tensor]:
    """R = I + a W + b W^2 and V = I + b W + c W^2 for W = skew(axis_angle)."""
    cross = skew(axis_angle)
    squared = cross @ cross
    a, b, c = (k[..., None, None] for k in exponential_coefficients((axis_angle**2).sum(-1)))
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + a * cross + b * squared, identity + b * cross + c * squared


def from_parts(rotation: Tensor, translation: Tensor) -> Tensor:
    """Assemble the 4x4 of a rotation (..., 3, 3) and a translation (..., 3)."""
    upper = torch.cat([rotation, translation[..., None]], -1)
    lower = torch.zeros_like(upper[..., :1, :])
    lower[..., 3] = 1.0
    return torch.cat([upper, lower], -2)


def inverse(motion: Tensor) -> Tensor:
    """Invert rigid motions (..., 4, 4) without a solver."""
    check_shapes(motion=(motion, '... 4 4'))
    transposed = motion[..., :3, :3].mT
    return from_parts(transposed, -(transposed @ motion[..., :3, 3:]).squeeze(-1))


def transform(motion: Tensor, points: Tensor) -> Tensor:
    """Transform points (..., N, 3) by target_from_source motions (..., 4, 4) -> (..., N, 3)."""
    check_shapes(motion=(motion, '... 4 4'), points=(points, '... N 3'))
    return points @ motion[..., :3, :3].mT + motion[..., None, :3, 3]


def rotation_angle(rotation: Tensor) -> Tensor:
    """Angle of a rotation (..., 3, 3) -> (...) [rad] in 0 to pi; exact near zero and near pi."""
    check_shapes(rotation=(rotation, '... 3 3'))
    difference = rotation - rotation.mT
    sine = 0.5 * torch.stack(
        [difference[..., 2, 1], difference[..., 0, 2], difference[..., 1, 0]], -1
    ).norm(dim=-1)
    cosine = 0.5 * (rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1.0)
    return torch.atan2(sine, cosine)


def pose_error(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance of the centres [m] and the rotation angle [rad] of poses (..., 4, 4)."""
    check_shapes(a=(a, '... 4 4'), b=(b, '... 4 4'))
    translation = (a[..., :3, 3] - b[..., :3, 3]).norm(dim=-1)
    return translation, rotation_angle(a[..., :3, :3].mT @ b[..., :3, :3])


def same_view(a: Tensor, b: Tensor, limit: float, depth: float) -> bool:
    """Return whether poses (4, 4) differ by less than an angle `limit` [rad] in rotation.

    The same limit applies to the angle under which their distance appears from `depth`.
    """
    metres, angle = pose_error(a, b)
    return bool((angle < limit) & (metres < limit * depth))
