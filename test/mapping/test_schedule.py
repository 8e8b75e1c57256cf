# SPDX-License-Identifier: Apache-2.0
"""The schedule of a training."""

from __future__ import annotations

import pytest

from dsac_ros.config import MappingConfig
from dsac_ros.mapping.optim.schedule import COOL_DOWN, STEADY_STEPS, Schedule, learning_rate


def test_one_cycle_rises_falls_and_ends_near_nothing():
    rates = [learning_rate(p / 1000, 1.0) for p in range(1001)]
    peak = max(range(1001), key=rates.__getitem__)
    assert rates[0] == pytest.approx(1 / 25) and rates[peak] == pytest.approx(1.0, abs=1e-3)
    assert rates[-1] < 1e-3
    assert all(a <= b for a, b in zip(rates[:peak], rates[1:peak]))
    assert all(a >= b for a, b in zip(rates[peak:], rates[peak + 1 :]))


def test_steps_alone_drive_it_when_time_is_plenty():
    schedule = Schedule(MappingConfig(minutes=1000.0, steps=200))
    assert schedule.at(100) == pytest.approx(0.5, abs=1e-3)
    assert schedule.at(200) == 1.0


def test_what_is_resumed_stands_where_it_stood():
    config = MappingConfig(minutes=1000.0, steps=1000, early_stop=0.5)
    first, second = Schedule(config), Schedule(config)
    for step in range(0, 400, 10):
        first.at(step)
        first.observe(0.9, step)
    second.load_state_dict(first.state_dict())
    assert first.cooling is not None and second.cooling == first.cooling
    assert second.at(410) == pytest.approx(first.at(410), abs=1e-6)
    assert second.seconds() == pytest.approx(first.seconds(), abs=0.5)


def test_time_ends_it_when_steps_are_slow():
    schedule = Schedule(MappingConfig(minutes=1.0, steps=10**9))
    schedule.load_state_dict({**schedule.state_dict(), 'seconds': 61.0})
    assert schedule.at(2) == 1.0


def test_time_of_the_first_step_does_not_count():
    schedule = Schedule(MappingConfig(minutes=1.0, steps=100))
    schedule.load_state_dict({**schedule.state_dict(), 'seconds': 50.0})
    assert schedule.at(1) == schedule.at(0) == pytest.approx(0.01)
    assert schedule.at(2) == pytest.approx(0.02)


def test_only_steady_success_cools_down_early():
    """A bad batch starts the count of steady steps anew."""
    config = MappingConfig(minutes=1000.0, steps=10000, early_stop=0.8)
    schedule = Schedule(config)
    for step in range(0, 1000, 10):
        schedule.at(step)
        schedule.observe(0.9 if step % 50 else 0.5, step)
    assert schedule.cooling is None
    for step in range(1000, 1000 + STEADY_STEPS + 30, 10):
        schedule.at(step)
        schedule.observe(0.9, step)
    assert schedule.cooling is not None
    first = schedule.cooling[1]
    assert schedule.at(first + int(COOL_DOWN * config.steps)) == 1.0
    assert schedule.at(first) == 1.0  # never backwards
