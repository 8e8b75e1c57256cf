# SPDX-License-Identifier: Apache-2.0
"""Maps that the scenarios share, and simulations that end with their test."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The scenarios' robot speaks and listens as that of the tests of nodes.
sys.path.append(str(Path(__file__).resolve().parents[1] / 'nodes'))
#: Seeds a localizer of the robot unasked, as launch/nav2_recovery does.
SEED_MODE = {'publish_initialpose': 'auto', 'tf_mode': 'none'}


def learned_once(
    factory: pytest.TempPathFactory, name: str, learn: Callable[[Path], None]
) -> Path:
    """The map that `learn` writes; parallel workers share it, the first one learns it."""
    folder = factory.getbasetemp()
    folder = folder.parent if 'PYTEST_XDIST_WORKER_COUNT' in os.environ else folder
    path = folder / f'{name}.map'
    with (folder / f'{name}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            learn(path)
    return path


@pytest.fixture(scope='session')
def room_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The map of the room: half a minute of one core (mark such tests `slow`)."""
    from mapped_places import learn_room

    return learned_once(tmp_path_factory, 'room', learn_room)


@pytest.fixture(scope='session')
def twin_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One map of two rooms that look the same: 40 seconds of one core."""
    from mapped_places import learn_twin_rooms

    return learned_once(tmp_path_factory, 'twins', learn_twin_rooms)


@pytest.fixture
def simulate() -> Iterator[Callable[..., Any]]:
    """A function that starts a relocalizer beside a simulated robot; parameters override."""
    from simulation import Simulation

    started: list[Simulation] = []

    def start(robot: Any, map_path: Path, **options: Any) -> Simulation:
        started.append(Simulation(robot, map=str(map_path), **{**SEED_MODE, **options}))
        started[-1].wait_for_node()
        return started[-1]

    yield start
    for simulation in started:
        simulation.close()
        assert 'Traceback' not in simulation.process.output
