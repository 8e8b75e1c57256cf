# SPDX-License-Identifier: Apache-2.0
"""Robots that start lost or are carried away, within the map and out of it."""

from __future__ import annotations

import figures
import numpy as np
import pytest
from places import OTHER_ROOM, Place
from simulated_robot import SimulatedRobot
from simulation import IN_TIME_S

from dsac_ros.msg import RelocalizationStatus as Status

pytestmark = pytest.mark.slow
STARTS = 4
GIVE_UP_S = 45.0


@pytest.mark.both_runtimes
def test_start_lost(simulate, room_map):
    """The localizer knows nothing at its start, nor when it is started again elsewhere."""
    rng = np.random.default_rng(2)
    simulation = simulate(SimulatedRobot(Place(), seed=2), room_map)
    seconds = []
    for _ in range(STARTS):
        assert simulation.amcl.pose is None
        seconds.append(simulation.seconds_to_recover())
        simulation.run(6.0)
        simulation.kidnap(rng)
        simulation.amcl.pose = None
    figures.record(
        'start lost',
        starts=STARTS,
        recovered_in_10_s=figures.in_time(seconds, IN_TIME_S),
        **figures.times(seconds),
        wrong_seeds=simulation.wrong_seeds(),
    )
    assert figures.in_time(seconds, IN_TIME_S) == STARTS
    assert simulation.wrong_seeds() == 0 and not simulation.amcl.rejected
    assert simulation.amcl.without_odometry == 0


def test_kidnapped_off_the_map_and_back(simulate, room_map):
    rng = np.random.default_rng(5)
    home, elsewhere = Place(), Place(OTHER_ROOM)
    simulation = simulate(SimulatedRobot(home, seed=5), room_map, image_period=1.0)
    simulation.amcl.place_at(simulation.robot.truth)
    simulation.run(5.0)
    simulation.kidnap(rng, elsewhere)
    gave_up = simulation.run(GIVE_UP_S, lambda: simulation.status[-1].state == Status.GAVE_UP)
    seconds_to_give_up, seeds_there = simulation.seconds - 5.0, len(simulation.seeds)
    localized_there = simulation.is_localized()
    simulation.kidnap(rng, home)
    back = simulation.seconds_to_recover()
    figures.record(
        'kidnapped off the map',
        gave_up_after_s=round(seconds_to_give_up, 1) if gave_up else 'never',
        seeds=seeds_there,
        recovered_after_return_s=figures.seconds(back),
    )
    assert gave_up and not localized_there
    assert 'given up' in simulation.process.output
    assert seeds_there == 0
    assert back <= IN_TIME_S and simulation.wrong_seeds() == 0


def test_wrong_map(simulate, room_map):
    """The robot drives in a room that the map does not know, its localizer healthy."""
    simulation = simulate(SimulatedRobot(Place(OTHER_ROOM), seed=6), room_map, image_period=1.0)
    simulation.amcl.place_at(simulation.robot.truth)
    gave_up = simulation.run(
        GIVE_UP_S, lambda: simulation.status[-1:] and simulation.status[-1].state == Status.GAVE_UP
    )
    simulation.run(5.0)
    accepted = sum(m.result == Status.ACCEPTED for m in simulation.status)
    figures.record(
        'wrong map',
        gave_up_after_s=round(simulation.seconds - 5.0, 1) if gave_up else 'never',
        accepted_images=accepted,
        seeds=len(simulation.seeds),
    )
    assert gave_up and accepted == 0 and not simulation.seeds
    assert 'the place is not in the map' in simulation.process.output
    assert simulation.status[-1].result == Status.OUT_OF_MAP
    assert not simulation.is_localized()
