# SPDX-License-Identifier: Apache-2.0
"""Views that another place of the map looks like, found in the points of a map alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_ros.alignment.point_map import PointMap
from dsac_ros.mapping.twins import rigid_inliers, rigid_motions, twin_views

DEPTH = 3.0


def room(rng, count=150):
    """Points of a room of 4 m, and their descriptors, which are like no other's."""
    return rng.uniform(-2, 2, (count, 3)), rng.integers(0, 256, (count, 128), dtype=np.uint8)


def map_of(*places):
    """A map of places, each a (points, descriptors), of which every view saw all of one."""
    points, descriptors = (np.concatenate(parts) for parts in zip(*places))
    view = np.repeat(np.arange(len(places)), [len(xyz) for xyz, _ in places])
    return PointMap(points.astype(np.float32), descriptors, view, np.arange(len(points)))


def elsewhere(place, rng, noise=0.0):
    """The place once more, turned about and 20 m off, each point wrong by some noise [m]."""
    xyz, descriptors = place
    turned = xyz @ Rotation.from_euler('z', 130, degrees=True).as_matrix().T + [20.0, 3.0, 0.0]
    return turned + rng.normal(0, noise, xyz.shape) if noise else turned, descriptors


def test_two_equal_rooms_are_twins():
    rng = np.random.default_rng(1)
    one, other = room(rng), room(rng)
    twins = twin_views(map_of(one, other, elsewhere(one, rng, noise=0.02)), DEPTH)
    assert twins == [0, 2]


def test_unlike_rooms_are_none():
    rng = np.random.default_rng(2)
    far = [
        (xyz + [20.0 * n, 0, 0], desc) for n, (xyz, desc) in enumerate(room(rng) for _ in '123')
    ]
    assert twin_views(map_of(*far), DEPTH) == []


def test_equal_things_in_other_order_are_no_twin():
    """The same chairs stand in every room; the rooms are told apart by where."""
    rng = np.random.default_rng(3)
    one = room(rng)
    moved = elsewhere((rng.uniform(-2, 2, one[0].shape), one[1]), rng)
    assert twin_views(map_of(one, moved), DEPTH) == []


def test_a_view_of_the_same_place_is_no_twin():
    rng = np.random.default_rng(4)
    one = room(rng)
    beside = one[0] + [0.5 * DEPTH, 0, 0], one[1]
    assert twin_views(map_of(one, beside), DEPTH) == []


def test_one_place_mapped_from_far_is_no_twin():
    """Its points stand in the map twice, at the same place."""
    rng = np.random.default_rng(8)
    one, (beyond, others) = room(rng), room(rng)
    again = one[0] + rng.normal(0, 0.02, one[0].shape)
    far = np.concatenate([again, beyond + [12.0, 0, 0]]), np.concatenate([one[1], others])
    assert twin_views(map_of(one, far), DEPTH) == []


@pytest.mark.parametrize(
    'points', [None, map_of((np.zeros((0, 3)), np.zeros((0, 128), np.uint8)))]
)
def test_a_map_without_points_has_none(points):
    assert twin_views(points, DEPTH) == []


def test_a_view_of_few_points_tells_nothing():
    rng = np.random.default_rng(5)
    few = room(rng, 12)
    assert twin_views(map_of(few, elsewhere(few, rng)), DEPTH) == []


def test_rigid_motions_are_exact_and_no_mirrors():
    rng = np.random.default_rng(6)
    a = rng.normal(size=(5, 3, 3))
    rotation = Rotation.random(5, random_state=1).as_matrix()
    b = np.einsum('sij,snj->sni', rotation, a) + rng.normal(size=(5, 1, 3))
    found, translation = rigid_motions(a, b)
    assert np.allclose(found, rotation)
    assert np.allclose(np.einsum('sij,snj->sni', found, a) + translation[:, None], b)
    mirrored, _ = rigid_motions(rng.normal(size=(9, 8, 3)), rng.normal(size=(9, 8, 3)))
    assert np.allclose(np.linalg.det(mirrored), 1.0)


def test_inliers_of_a_motion_beside_outliers():
    rng = np.random.default_rng(7)
    xyz, _ = room(rng, 60)
    moved, _ = elsewhere((xyz, None), rng)
    moved[40:] = rng.uniform(-50, 50, (20, 3))
    assert rigid_inliers(xyz, moved, 0.01, rng) == 40
    assert rigid_inliers(xyz, moved, 0.01, rng, apart=15.0) == 40
    assert rigid_inliers(xyz, moved, 0.01, rng, apart=30.0) < 10
    assert rigid_inliers(xyz[:2], moved[:2], 0.01, rng) == 0
