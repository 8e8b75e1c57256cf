# SPDX-License-Identifier: Apache-2.0
"""Maps of three walls, learned once per session: ten seconds of one core each.

Two of them are different, the third is the first one with another poster.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from walls import MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.types import Camera, Frame, PosedFrame

WALLS = {'first': 0, 'second': 1}
POSTER = 2
POSTER_ROWS, POSTER_COLUMNS = slice(370, 530), slice(560, 700)  # of the first wall's texture


@dataclass(frozen=True)
class Walls:
    """Map files by name, and queries of each wall.

    `twin` shows the same as `first`, `poster` the same but for a poster, which its queries show.
    """

    maps: dict[str, Path]
    queries: dict[str, list[PosedFrame]]
    poster: list[PosedFrame]


def wall_texture(wall: int) -> np.ndarray:
    """Return the texture of a wall; POSTER: the first one with another poster."""
    if wall != POSTER:
        return texture(wall)
    changed = texture(0)
    changed[POSTER_ROWS, POSTER_COLUMNS] = texture(3)[POSTER_ROWS, POSTER_COLUMNS]
    return changed


def posed(x: float, y: float, turn: float, wall: int) -> PosedFrame:
    """Return the frame of a camera at (x, y) [m] before a wall, turned by so many degrees."""
    place = pose(x, y, 0.2 * y, turn)
    return PosedFrame(Frame(seen_from(place, wall_texture(wall)), Camera(SIZE_WH, MATRIX)), place)


def learn_wall(path: Path, wall: int) -> None:
    """Write the map of a wall."""
    import torch

    from dsac_ros.config import MappingConfig
    from dsac_ros.mapping.ace import learn_map

    config = MappingConfig(
        minutes=10.0,
        steps=60,
        batch=512,
        width=32,
        experts=2,
        short_side=96,
        network_short_side=96,
        passes=1,
        patches_per_image=128,
        points=2000,
    )
    along = np.linspace(-0.8, 0.8, 40)
    frames = [posed(x, 0.3 * np.sin(9 * x), 10 * np.cos(5 * x), wall) for x in along]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    learn_map(frames, config, device='cpu', output=path)
    torch.set_num_threads(threads)


@pytest.fixture(scope='session')
def walls(tmp_path_factory) -> Walls:
    """Maps of two walls and a twin; parallel workers share them."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if 'PYTEST_XDIST_WORKER' in os.environ else folder) / 'walls'
    folder.mkdir(exist_ok=True)
    maps = {name: folder / f'{name}.dsac' for name in (*WALLS, 'poster', 'twin')}
    with (folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not maps['twin'].exists():
            for name, wall in {**WALLS, 'poster': POSTER}.items():
                learn_wall(maps[name], wall)
            shutil.copy(maps['first'], maps['twin'])
    queries = {
        name: [posed(x, 0.1 - 0.2 * x, 6 * x, wall) for x in (-0.5, 0.0, 0.4)]
        for name, wall in WALLS.items()
    }
    return Walls(maps, queries, [posed(x, 0.05, 4 * x, POSTER) for x in (-0.2, 0.1, 0.3)])
