# SPDX-License-Identifier: Apache-2.0
"""Covariance of a pose from the reprojection errors of its inliers."""

from __future__ import annotations

import numpy as np
import torch

from dsac_ros.geometry.rotation import skew

RIDGE = 1e-12  # keeps a pose that its points do not determine finite, as a huge covariance


def pose_covariance(
    camera_from_map: np.ndarray, points: np.ndarray, pixels: np.ndarray, matrix: np.ndarray
) -> np.ndarray:
    """Return the covariance (6, 6) [m, rad] of world_from_camera, in world axes (ROS order).

    sigma^2 (J^T J)^-1 with the residuals' own variance (Hartley and Zisserman 2004, sec. 5.2).

    Args:
        camera_from_map: pose (4, 4).
        points: inliers (N, 3) in the map.
        pixels: their pixels (N, 2).
        matrix: intrinsics (3, 3).
    """
    rotation = camera_from_map[:3, :3]
    turned = points @ rotation.T
    camera = turned + camera_from_map[:3, 3]
    x, y, z = camera.T
    focal = np.array([matrix[0, 0], matrix[1, 1]])
    residuals = camera[:, :2] / camera[:, 2:] * focal + matrix[:2, 2] - pixels
    zero = np.zeros_like(z)
    by_camera = np.stack(
        [
            np.stack([focal[0] / z, zero, -focal[0] * x / z**2], -1),
            np.stack([zero, focal[1] / z, -focal[1] * y / z**2], -1),
        ],
        1,
    )
    # The camera's position moves by d, in map axes: the points move by -R d. Its rotation turns by
    # w about its centre, in map axes: the points turn by -w about it.
    centre = -rotation.T @ camera_from_map[:3, 3]
    turns = rotation @ skew(torch.from_numpy(points - centre)).numpy()
    moves = -np.broadcast_to(rotation, turns.shape)
    jacobian = (by_camera @ np.concatenate([moves, turns], 2)).reshape(-1, 6)
    freedom = max(1, residuals.size - 6)
    variance = float((residuals**2).sum()) / freedom
    information = jacobian.T @ jacobian
    scale = np.sqrt(np.diag(information)) + 1e-300
    inverse = np.linalg.inv(information / np.outer(scale, scale) + RIDGE * np.eye(6))
    return np.asarray(variance * inverse / np.outer(scale, scale))
