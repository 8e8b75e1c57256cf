# SPDX-License-Identifier: Apache-2.0
"""A robot that is carried to random places of its room, time and again."""

from __future__ import annotations

import math

import figures
import numpy as np
import pytest
from places import Place
from simulated_robot import SimulatedRobot
from simulation import IN_TIME_S

from dsac_ros.msg import RelocalizationStatus as Status

pytestmark = pytest.mark.slow
KIDNAPS = 30


def test_thirty_kidnaps(simulate, room_map):
    rng = np.random.default_rng(4)
    simulation = simulate(SimulatedRobot(Place(), seed=4), room_map)
    simulation.amcl.place_at(simulation.robot.truth)
    simulation.run(3.0)
    assert simulation.is_localized() and not simulation.seeds
    seconds = []
    for _ in range(KIDNAPS):
        simulation.kidnap(rng)
        seconds.append(simulation.seconds_to_recover())
        if seconds[-1] == math.inf:  # a person helps
            simulation.amcl.place_at(simulation.robot.truth)
        simulation.run(6.0, lambda: simulation.status[-1].state == Status.LOCALIZED)
        simulation.run(1.0)
    figures.record(
        'kidnaps to random places',
        kidnaps=KIDNAPS,
        recovered_in_10_s=figures.in_time(seconds, IN_TIME_S),
        **figures.times(seconds),
        seeds=len(simulation.seeds),
        wrong_seeds=simulation.wrong_seeds(),
        rejected_seeds=len(simulation.amcl.rejected),
        false_accepts=simulation.false_accepts,
    )
    assert figures.in_time(seconds, IN_TIME_S) >= 0.95 * KIDNAPS
    assert simulation.wrong_seeds() == 0 and simulation.false_accepts == 0
    assert not simulation.amcl.rejected and simulation.amcl.without_odometry == 0
    # It said so each time, and one seed was enough but rarely.
    assert sum(m.data for m in simulation.kidnapped) >= 0.95 * KIDNAPS
    assert len(simulation.seeds) <= 1.2 * KIDNAPS
