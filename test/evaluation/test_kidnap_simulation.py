# SPDX-License-Identifier: Apache-2.0
"""evaluation/kidnaps.py: times from a random start to an accepted pose."""

from __future__ import annotations

import math

import numpy as np

from dsac_ros.evaluation.kidnaps import seconds_until, simulate
from dsac_ros.evaluation.plots.kidnaps import draw_kidnaps
from dsac_ros.evaluation.plots.style import png
from dsac_ros.metrics import json_ready

SECOND = 1_000_000_000


def test_times_are_differences_of_stamps():
    stamps = np.array([0, 1, 3, 7, 8]) * SECOND
    right = np.array([False, True, False, True, False])
    np.testing.assert_array_equal(seconds_until(stamps, right), [1, 0, 4, 0, math.inf])


def test_every_start_has_its_own_times():
    stamps = np.arange(10) * SECOND // 2
    right, wrong = np.arange(10) == 6, np.arange(10) == 2
    found = simulate(stamps, right, wrong, 500, seed=3)
    assert set(found.starts) == set(range(10))
    late = found.starts > 6
    np.testing.assert_array_equal(found.right_s[~late], (6 - found.starts[~late]) / 2)
    assert np.isinf(found.right_s[late]).all()
    values = found.as_dict()
    assert values['relocalized'] == int((~late).sum())
    assert values['wrong_first'] == values['ever_wrong'] == int((found.starts <= 2).sum())
    assert values['seconds_until_right']['max'] == math.inf
    assert values['seconds_until_wrong']['least'] == 0.0
    assert json_ready(values)['seconds_until_right']['max'] is None


def test_frames_are_taken_in_the_order_of_time():
    stamps = np.array([2, 0, 1]) * SECOND
    right = np.array([True, False, False])  # the last one in time
    found = simulate(stamps, right, ~right & False, 50, seed=0)
    np.testing.assert_array_equal(found.right_s, 2 - found.starts)


def test_starts_follow_from_the_seed():
    stamps, right = np.arange(100) * SECOND, np.arange(100) % 7 == 0
    same, again, other = (
        simulate(stamps, right, ~right, 30, seed).starts.tolist() for seed in (1, 1, 2)
    )
    assert same == again != other


def test_median_counts_starts_that_never_relocalize():
    stamps = np.arange(4) * SECOND
    right = np.array([True, False, False, False])
    values = simulate(stamps, right, ~right & False, 400, seed=0).as_dict()
    assert values['seconds_until_right']['p50'] == math.inf
    assert 0 < values['relocalized'] < 200


def test_a_simulation_without_any_pose_is_drawn():
    nothing = np.zeros(5, bool)
    found = simulate(np.arange(5) * SECOND, nothing, nothing, 10, seed=0)
    assert png(draw_kidnaps(found)).startswith(b'\x89PNG')
