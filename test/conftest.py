# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of nodes: a runtime, a DDS domain each, processes that always end."""
from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import importlib.util
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# Domains 1..100 keep all of DDS' ports below the range that operating systems hand out.
DOMAINS = range(1, 101)
PR_SET_PDEATHSIG = 1

# Tests talk to nobody but this machine, on either runtime, in this process and its children.
os.environ['ROS_LOCALHOST_ONLY'] = '1'
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['PYTHONPATH'] = os.pathsep.join(
    [str(REPOSITORY), *filter(None, [os.environ.get('PYTHONPATH')])])
sys.path.insert(0, str(REPOSITORY))
# Libraries read these when they are imported. Threads that wait must not take a core from others:
# on a busy machine a small operation of two threads took sixty times as long. Parallel workers
# (pytest -n) share the cores.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
if WORKERS := int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 0)):
    THREADS = str(max(1, len(os.sched_getaffinity(0)) // WORKERS))
    os.environ.update(OMP_NUM_THREADS=THREADS, OPENCV_FOR_THREADS_NUM=THREADS)

importlib.import_module('dsac_ros.embedded').install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, and so count, what cannot run here: the other runtime, no peers, no GPU."""
    embedded = importlib.import_module('dsac_ros.embedded').is_installed()
    peers = all(map(importlib.util.find_spec, ('pycolmap', 'poselib')))
    gpu = importlib.import_module('torch').cuda.is_available()
    absent = {name for name, here in {'ros': not embedded, 'embedded': embedded,
                                      'benchmark': peers, 'gpu': gpu}.items() if not here}
    other = [item for item in items if absent & {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]
    if WORKERS:
        _slow_files_first(items)


def _slow_files_first(items: list[pytest.Item]) -> None:
    """Sort files for parallel workers: long ones first, and before those that share a map.

    While one worker learns that map, the other has something else to do.
    """
    slow, sharing = ({item.path for item in items if condition(item)} for condition in (
        lambda item: item.get_closest_marker('slow'),
        lambda item: 'tiny_map' in getattr(item, 'fixturenames', ())))
    items.sort(key=lambda item: (item.path not in slow, item.path in sharing))


@pytest.fixture
def domain_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A DDS domain for one test, in the environment of its processes too.

    A lock keeps it from other tests on this machine, whoever runs them.
    """
    for number in random.sample(DOMAINS, len(DOMAINS)):
        path = Path(tempfile.gettempdir(), f'dsac_ros_test_domain_{number}.lock')
        with path.open('w') as lock, contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
            yield number
            return
    pytest.fail(f'none of the {len(DOMAINS)} DDS domains is free')


@pytest.fixture
def ros_context(domain_id: int) -> Iterator[Any]:
    """An initialized rclpy Context of its own, shut down at the end."""
    import rclpy
    from rclpy.context import Context
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain_id)
    yield context
    context.try_shutdown()


@pytest.fixture
def executor(ros_context: Any) -> Iterator[Any]:
    """A single-threaded executor of `ros_context`; its nodes are destroyed at the end."""
    from rclpy.executors import SingleThreadedExecutor
    executor = SingleThreadedExecutor(context=ros_context)
    yield executor
    for node in list(executor.get_nodes()):
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()


@pytest.fixture
def make_node(ros_context: Any, executor: Any) -> Callable[..., Any]:
    """Make nodes that `executor` spins: make_node('name', cls=Node, **options)."""
    def make(name: str, cls: Any = None, **options: Any) -> Any:
        from rclpy.node import Node
        node = (cls or Node)(name, context=ros_context, **options)
        executor.add_node(node)
        return node
    return make


@pytest.fixture
def spin_until(executor: Any) -> Callable[..., bool]:
    """Spin until a condition holds: spin_until(lambda: messages, timeout=20.0) -> whether."""
    def spin(condition: Callable[[], Any], timeout: float = 20.0) -> bool:
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        return bool(condition())
    return spin


def _prepare_child() -> None:
    """In the child: hear Ctrl-C, and end when pytest is killed and cannot clean up."""
    # A shell that starts pytest in the background has it, and so its children, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class RunningProcess:
    """A child process whose output is read as it comes."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
            env={**os.environ, 'PYTHONUNBUFFERED': '1', 'OMP_NUM_THREADS': '1', **environment},
            start_new_session=True, preexec_fn=_prepare_child)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip('\n'))

    @property
    def output(self) -> str:
        """Everything said so far."""
        return '\n'.join(self.lines)

    def wait_for(self, text: str, timeout: float = 20.0) -> str:
        """Wait for a line with `text` and return it."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for line in list(self.lines):
                if text in line:
                    return line
            if self._process.poll() is not None:
                self._reader.join(1.0)
                if text not in self.output:
                    break
            time.sleep(0.02)
        raise AssertionError(f'no {text!r} within {timeout} s; the process said:\n{self.output}')

    def stop(self, number: int = signal.SIGINT, timeout: float = 30.0) -> int:
        """Send a signal and return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait(timeout)

    def wait(self, timeout: float = 20.0) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(timeout)
        self._reader.join(1.0)
        return code

    def kill(self) -> None:
        """End it and its children, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10.0)
        self._reader.join(1.0)
        self._process.stdout.close()


@pytest.fixture
def run_process(domain_id: int) -> Iterator[Callable[..., RunningProcess]]:
    """Start child processes on this test's domain: run_process([command ...], NAME='value')."""
    started: list[RunningProcess] = []

    def run(command: list[str], **environment: str) -> RunningProcess:
        started.append(RunningProcess(command, **environment))
        return started[-1]
    yield run
    for process in started:
        process.kill()


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
    from dsac_ros.mapping.trainer import learn_map
    from dsac_ros.sources.rendered.drive import drive
    from dsac_ros.sources.rendered.source import RenderedSource, robot_camera
    from dsac_ros.sources.rendered.world import RenderedWorld
    world = RenderedWorld(seed=3)
    source = RenderedSource(world, drive(world, seed=1, frames=32, rate_hz=5.0),
                            robot_camera((320, 240)))
    frames = list(source.posed_frames())
    mapping = [posed for i, posed in enumerate(frames) if i % 4 != 2]
    config = MappingConfig(minutes=10.0, steps=500, batch=1024, width=256, short_side=240,
                           passes=1, patches_per_image=400, held_out=0.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    learn_map(mapping, config, device='cpu', output=path, map_frame='corner')
    torch.set_num_threads(threads)
    return mapping, frames[2::4]
