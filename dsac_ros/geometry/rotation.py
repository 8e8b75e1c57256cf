# SPDX-License-Identifier: Apache-2.0
"""Representations of a rotation: matrix, quaternion (x, y, z, w), axis-angle; batched, in torch.

Every function follows dtype and device of its input and has finite gradients at zero angle.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dsac_ros.geometry.checks import check_shapes

SERIES_BELOW = 0.25  # [rad^2]; there eight terms are exact to double precision
SERIES_TERMS = 8


def skew(vectors: Tensor) -> Tensor:
    """Cross-product matrices: vectors (..., 3) -> (..., 3, 3) with `skew(a) @ b = a x b`."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
    return rows.reshape(*x.shape, 3, 3)


def exponential_coefficients(squared_angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sin(t)/t, (1 - cos t)/t^2 and (t - sin t)/t^3 as smooth functions of t^2 (...)."""
    small = squared_angle < SERIES_BELOW
    # The unused branch must stay finite as well, or its NaN would reach the gradient.
    angle = torch.where(small, torch.ones_like(squared_angle), squared_angle).sqrt()
    closed = (
        angle.sin() / angle,
        2.0 * ((0.5 * angle).sin() / angle) ** 2,
        (angle - angle.sin()) / angle**3,
    )
    near_zero = torch.where(small, squared_angle, torch.zeros_like(squared_angle))
    a, b, c = (
        torch.where(small, _alternating_series(near_zero, first), value)
        for first, value in enumerate(closed, start=1)
    )
    return a, b, c


def _alternating_series(x: Tensor, first: int) -> Tensor:
    """Sum over k of (-x)^k / (2k + first)!, by Horner's rule."""
    total = torch.zeros_like(x)
    for k in reversed(range(SERIES_TERMS)):
        total = 1.0 / math.factorial(2 * k + first) - x * total
    return total


def matrix_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: axis_angle (..., 3) [rad] -> (..., 3, 3)."""
    check_shapes(axis_angle=(axis_angle, '... 3'))
    cross = skew(axis_angle)
    a, b, _ = exponential_coefficients((axis_angle**2).sum(-1))
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + a[..., None, None] * cross + b[..., None, None] * cross @ cross


def axis_angle_from_matrix(rotation: Tensor) -> Tensor:
    """Logarithm: rotation (..., 3, 3) -> (..., 3) [rad], of length at most pi."""
    quaternion = quaternion_from_matrix(rotation)
    quaternion = torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)
    vector, scalar = quaternion[..., :3], quaternion[..., 3:]
    squared = (vector**2).sum(-1, keepdim=True)
    small = squared < 1e-8
    length = torch.where(small, torch.ones_like(squared), squared).sqrt()
    # asin(s) / s = 1 + s^2/6 + ..., where s = sin(angle / 2) is the length of the vector part.
    scale = torch.where(small, 2.0 + squared / 3.0, 2.0 * torch.atan2(length, scalar) / length)
    return scale * vector


def matrix_from_quaternion(quaternion: Tensor) -> Tensor:
    """Rotation of a quaternion (..., 4), x y z w, of any length but zero -> (..., 3, 3)."""
    check_shapes(quaternion=(quaternion, '... 4'))
    x, y, z, w = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, -1).reshape(*x.shape, 3, 3)


def quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """Unit quaternion (..., 4), x y z w with w >= 0, of a rotation (..., 3, 3).

    4 q q^T is linear in the matrix; its row with the largest diagonal entry, normalised, is q,
    well conditioned at every angle (Shepperd 1978).
    """
    check_shapes(rotation=(rotation, '... 3 3'))
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotation.unbind(-2))
    entries = [
        1 + a - e - i,
        b + d,
        c + g,
        h - f,
        b + d,
        1 - a + e - i,
        f + h,
        c - g,
        c + g,
        f + h,
        1 - a - e + i,
        d - b,
        h - f,
        c - g,
        d - b,
        1 + a + e + i,
    ]
    products = torch.stack(entries, -1).unflatten(-1, (4, 4))
    best = products.diagonal(dim1=-2, dim2=-1).argmax(-1)
    row = products.gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    row = torch.where(row[..., 3:] < 0.0, -row, row)
    return torch.nn.functional.normalize(row, dim=-1)
