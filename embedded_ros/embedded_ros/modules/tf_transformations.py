# SPDX-License-Identifier: Apache-2.0
"""Homogeneous matrices and quaternions (x, y, z, w), as the package of this name offers them.

Euler axes are named as there: 's' or 'r' for a static or rotating frame, then three letters.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

Vector = Sequence[float] | np.ndarray
# As in the original, some functions give tuples and some arrays.
Quaternion = tuple[float, float, float, float]
# Beyond this cosine two quaternions are interpolated linearly: the sine of their angle is noise.
NEARLY_EQUAL = 0.9995


def identity_matrix() -> np.ndarray:
    """The (4, 4) identity."""
    return np.identity(4)


def translation_matrix(direction: Vector) -> np.ndarray:
    """(4, 4) of a translation (3,)."""
    matrix = np.identity(4)
    matrix[:3, 3] = direction[:3]
    return matrix


def translation_from_matrix(matrix: Any) -> np.ndarray:
    """Translation (3,) of a (4, 4)."""
    return np.array(matrix, copy=True)[:3, 3]


def concatenate_matrices(*matrices: Any) -> np.ndarray:
    """Their product, from left to right."""
    result = np.identity(4)
    for matrix in matrices:
        result = result @ np.asarray(matrix)
    return result


def inverse_matrix(matrix: Any) -> np.ndarray:
    """The inverse."""
    return np.linalg.inv(matrix)


def quaternion_matrix(quaternion: Vector) -> np.ndarray:
    """(4, 4) of a rotation; the quaternion need not have unit length."""
    matrix = np.identity(4)
    norm = float(np.dot(quaternion, quaternion))
    if norm < np.finfo(float).eps:
        return matrix
    x, y, z, w = (float(v) for v in quaternion)
    s = 2.0 / norm
    matrix[:3, :3] = [
        [1.0 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1.0 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1.0 - s * (x * x + y * y)]]
    return matrix


def quaternion_from_matrix(matrix: Any) -> Quaternion:
    """Quaternion of the rotation in a (4, 4) or (3, 3)."""
    quaternion = Rotation.from_matrix(np.asarray(matrix)[:3, :3]).as_quat()
    return tuple((quaternion if quaternion[3] >= 0 else -quaternion).tolist())


def quaternion_multiply(quaternion1: Vector, quaternion0: Vector) -> Quaternion:
    """The rotation quaternion0 followed by quaternion1."""
    x1, y1, z1, w1 = quaternion1
    x0, y0, z0, w0 = quaternion0
    return (w1 * x0 + x1 * w0 + y1 * z0 - z1 * y0,
            w1 * y0 - x1 * z0 + y1 * w0 + z1 * x0,
            w1 * z0 + x1 * y0 - y1 * x0 + z1 * w0,
            w1 * w0 - x1 * x0 - y1 * y0 - z1 * z0)


def quaternion_conjugate(quaternion: Vector) -> np.ndarray:
    """The opposite rotation of a unit quaternion."""
    x, y, z, w = quaternion
    return np.array([-x, -y, -z, w])


def quaternion_inverse(quaternion: Vector) -> np.ndarray:
    """The inverse of any quaternion."""
    return quaternion_conjugate(quaternion) / np.dot(quaternion, quaternion)


def quaternion_about_axis(angle: float, axis: Vector) -> Quaternion:
    """A rotation by an angle [rad] about an axis (3,)."""
    unit = np.asarray(axis, float) / np.linalg.norm(axis)
    return (*(unit * math.sin(angle / 2.0)).tolist(), math.cos(angle / 2.0))


def quaternion_slerp(quat0: Vector, quat1: Vector, fraction: float, spin: int = 0,
                     shortestpath: bool = True) -> np.ndarray:
    """Between two rotations, at constant angular speed (Shoemake 1985)."""
    q0, q1 = (np.asarray(q, float) / np.linalg.norm(q) for q in (quat0, quat1))
    cosine = float(np.dot(q0, q1))
    if shortestpath and cosine < 0.0:
        q1, cosine = -q1, -cosine
    if cosine > NEARLY_EQUAL and not spin:
        result = q0 + fraction * (q1 - q0)
        return result / np.linalg.norm(result)
    angle = math.acos(min(1.0, max(-1.0, cosine))) + spin * math.pi
    return (math.sin((1.0 - fraction) * angle) * q0
            + math.sin(fraction * angle) * q1) / math.sin(angle)


def euler_from_matrix(matrix: Any, axes: str = 'sxyz') -> tuple[float, float, float]:
    """Euler angles [rad] of the rotation in a (4, 4) or (3, 3)."""
    rotation = Rotation.from_matrix(np.asarray(matrix)[:3, :3])
    return tuple(rotation.as_euler(_sequence(axes)).tolist())


def euler_from_quaternion(quaternion: Vector, axes: str = 'sxyz') -> tuple[float, float, float]:
    """Euler angles [rad] of a quaternion."""
    return euler_from_matrix(quaternion_matrix(quaternion), axes)


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = 'sxyz') -> Quaternion:
    """Quaternion of Euler angles [rad]."""
    return tuple(Rotation.from_euler(_sequence(axes), (ai, aj, ak)).as_quat().tolist())


def euler_matrix(ai: float, aj: float, ak: float, axes: str = 'sxyz') -> np.ndarray:
    """(4, 4) of Euler angles [rad]."""
    return quaternion_matrix(quaternion_from_euler(ai, aj, ak, axes))


def _sequence(axes: str) -> str:
    """The axes as scipy names them: lower case is extrinsic, upper case intrinsic."""
    return axes[1:].lower() if axes[0] == 's' else axes[1:].upper()
