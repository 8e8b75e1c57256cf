# SPDX-License-Identifier: Apache-2.0
"""Division of a place into overlapping clusters of frames."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.cluster_mapping.division import DivisionConfig, divide, view_places
from dsac_ros.errors import MappingError

DEPTH = 2.0


def poses_along(count, length, turned=False):
    """Cameras along x that look along z, or back where turned."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = np.linspace(0, length, count)
    if turned:
        poses[:, :3, :3] = np.diag([-1.0, 1.0, -1.0])
    return poses


def places_of(*poses):
    every = np.concatenate(poses)
    return view_places(every, np.full(len(every), DEPTH))


def test_cameras_back_to_back_see_different_places():
    places = places_of(poses_along(40, 0.5), poses_along(40, 0.5, turned=True))
    clusters = divide(places, 2, DEPTH, DivisionConfig(cluster_overlap=0.0))
    assert sorted(map(tuple, clusters)) == [tuple(range(40)), tuple(range(40, 80))]


def test_every_frame_is_in_a_cluster_and_they_overlap():
    places = places_of(poses_along(200, 20.0))
    clusters = divide(places, 4, DEPTH, DivisionConfig())
    assert len(clusters) == 4 and set(np.concatenate(clusters)) == set(range(200))
    assert sum(map(len, clusters)) > 200
    assert [len(one) for one in clusters] == sorted(map(len, clusters), reverse=True)


def test_auto_divides_what_is_large():
    config = DivisionConfig()
    assert len(divide(places_of(poses_along(200, 3.0)), 0, DEPTH, config)) == 1
    assert len(divide(places_of(poses_along(200, 40.0)), 0, DEPTH, config)) > 1
    assert len(divide(places_of(poses_along(900, 3.0)), 0, DEPTH, config)) > 1


def test_the_same_seed_divides_alike():
    places = places_of(poses_along(200, 20.0))
    first, second = (divide(places, 3, DEPTH, DivisionConfig(), seed=4) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))


def test_too_few_frames_are_named():
    with pytest.raises(MappingError, match=r'30 frames make 1 clusters .* expected 3'):
        divide(places_of(poses_along(30, 5.0)), 3, DEPTH, DivisionConfig())
