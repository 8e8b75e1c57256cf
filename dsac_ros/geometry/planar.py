# SPDX-License-Identifier: Apache-2.0
"""Projection of poses to the plane."""

from __future__ import annotations

import numpy as np


def planar(world_from_x: np.ndarray) -> np.ndarray:
    """Keep x, y and yaw of a pose (4, 4); set height, roll and pitch to zero.

    The yaw is the best fit of a rotation about z in the Frobenius norm, which leaves the smallest
    residual rotation.
    """
    rotation = world_from_x[:3, :3]
    yaw = np.arctan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])
    cosine, sine = np.cos(yaw), np.sin(yaw)
    flat = np.eye(4)
    flat[:2, :2] = [[cosine, -sine], [sine, cosine]]
    flat[:2, 3] = world_from_x[:2, 3]
    return flat
