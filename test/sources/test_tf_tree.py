# SPDX-License-Identifier: Apache-2.0
"""A tree of moving and static frames."""

from __future__ import annotations

import numpy as np
import pytest
from source_frames import pose

from dsac_ros.sources.poses import row_from_pose
from dsac_ros.sources.tf_tree import TfTree

MS = 1_000_000
GAP = 500 * MS
BASE_FROM_CAMERA = pose(0.2, 0.0, 0.4, -1.2, 1.2, -1.2)


@pytest.fixture
def tree():
    """Frames map <- odom <- base <- camera (static); odom moves at 10 Hz, base at 50 Hz."""
    tree = TfTree()
    for i in range(11):
        tree.add('map', 'odom', i * 100 * MS, row_from_pose(pose(0.01 * i, 0, 0, 0, 0, 0)))
    for i in range(51):
        tree.add('/odom', '/base', i * 20 * MS, row_from_pose(pose(0, 0, 0, 0, 0, 0.02 * i)))
    tree.add('base', 'camera', 0, row_from_pose(BASE_FROM_CAMERA), static=True)
    return tree


def test_edges_are_composed_and_each_interpolated(tree):
    expected = pose(0.025, 0, 0, 0, 0, 0) @ pose(0, 0, 0, 0, 0, 0.25) @ BASE_FROM_CAMERA
    np.testing.assert_allclose(tree.lookup('map', 'camera', 250 * MS, GAP), expected, atol=1e-12)
    np.testing.assert_allclose(
        tree.lookup('camera', 'map', 250 * MS, GAP), np.linalg.inv(expected), atol=1e-12
    )


def test_siblings_meet_at_their_common_frame(tree):
    base_from_lidar = pose(1, 0, 0, 0, 0, 0.5)
    tree.add('base', 'lidar', 0, row_from_pose(base_from_lidar), static=True)
    # Between frames on the same body nothing moves, so no stamp is too late.
    found = tree.lookup('lidar', 'camera', 10**15, GAP)
    np.testing.assert_allclose(
        found, np.linalg.inv(base_from_lidar) @ BASE_FROM_CAMERA, atol=1e-12
    )


def test_nothing_is_extrapolated(tree):
    assert tree.lookup('map', 'camera', 1001 * MS, GAP) == 'a stamp outside of TF odom <- base'
    assert tree.lookup('map', 'camera', -1 * MS, GAP) == 'a stamp outside of TF odom <- base'
    assert tree.lookup('map', 'camera', 250 * MS, 50 * MS) == (
        'a stamp in a gap of TF map <- odom that is longer than 0.05 s (--max-gap SECONDS)'
    )
    assert isinstance(tree.lookup('map', 'camera', 240 * MS, 100 * MS), np.ndarray)


def test_frames_that_are_not_connected(tree):
    tree.add('world', 'other', 0, row_from_pose(np.eye(4)), static=True)
    assert not tree.reaches('world', 'camera') and not tree.reaches('nowhere', 'camera')
    assert tree.lookup('world', 'camera', 0, GAP) == 'no TF from camera to world'
    assert tree.reaches('camera', 'map')
    assert tree.frames == ['base', 'camera', 'map', 'odom', 'other', 'world']


def test_the_parent_with_more_transforms_counts(tree):
    assert tree.contradictions == []
    tree.add('elsewhere', 'base', 20 * MS, row_from_pose(np.eye(4)))
    assert tree.reaches('map', 'camera')
    assert tree.contradictions == [
        'the TF frame base hangs from odom, which more transforms say '
        'than that it hangs from elsewhere'
    ]


def test_a_loop_ends(tree):
    tree.add('camera', 'map', 0, row_from_pose(np.eye(4)), static=True)
    assert tree.lookup('map', 'nowhere', 0, GAP) == 'no TF from nowhere to map'
    assert isinstance(tree.lookup('base', 'camera', 0, GAP), np.ndarray)


@pytest.mark.parametrize('stamps', [[5], [5, 400, 90_000]])
def test_an_edge_that_never_changes_holds_throughout(stamps):
    tree = TfTree()
    for stamp in stamps:
        tree.add('base', 'camera', stamp * MS, row_from_pose(BASE_FROM_CAMERA))
    for i in range(11):
        tree.add('map', 'base', i * 100 * MS, row_from_pose(pose(0.1 * i, 0, 0, 0, 0, 0)))
    found = tree.lookup('map', 'camera', 700 * MS, GAP)
    np.testing.assert_allclose(found, pose(0.7, 0, 0, 0, 0, 0) @ BASE_FROM_CAMERA, atol=1e-12)
    assert tree.held('map', 'camera') == ['base <- camera']


def test_a_static_edge_that_was_moved_is_told(tree):
    tree.add('base', 'camera', 5, row_from_pose(BASE_FROM_CAMERA), static=True)
    assert tree.contradictions == []
    tree.add('base', 'camera', 9, row_from_pose(np.eye(4)), static=True)
    assert tree.contradictions == [
        'static TF base <- camera is given in two ways, and the last one is taken'
    ]
    np.testing.assert_array_equal(tree.lookup('base', 'camera', 0, GAP), np.eye(4))


def test_a_clock_that_was_set_back_is_told(tree):
    tree.add('odom', 'base', 900 * MS, row_from_pose(np.eye(4)))
    assert tree.contradictions == []
    tree.add('map', 'odom', -5000 * MS, row_from_pose(np.eye(4)))
    (told,) = tree.contradictions
    assert told.startswith('the clock of TF map <- odom goes back within the bag')


def test_a_transform_without_rotation_is_no_pose():
    tree = TfTree()
    tree.add('map', 'camera', 0, (1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0))
    assert tree.lookup('map', 'camera', 0, GAP) == 'a stamp outside of TF map <- camera'


def test_the_frames_above_and_below(tree):
    assert tree.above('camera') == ['base', 'odom', 'map']
    assert tree.below('odom') == ['base', 'camera']
    assert tree.limits == (0, 1000 * MS)
