# SPDX-License-Identifier: Apache-2.0
"""Rotation representations for networks, by name: vectors to rotation matrices and back.

A degenerate vector (zero, parallel, rank below two) gives the identity, with a finite gradient;
NaN gives NaN, so that a diverged network is noticed. Comparison for learning: Zhou et
al., 'On the Continuity of Rotation Representations in Neural Networks', CVPR 2019; Levinson et
al., 'An Analysis of SVD for Deep Rotation Estimation', NeurIPS 2020; Arnold et al., 'Map-free
Visual Relocalization', ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.procrustes import nearest_rotation
from dsac_ros.geometry.rotation import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_quaternion,
    quaternion_from_matrix,
)

# Smallest sine of the angle between two independent columns.
MIN_SINE = 1e-6
#: A regular tetrahedron about the origin; a network predicts its rotated points.
CANONICAL_POINTS = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))


@dataclass(frozen=True)
class Representation:
    """A rotation as a vector: to_matrix (..., dims) -> (..., 3, 3), from_matrix its inverse."""

    name: str
    dims: int
    to_matrix: Callable[[Tensor], Tensor]
    from_matrix: Callable[[Tensor], Tensor]


def matrix_from_log_quaternion(log_quaternion: Tensor) -> Tensor:
    """Rotation of the logarithm of a unit quaternion, half of axis-angle: (..., 3) [rad]."""
    return matrix_from_axis_angle(2.0 * log_quaternion)


def log_quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """Logarithm (..., 3) [rad] of the unit quaternion of a rotation; length at most pi / 2."""
    return 0.5 * axis_angle_from_matrix(rotation)


def matrix_from_euler(euler: Tensor) -> Tensor:
    """Rz(yaw) Ry(pitch) Rx(roll) of roll, pitch, yaw (..., 3) [rad] (REP 103)."""
    check_shapes(euler=(euler, '... 3'))
    axes = torch.eye(3, dtype=euler.dtype, device=euler.device)
    roll, pitch, yaw = (matrix_from_axis_angle(euler[..., k : k + 1] * axes[k]) for k in range(3))
    return yaw @ pitch @ roll


def euler_from_matrix(rotation: Tensor) -> Tensor:
    """Roll, pitch, yaw (..., 3) [rad] of a rotation, pitch within +-pi/2.

    After removal of the yaw, the middle row is (0, cos roll, -sin roll): well conditioned at every
    pitch. In gimbal lock the yaw is zero.
    """
    check_shapes(rotation=(rotation, '... 3 3'))
    (a, b, c), (d, e, f), (g, _, _) = (row.unbind(-1) for row in rotation.unbind(-2))
    locked = a * a + d * d <= torch.finfo(a.dtype).tiny
    yaw = torch.atan2(torch.where(locked, 0.0, d), torch.where(locked, 1.0, a))
    cosine, sine = yaw.cos(), yaw.sin()
    pitch = torch.atan2(-g, cosine * a + sine * d)
    roll = torch.atan2(sine * c - cosine * f, cosine * e - sine * b)
    return torch.stack((roll, pitch, yaw), -1)


def matrix_from_columns(columns: Tensor) -> Tensor:
    """Gram-Schmidt on the first and the second column of a matrix: (..., 6) (Zhou, eq. 15)."""
    check_shapes(columns=(columns, '... 6'))
    a, b = columns.detach().unflatten(-1, (2, 3)).unbind(-2)
    area = torch.linalg.cross(normalize(a, dim=-1), normalize(b, dim=-1)).norm(dim=-1)
    flat = (area < MIN_SINE)[..., None]
    a, b = (
        torch.where(flat, columns.new_tensor((1.0, 0.0, 0.0, 0.0, 1.0, 0.0)), columns)
        .unflatten(-1, (2, 3))
        .unbind(-2)
    )
    first = normalize(a, dim=-1)
    third = normalize(torch.linalg.cross(first, normalize(b, dim=-1)), dim=-1)
    return torch.stack((first, torch.linalg.cross(third, first), third), -1)


def columns_from_matrix(rotation: Tensor) -> Tensor:
    """The first and the second column of a rotation, one after the other (..., 6)."""
    check_shapes(rotation=(rotation, '... 3 3'))
    return rotation[..., :2].mT.flatten(-2)


def matrix_from_entries(entries: Tensor) -> Tensor:
    """The rotation nearest to a matrix (..., 9), row by row."""
    check_shapes(entries=(entries, '... 9'))
    return _nearest_or_nan(entries.unflatten(-1, (3, 3)))


def entries_from_matrix(rotation: Tensor) -> Tensor:
    """The entries of a rotation, row by row (..., 9)."""
    check_shapes(rotation=(rotation, '... 3 3'))
    return rotation.flatten(-2)


def matrix_from_points(points: Tensor) -> Tensor:
    """The rotation that aligns CANONICAL_POINTS best with points (..., 12), up to translation.

    Kabsch's solution; the canonical points sum to zero, so the centroid of the others drops out
    and may serve as the translation.
    """
    check_shapes(points=(points, '... 12'))
    canonical = points.new_tensor(CANONICAL_POINTS)
    return _nearest_or_nan(points.unflatten(-1, (4, 3)).mT @ canonical)


def points_from_matrix(rotation: Tensor) -> Tensor:
    """CANONICAL_POINTS rotated, point by point (..., 12)."""
    check_shapes(rotation=(rotation, '... 3 3'))
    return (rotation.new_tensor(CANONICAL_POINTS) @ rotation.mT).flatten(-2)


def _nearest_or_nan(matrix: Tensor) -> Tensor:
    finite = matrix.isfinite().all(-1).all(-1)[..., None, None]
    return torch.where(finite, nearest_rotation(matrix)[0], torch.nan)


REPRESENTATIONS = {
    r.name: r
    for r in (
        Representation('quaternion', 4, matrix_from_quaternion, quaternion_from_matrix),
        Representation('axis_angle', 3, matrix_from_axis_angle, axis_angle_from_matrix),
        Representation(
            'log_quaternion', 3, matrix_from_log_quaternion, log_quaternion_from_matrix
        ),
        Representation('euler', 3, matrix_from_euler, euler_from_matrix),
        Representation('gram_schmidt', 6, matrix_from_columns, columns_from_matrix),
        Representation('procrustes', 9, matrix_from_entries, entries_from_matrix),
        Representation('kabsch', 12, matrix_from_points, points_from_matrix),
    )
}
