# SPDX-License-Identifier: Apache-2.0
"""evaluation/ground.py: up is found whatever the world's axes are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_ros.evaluation.ground import GroundPlane

UPRIGHT = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # camera ahead along x, z up


def cameras(turn):
    """Upright cameras looking all around, in a world turned by `turn`."""
    poses = np.tile(np.eye(4), (12, 1, 1))
    for row in range(12):
        yaw = Rotation.from_euler('z', 30 * row, degrees=True).as_matrix()
        poses[row, :3, :3] = turn @ yaw @ UPRIGHT
    return poses


@pytest.mark.parametrize(
    ('turn', 'labels'),
    [
        (np.eye(3), ('x', 'y')),
        (np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), ('z', 'x')),  # y is up
        (np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]), ('y', 'x')),  # z is down
        (Rotation.from_euler('x', 8, degrees=True).as_matrix(), ('x', 'y')),
        (Rotation.from_euler('x', 45, degrees=True).as_matrix(), ('right', 'ahead')),
    ],
)
def test_the_ground_is_seen_from_above(turn, labels):
    plane = GroundPlane.under(cameras(turn))
    assert plane.labels == labels
    up = turn @ [0, 0, 1]
    assert np.cross(*plane.axes) @ up > 0.98
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-9)


def test_cameras_that_look_straight_down_leave_z_up():
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[0, :3, :3], poses[1, :3, :3] = np.diag([1, -1, -1]), np.diag([-1, 1, -1])
    assert GroundPlane.under(poses).labels == ('x', 'y')
