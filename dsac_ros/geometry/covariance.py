# SPDX-License-Identifier: Apache-2.0
"""Covariances of poses: transformation between rigidly connected frames, and validation.

All are (6, 6) over (x, y, z, rotation about x, y, z) [m, rad]: the position of the frame and a
rotation about fixed axes of the world through that position (the order of ROS, REP 103).
"""

from __future__ import annotations

import numpy as np


def covariance_at(covariance: np.ndarray, lever_world: np.ndarray) -> np.ndarray:
    """Return the covariance of a frame at the offset lever_world (3,) [m] from the given one.

    dp' = dp + dr x lever, dr' = dr (first order): a rotation of one frame moves the other.
    """
    x, y, z = np.asarray(lever_world, dtype=np.float64)
    jacobian = np.eye(6)
    jacobian[:3, 3:] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]
    moved: np.ndarray = jacobian @ covariance @ jacobian.T
    return moved


def rotated_covariance(covariance: np.ndarray, target_from_world: np.ndarray) -> np.ndarray:
    """Rotate the covariance to the axes of another world by target_from_world (3, 3)."""
    blocks = np.kron(np.eye(2), target_from_world)
    rotated: np.ndarray = blocks @ covariance @ blocks.T
    return rotated


def inflated_covariance(covariance: np.ndarray, scale: float, floors: np.ndarray) -> np.ndarray:
    """Return scale * covariance, symmetric, with standard deviations of at least floors (6,).

    Floors are in [m, rad]. Only the diagonal is raised, so that a covariance stays positive
    semidefinite.
    """
    inflated: np.ndarray = scale * (covariance + covariance.T) / 2
    inflated += np.diag(np.maximum(np.square(floors) - np.diag(inflated), 0.0))
    return inflated


def is_covariance(covariance: np.ndarray) -> bool:
    """Return whether a (6, 6) is finite, symmetric and positive semidefinite up to rounding."""
    if np.shape(covariance) != (6, 6) or not np.isfinite(covariance).all():
        return False
    size = max(float(np.abs(covariance).max()), 1e-300)
    return bool(
        np.abs(covariance - covariance.T).max() <= 1e-6 * size
        and np.linalg.eigvalsh(covariance)[0] >= -1e-9 * size
    )
