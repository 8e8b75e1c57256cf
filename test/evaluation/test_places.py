# SPDX-License-Identifier: Apache-2.0
"""evaluation/places.py and its picture: errors in cells on the ground."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.evaluation.places import CELLS, cell_size, error_grid
from dsac_ros.evaluation.plots.places import draw_places
from dsac_ros.evaluation.plots.style import png
from dsac_ros.metrics import evaluate
from dsac_ros.types import Localization, Result

UPRIGHT = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # looks along x, z is up


def pose(x, y, z=1.0):
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = UPRIGHT, (x, y, z)
    return result


def answer(reference, error_m, result=Result.ACCEPTED):
    estimate = reference.copy()
    estimate[2, 3] += error_m
    return Localization(result, world_from_camera=estimate)


@pytest.fixture
def grid():
    """Two frames in one cell, one of them wrong; one refused; one without an estimate."""
    references = [pose(0.1, 0.1), pose(0.3, 0.2), pose(7.1, 0.1), pose(7.1, 3.4)]
    found = [
        answer(references[0], 0.01),
        answer(references[1], 0.9),
        answer(references[2], 0.03, Result.LOW_INLIERS),
        Localization(Result.BAD_IMAGE),
    ]
    return error_grid(np.array(references), evaluate(found, references))


def test_frames_are_gathered_by_place(grid):
    assert grid.plane.labels == ('x', 'y')
    assert grid.cell_m == 0.5
    cells = {(one['x_m'], one['y_m']): one for one in grid.cells}
    assert set(cells) == {(0.25, 0.25), (7.25, 0.25), (7.25, 3.25)}
    first, refused, lost = cells.values()
    assert (first['frames'], first['accepted'], first['false_accepts']) == (2, 2, 1)
    assert first['median_translation_m'] == pytest.approx(0.9)
    assert (refused['frames'], refused['accepted']) == (1, 0)
    assert refused['median_translation_m'] == pytest.approx(0.03)
    assert lost['median_translation_m'] == np.inf


@pytest.mark.parametrize(
    ('extent', 'side'), [(16.0, 1.0), (17.0, 2.0), (0.5, 0.05), (900.0, 100.0), (0.0, 1e-4)]
)
def test_cells_have_round_sizes(extent, side):
    points = np.array([[0.0, 0.0], [extent, extent / 3]])
    assert cell_size(points) == pytest.approx(side)
    assert CELLS * side >= extent


def test_negative_places_have_cells_of_their_own():
    references = [pose(-0.01, 0.0), pose(0.01, 0.0), pose(7.9, 0.0)]
    grid = error_grid(
        np.array(references), evaluate([answer(one, 0.0) for one in references], references)
    )
    assert [one['x_m'] for one in grid.cells] == [-0.25, 0.25, 7.75]


def test_the_heat_map_is_drawn(grid):
    mapping = np.array([pose(x, 1.0) for x in range(5)])
    first = png(draw_places(grid, mapping))
    assert first.startswith(b'\x89PNG')
    assert first == png(draw_places(grid, mapping))
    assert first != png(draw_places(grid, mapping[:0]))
