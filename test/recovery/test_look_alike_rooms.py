# SPDX-License-Identifier: Apache-2.0
"""Two rooms of one map that look the same: no image can tell which one it is of."""

from __future__ import annotations

import figures
import numpy as np
import pytest
from places import CAMERA, TWIN_X_M, Place
from simulated_robot import SimulatedRobot

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.localizer import Localizer
from dsac_ros.types import Frame

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


def test_offline_nothing_tells_the_room(twin_map):
    """No image of either room has a pose, until a guess tells the room."""
    localizer = Localizer.load(twin_map, 'cpu')
    twins = localizer.map.header['twin_views']
    assert len(twins) > 0.8 * (int(localizer.map.points.view.max()) + 1)
    asks = localizer.with_settings(RansacConfig(), AcceptConfig(refuse_twins=False))
    place, rng, told = Place(), np.random.default_rng(3), 0
    for _ in range(12):
        pose = place.random_pose(rng)
        light, _ = place.render(pose)
        frame = Frame((255 * light.clip(0, 1) ** (1 / 2.2)).astype(np.uint8), CAMERA)
        assert not localizer.localize(frame).accepted
        found = asks.localize(frame)
        if found.accepted:
            told += 1
            assert localizer.localize(frame, found.world_from_camera).accepted
    assert told >= 6
