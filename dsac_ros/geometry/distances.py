# SPDX-License-Identifier: Apache-2.0
"""Distances between rotations, by name; theta is the angle of R^T R*.

All four are metrics; all but `angle_axis` depend on theta alone and thus are invariant to a
rotation of both arguments, on either side (Hartley et al., 'Rotation Averaging', IJCV 2013).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.rotation import axis_angle_from_matrix, quaternion_from_matrix
from dsac_ros.geometry.se3 import rotation_angle


def angular(a: Tensor, b: Tensor) -> Tensor:
    """theta: the geodesic between rotations (..., 3, 3) -> (...) [rad] in 0 to pi."""
    check_shapes(a=(a, '... 3 3'), b=(b, '... 3 3'))
    return rotation_angle(a.mT @ b)


def quaternion(a: Tensor, b: Tensor) -> Tensor:
    """min |q -+ q*| = 2 sin(theta / 4) of rotations (..., 3, 3) -> (...) in [0, sqrt(2)]."""
    check_shapes(a=(a, '... 3 3'), b=(b, '... 3 3'))
    p, q = quaternion_from_matrix(a), quaternion_from_matrix(b)
    return torch.minimum((p - q).norm(dim=-1), (p + q).norm(dim=-1))


def chordal(a: Tensor, b: Tensor) -> Tensor:
    """|R - R*|_F = 2 sqrt(2) sin(theta / 2) of rotations (..., 3, 3) -> (...)."""
    check_shapes(a=(a, '... 3 3'), b=(b, '... 3 3'))
    distance: Tensor = (a - b).flatten(-2).norm(dim=-1)
    return distance


def angle_axis(a: Tensor, b: Tensor) -> Tensor:
    """|log R - log R*| of rotations (..., 3, 3) -> (...) [rad] in theta to 2 pi.

    Depends on the axes of the world and is discontinuous where a rotation passes through pi.
    """
    check_shapes(a=(a, '... 3 3'), b=(b, '... 3 3'))
    distance: Tensor = (axis_angle_from_matrix(a) - axis_angle_from_matrix(b)).norm(dim=-1)
    return distance


DISTANCES = {f.__name__: f for f in (angular, quaternion, chordal, angle_axis)}
