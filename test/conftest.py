# SPDX-License-Identifier: Apache-2.0
"""Fixtures that tests share: a runtime, those of nodes, a map that is learned once."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# Tests are about this checkout, whatever is installed: both distributions of it.
SOURCES = [str(REPOSITORY), str(REPOSITORY / 'embedded')]
os.environ['PYTHONPATH'] = os.pathsep.join(
    [*SOURCES, *filter(None, [os.environ.get('PYTHONPATH')])]
)
sys.path[:0] = SOURCES
# Libraries read these when they are imported. Threads that wait must not take a core from others:
# on a busy machine a small operation of two threads took sixty times as long. Parallel workers
# (pytest -n) share the cores.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
if WORKERS := int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 0)):
    THREADS = str(max(1, len(os.sched_getaffinity(0)) // WORKERS))
    os.environ.update(OMP_NUM_THREADS=THREADS, OPENCV_FOR_THREADS_NUM=THREADS)

# An example of hypothesis may take its time, too: 0.2 s are little on a busy machine.
hypothesis.settings.register_profile('busy machine', deadline=None)
hypothesis.settings.load_profile('busy machine')

testing = importlib.import_module('embedded_ros.testing')
testing.stay_on_this_machine()
domain_id, ros_context, executor = testing.domain_id, testing.ros_context, testing.executor
make_node, spin_until, run_process = testing.make_node, testing.spin_until, testing.run_process
IS_EMBEDDED = importlib.import_module('dsac_ros.nodes.runtime').offer_runtime()

#: The files that take longest, a minute or more of a core each; those at the head need other maps.
LONGEST = (
    'test_thirty_kidnaps.py',
    'test_look_alike_rooms.py',
    'test_end_to_end.py',
    'test_long_drive.py',
    'test_graph_faults.py',
    'test_kidnaps.py',
    'test_camera_faults.py',
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, and so count, what cannot run here: the other runtime, no peers, no GPU."""
    peers = all(map(importlib.util.find_spec, ('pycolmap', 'poselib')))
    gpu = importlib.import_module('torch').cuda.is_available()
    absent = {
        name
        for name, here in {
            'ros': not IS_EMBEDDED,
            'embedded': IS_EMBEDDED,
            'benchmark': peers,
            'gpu': gpu,
        }.items()
        if not here
    }
    other = [item for item in items if absent & {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]
    if WORKERS:
        _slow_files_first(items)


def _slow_files_first(items: list[pytest.Item]) -> None:
    """Sort files for parallel workers: long ones first, and before those that share a map.

    While one worker learns that map, the others have something else to do.
    """
    slow, sharing = (
        {item.path for item in items if condition(item)}
        for condition in (
            lambda item: item.get_closest_marker('slow'),
            lambda item: 'tiny_map' in getattr(item, 'fixturenames', ()),
        )
    )
    longest = {name: place for place, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: (
            longest.get(item.path.name, len(LONGEST)),
            item.path not in slow,
            item.path in sharing,
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three workers for two cores: tests of nodes wait for messages half of their time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return 3 * cores // 2


@dataclass(frozen=True)
class TinyScene:
    """A corner of a rendered room: posed frames, every fourth of them left out of the map."""

    mapping: list[Any]
    queries: list[Any]
    map: Path


@pytest.fixture(scope='session')
def tiny_map(tmp_path_factory: pytest.TempPathFactory) -> TinyScene:
    """A map learned once per session: half a minute of one core (mark such tests `slow`).

    Parallel workers share it: the first one that needs it learns it, the others wait.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if WORKERS else folder) / 'tiny_map'
    folder.mkdir(exist_ok=True)
    path, frames = folder / 'corner.map', folder / 'frames.pickle'
    with (folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not frames.exists():
            frames.write_bytes(pickle.dumps(learn_tiny_map(path)))
        mapping, queries = pickle.loads(frames.read_bytes())
    return TinyScene(mapping, queries, path)


def learn_tiny_map(path: Path) -> tuple[list[Any], list[Any]]:
    """Write the map; the posed frames that it was learned from, and those left out."""
    import torch

    from dsac_ros.config import MappingConfig
    from dsac_ros.mapping.ace import learn_map
    from dsac_ros.sources.rendered import RenderedSource, robot_camera
    from dsac_ros.synthetic.drive import drive
    from dsac_ros.synthetic.world import RenderedWorld

    world = RenderedWorld(seed=3)
    source = RenderedSource(
        world, drive(world, seed=1, frames=32, rate_hz=5.0), robot_camera((320, 240))
    )
    frames = list(source.posed_frames())
    mapping = [posed for i, posed in enumerate(frames) if i % 4 != 2]
    config = MappingConfig(
        minutes=10.0,
        steps=500,
        batch=1024,
        width=256,
        short_side=240,
        passes=1,
        patches_per_image=400,
        held_out=0.0,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    learn_map(mapping, config, device='cpu', output=path, map_frame='corner')
    torch.set_num_threads(threads)
    return mapping, frames[2::4]
