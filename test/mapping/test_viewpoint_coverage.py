# SPDX-License-Identifier: Apache-2.0
"""Coverage by viewpoints: which cells and headings are known, and how large the picture gets."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.mapping.data.viewpoint_coverage import (
    CELL_M,
    MAX_SIDE,
    SECTORS,
    UNKNOWN,
    ViewpointCoverage,
    heading_bit,
)


def looking(x, y, yaw_deg, pitch_deg=0.0):
    """A camera at a place on the ground that looks along a heading, and down by a pitch."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = [x, y, 1.0]
    return pose


def value_at(grid, x, y):
    column, row = np.floor((np.array([x, y]) - grid.corner_xy) / grid.cell_m).astype(int)
    return int(grid.values[row, column])


def test_there_is_no_grid_without_keyframes():
    assert ViewpointCoverage().grid() is None


def test_one_view_leaves_seven_of_eight_headings():
    grid = ViewpointCoverage([looking(0.1, 0.1, 0.0)]).grid()
    assert grid.values.shape == (3, 3) and grid.corner_xy == (-0.5, -0.5)
    assert set(grid.values.ravel()) == {88}


def test_all_headings_from_nearby_make_a_cell_complete():
    views = [looking(0.3 * (n % 2), 0.2, 360.0 / SECTORS * n) for n in range(SECTORS)]
    assert value_at(ViewpointCoverage(views).grid(), 0.2, 0.2) == 0


def test_cells_out_of_reach_are_unknown():
    grid = ViewpointCoverage([looking(0.0, 0.0, 0.0), looking(5.0, 0.0, 90.0)]).grid()
    assert value_at(grid, 2.5, 0.0) == UNKNOWN
    assert value_at(grid, -0.4, 0.0) == value_at(grid, 5.4, 0.0) == 88


@pytest.mark.parametrize('heading', range(0, 360, 45))
def test_noise_about_an_axis_stays_in_one_sector(heading):
    bits = {heading_bit(looking(0, 0, heading + noise)[:3, 2]) for noise in (-20, -1, 0, 1, 20)}
    assert len(bits) == 1 and bits.pop() > 0


def test_sectors_differ():
    assert len({heading_bit(looking(0, 0, 45 * n)[:3, 2]) for n in range(8)}) == 8


def test_a_camera_that_looks_down_has_no_heading():
    grid = ViewpointCoverage([looking(0.0, 0.0, 0.0, pitch_deg=85.0)]).grid()
    assert set(grid.values.ravel()) == {100}


def test_a_view_seen_before_is_no_revision():
    coverage = ViewpointCoverage()
    for _ in range(3):
        coverage.add(looking(0.0, 0.0, 0.0))
    assert coverage.revision == 1
    coverage.add(looking(0.0, 0.0, 90.0))
    assert coverage.revision == 2


@pytest.mark.parametrize('far', [300.0, 5000.0, 9e7])
def test_a_large_place_gets_larger_cells(far):
    grid = ViewpointCoverage([looking(0.0, -far, 0.0), looking(far, far, 90.0)]).grid()
    assert max(grid.values.shape) <= MAX_SIDE and grid.cell_m > CELL_M
    assert value_at(grid, 0.0, -far) == value_at(grid, far, far) == 88


def test_every_keyframe_is_in_the_grid():
    random = np.random.default_rng(1)
    places = random.uniform(-120.0, 150.0, (200, 2))
    grid = ViewpointCoverage([looking(x, y, 0.0) for x, y in places]).grid()
    assert max(grid.values.shape) <= MAX_SIDE
    assert all(value_at(grid, x, y) == 88 for x, y in places)


@pytest.mark.parametrize('bad', [np.nan, np.inf, 1e300])
def test_a_place_that_is_none_is_left_out(bad):
    coverage = ViewpointCoverage([looking(bad, 0.0, 0.0)])
    assert coverage.grid() is None and coverage.revision == 0
