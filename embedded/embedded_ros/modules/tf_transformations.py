# SPDX-License-Identifier: Apache-2.0
"""Homogeneous matrices and quaternions (x, y, z, w), as the package of this name offers them.

Euler axes are named as there: 's' or 'r' for a static or rotating frame, then three letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

Vector = Sequence[float] | np.ndarray
# As in the original, some functions give tuples and some arrays.
Quaternion = tuple[float, float, float, float]


def quaternion_matrix(quaternion: Vector) -> np.ndarray:
    """Return (4, 4) of a rotation; the quaternion need not have unit length."""
    matrix = np.identity(4)
    norm = float(np.dot(quaternion, quaternion))
    if norm < np.finfo(float).eps:
        return matrix
    x, y, z, w = (float(v) for v in quaternion)
    s = 2.0 / norm
    matrix[:3, :3] = [
        [1.0 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1.0 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1.0 - s * (x * x + y * y)],
    ]
    return matrix


def quaternion_from_matrix(matrix: Any) -> Quaternion:
    """Quaternion of the rotation in a (4, 4) or (3, 3)."""
    quaternion = Rotation.from_matrix(np.asarray(matrix)[:3, :3]).as_quat()
    return tuple((quaternion if quaternion[3] >= 0 else -quaternion).tolist())


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = 'sxyz') -> Quaternion:
    """Quaternion of Euler angles [rad]."""
    return tuple(Rotation.from_euler(_sequence(axes), (ai, aj, ak)).as_quat().tolist())


def euler_matrix(ai: float, aj: float, ak: float, axes: str = 'sxyz') -> np.ndarray:
    """Return (4, 4) of Euler angles [rad]."""
    return quaternion_matrix(quaternion_from_euler(ai, aj, ak, axes))


def _sequence(axes: str) -> str:
    """Return the axes as scipy names them: lower case is extrinsic, upper case intrinsic."""
    return axes[1:].lower() if axes[0] == 's' else axes[1:].upper()
