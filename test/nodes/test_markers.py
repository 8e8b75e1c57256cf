# SPDX-License-Identifier: Apache-2.0
"""nodes/markers.py: the geometry of what RViz draws."""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from dsac_ros.nodes import markers
from dsac_ros.nodes.conversions import matrix_from_pose, matrix_from_xyz_rpy

MATRIX = np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]])
HEAD = Header(frame_id='map')
POSE = matrix_from_xyz_rpy([1.0, 2.0, 0.5, 0.3, -0.4, 2.0])


def ends(marker):
    return np.array([[one.x, one.y, one.z] for one in marker.points]).reshape(-1, 2, 3)


def test_a_frustum_spans_what_the_camera_sees():
    lines = markers.frustum_lines(MATRIX, (640, 480), 2.0)
    corners = np.unique(np.round(lines[:4, 1], 9), axis=0)
    assert (lines[:4, 0] == 0).all() and len(corners) == 4
    pixels = corners @ MATRIX.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    assert set(map(tuple, pixels.round(6))) == {
        (-0.5, -0.5),
        (639.5, -0.5),
        (639.5, 479.5),
        (-0.5, 479.5),
    }
    assert (corners[:, 2] == 2.0).all()
    # y points down: the triangle stands above the upper edge
    upper = corners[:, 1].min()
    assert lines[-1, 1, 1] == pytest.approx(upper) and lines[-2, 1, 1] < upper


@pytest.mark.parametrize('accepted', [True, False])
def test_a_refused_pose_is_red_and_brief(accepted):
    lines = markers.frustum_lines(MATRIX, (640, 480), 0.3)
    marker = markers.camera_marker(HEAD, POSE, lines, accepted, 'front')
    assert np.allclose(matrix_from_pose(marker.pose), POSE)
    assert np.allclose(ends(marker), lines) and marker.type == Marker.LINE_LIST
    assert (marker.color.g > marker.color.r) == accepted
    assert (marker.lifetime.sec + marker.lifetime.nanosec > 0) == (not accepted)
    assert marker.ns == ('camera front' if accepted else 'refused front')


@pytest.mark.parametrize('seed', range(8))
def test_an_ellipsoid_has_two_sigma_along_each_axis(seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, 6)) * 0.1
    covariance = root @ root.T
    marker = markers.covariance_marker(HEAD, POSE, covariance)
    turn = matrix_from_pose(marker.pose)[:3, :3]
    radii = np.array([marker.scale.x, marker.scale.y, marker.scale.z]) / 2
    assert np.allclose(turn @ np.diag((radii / 2) ** 2) @ turn.T, covariance[:3, :3], atol=1e-6)
    assert np.allclose(matrix_from_pose(marker.pose)[:3, 3], POSE[:3, 3])


def test_a_flat_covariance_is_still_drawn():
    marker = markers.covariance_marker(HEAD, POSE, np.zeros((6, 6)))
    assert min(marker.scale.x, marker.scale.y, marker.scale.z) > 0


def test_reference_views_stand_where_they_were_taken():
    lines = markers.frustum_lines(MATRIX, (640, 480), 0.3)
    other = matrix_from_xyz_rpy([-4.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    marker = markers.reference_marker(HEAD, [POSE, other], [lines, lines])
    drawn = ends(marker)
    assert len(drawn) == 2 * len(lines)
    assert np.allclose(drawn[0, 0], POSE[:3, 3]) and np.allclose(
        drawn[-1, 1, 0] + 4, lines[-1, 1, 0]
    )
    assert marker.action == Marker.ADD
    assert markers.reference_marker(HEAD, [], []).action == Marker.DELETE


def test_one_view_is_one_candidate():
    near = POSE.copy()
    near[0, 3] += 0.01
    far = matrix_from_xyz_rpy([1.0, 2.0, 0.5, 0.3, -0.4, 2.5])
    kept = markers.distinct([POSE, near, far, POSE], 0.05, 0.05)
    assert len(kept) == 2 and kept[0] is POSE and kept[1] is far
