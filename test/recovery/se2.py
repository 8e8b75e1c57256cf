# SPDX-License-Identifier: Apache-2.0
"""Poses of a robot on the floor: arrays (3,) of x [m], y [m], yaw [rad]."""

from __future__ import annotations

import numpy as np


def compose(a_from_b: np.ndarray, b_from_c: np.ndarray) -> np.ndarray:
    """a_from_c."""
    c, s = np.cos(a_from_b[2]), np.sin(a_from_b[2])
    x, y, yaw = b_from_c
    return np.array(
        (
            a_from_b[0] + c * x - s * y,
            a_from_b[1] + s * x + c * y,
            wrapped(a_from_b[2] + yaw),
        )
    )


def inverse(a_from_b: np.ndarray) -> np.ndarray:
    """b_from_a."""
    c, s = np.cos(a_from_b[2]), np.sin(a_from_b[2])
    x, y, yaw = a_from_b
    return np.array((-c * x - s * y, s * x - c * y, wrapped(-yaw)))


def relative(a_from_b: np.ndarray, a_from_c: np.ndarray) -> np.ndarray:
    """b_from_c."""
    return compose(inverse(a_from_b), a_from_c)


def wrapped(angle: float) -> float:
    """The same angle within half a turn of zero [rad]."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Distance [m] and angle [deg] between two poses."""
    return (
        float(np.hypot(*(one[:2] - other[:2]))),
        float(np.degrees(abs(wrapped(one[2] - other[2])))),
    )


def to_matrix(pose: np.ndarray) -> np.ndarray:
    """The pose as a matrix (4, 4)."""
    matrix = np.eye(4)
    c, s = np.cos(pose[2]), np.sin(pose[2])
    matrix[:2, :2] = ((c, -s), (s, c))
    matrix[:2, 3] = pose[:2]
    return matrix


def from_matrix(matrix: np.ndarray) -> np.ndarray:
    """x, y and yaw of a matrix (4, 4)."""
    return np.array((*matrix[:2, 3], np.arctan2(matrix[1, 0], matrix[0, 0])))
