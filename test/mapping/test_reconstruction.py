# SPDX-License-Identifier: Apache-2.0
"""mapping/sfm/reconstruction.py: the map that is measured does not know its queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from walls import DISTANCE, MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.config import MappingConfig
from dsac_ros.mapping.data.dataset import Dataset, left_out_stretches
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.matching import Matches, features_of
from dsac_ros.mapping.sfm.reconstruction import reconstruct

WALL = texture(0)


def view(x):
    where = pose(x, 0.1 * np.sin(9 * x), 0.0, 3.0 * x)
    scene = where.copy()
    scene[:3, 3] /= DISTANCE
    shown = View(seen_from(where, WALL), np.ones(SIZE_WH[::-1], bool), MATRIX, scene, None)
    return replace(shown, features=features_of(shown))


@pytest.fixture(scope='module')
def data():
    views = [view(x) for x in np.linspace(-0.8, 0.8, 12)]
    return Dataset(views[:3] + views[4:], views[3:4], np.zeros(3), DISTANCE, ([0.0] * 3,) * 2)


@pytest.fixture(scope='module')
def found(data):
    return reconstruct(data, MappingConfig(), None, lambda share: None)


def place(view_or_reference):
    if isinstance(view_or_reference, View):
        return tuple(np.round(view_or_reference.scene_from_camera[:3, 3] * DISTANCE, 6))
    return tuple(np.round(np.linalg.inv(view_or_reference.camera_from_map)[:3, 3], 6))


def test_a_measured_map_lacks_what_is_left_out(data, found):
    hidden = {place(one) for one in (*found.left_out, *data.held_out)}
    assert len(found.left_out) == left_out_stretches(11, 1).sum() and len(hidden) > 4
    assert not hidden & {place(one) for one in found.measured.references}
    assert set(found.measured.points.view) <= set(range(12 - len(hidden)))


def test_a_written_map_has_all_there_is(data, found):
    everything = {place(one) for one in (*data.views, *data.held_out)}
    assert {place(one) for one in found.parts.references} <= everything
    assert len(np.unique(found.parts.points.view)) == 12
    assert len(found.parts.points) > len(found.measured.points) > 100


def test_matches_of_some_views_are_renumbered():
    view_of = np.array([0, 0, 1, 1, 2])
    matches = Matches(
        view_of,
        np.arange(10.0).reshape(5, 2),
        np.array([[0, 2], [1, 4], [3, 4]]),
        np.zeros((5, 128), np.uint8),
    )
    some = matches.of(np.array([True, False, True]))
    assert some.view.tolist() == [0, 0, 1]
    assert some.edges.tolist() == [[1, 2]]
    assert some.pixels.tolist() == [[0, 1], [2, 3], [8, 9]]
    assert matches.of(np.ones(3, bool)).edges.tolist() == matches.edges.tolist()
