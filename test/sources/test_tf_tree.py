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
    np.testing.assert_allclose(tree.lookup('camera', 'map', 250 * MS, GAP),
                               np.linalg.inv(expected), atol=1e-12)


def test_siblings_meet_at_their_common_frame(tree):
    base_from_lidar = pose(1, 0, 0, 0, 0, 0.5)
    tree.add('base', 'lidar', 0, row_from_pose(base_from_lidar), static=True)
    # Between frames on the same body nothing moves, so no stamp is too late.
    found = tree.lookup('lidar', 'camera', 10 ** 15, GAP)
    np.testing.assert_allclose(found, np.linalg.inv(base_from_lidar) @ BASE_FROM_CAMERA,
                               atol=1e-12)


def test_nothing_is_extrapolated(tree):
    assert tree.lookup('map', 'camera', 1001 * MS, GAP) is None
    assert tree.lookup('map', 'camera', -1 * MS, GAP) is None
    assert tree.lookup('map', 'camera', 250 * MS, 50 * MS) is None
    assert tree.lookup('map', 'camera', 240 * MS, 100 * MS) is not None


def test_frames_that_are_not_connected(tree):
    tree.add('world', 'other', 0, row_from_pose(np.eye(4)), static=True)
    assert not tree.reaches('world', 'camera') and not tree.reaches('nowhere', 'camera')
    assert tree.lookup('world', 'camera', 0, GAP) is None
    assert tree.reaches('camera', 'map')
    assert tree.frames == ['base', 'camera', 'map', 'odom', 'other', 'world']


def test_of_two_parents_the_one_that_speaks_more_counts(tree, caplog):
    tree.add('elsewhere', 'base', 20 * MS, row_from_pose(np.eye(4)))
    assert tree.reaches('map', 'camera')
    assert 'base has the parents elsewhere, odom: odom is used' in caplog.text


def test_a_loop_ends(tree):
    tree.add('camera', 'map', 0, row_from_pose(np.eye(4)), static=True)
    assert tree.lookup('map', 'nowhere', 0, GAP) is None
    assert tree.lookup('base', 'camera', 0, GAP) is not None
