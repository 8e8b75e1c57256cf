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


def planar_correction(map_from_base: np.ndarray, odom_from_base: np.ndarray) -> np.ndarray:
    """Return the planar map_from_odom (4, 4) that keeps x, y and yaw of a pose in the map.

    The flattened product of the poses would not: roll and pitch of the pose in the map, seen from
    an origin of odometry far away, shift the robot.
    """
    flat = planar(map_from_base @ np.linalg.inv(odom_from_base))
    flat[:2, 3] = map_from_base[:2, 3] - flat[:2, :2] @ odom_from_base[:2, 3]
    return flat
