# SPDX-License-Identifier: Apache-2.0
"""Two rooms of one map that look the same: no image can tell which one it is of."""

from __future__ import annotations

import figures
import pytest
from places import TWIN_X_M, Place
from simulated_robot import SimulatedRobot

pytestmark = pytest.mark.slow
ROOMS = {'first': 0.0, 'second': TWIN_X_M}


@pytest.mark.parametrize('room', ROOMS)
@pytest.mark.parametrize('knows', [True, False], ids=['healthy', 'lost'])
def test_no_wrong_seed(simulate, twin_map, room, knows):
    simulation = simulate(SimulatedRobot(Place(origin=(ROOMS[room], 0.0)), seed=7), twin_map)
    if knows:
        simulation.amcl.place_at(simulation.robot.truth)
    simulation.run(20.0)
    figures.record(
        f'two look-alike rooms: {"healthy" if knows else "lost"} in the {room}',
        seeds=len(simulation.seeds),
        wrong_seeds=simulation.wrong_seeds(),
        false_accepts=simulation.false_accepts,
    )
    assert simulation.wrong_seeds() == 0
    assert not (knows and simulation.seeds)
