# SPDX-License-Identifier: Apache-2.0
"""Pytest fixtures for tests of nodes, on any rclpy: a DDS domain of their own, nodes, processes.

A conftest.py imports those it wants.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

# Domains 1..100 keep all of DDS' ports below the range that operating systems hand out.
DOMAINS = range(1, 101)
PR_SET_PDEATHSIG = 1


def stay_on_this_machine() -> None:
    """Keep ROS on the loopback interface, on either runtime, in this process and its children."""
    os.environ['ROS_LOCALHOST_ONLY'] = '1'
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'


def reserve_domain() -> tuple[int, IO[str]]:
    """Find a DDS domain that no other test on this machine uses, whoever runs it.

    Returns:
        The domain, and the lock that keeps it until it is closed.
    """
    for number in random.sample(DOMAINS, len(DOMAINS)):
        lock = Path(tempfile.gettempdir(), f'dsac_ros_test_domain_{number}.lock').open('w')  # noqa: SIM115 (a lock to keep)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number, lock
        except OSError:
            lock.close()
    raise AssertionError(f'none of the {len(DOMAINS)} DDS domains is free')


@pytest.fixture
def domain_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Reserve a DDS domain for one test, in the environment of its processes too."""
    number, lock = reserve_domain()
    with lock:
        monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
        yield number


@pytest.fixture
def ros_context(domain_id: int) -> Iterator[Any]:
    """Return an initialized rclpy Context of its own, shut down at the end."""
    import rclpy
    from rclpy.context import Context

    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain_id)
    yield context
    context.try_shutdown()


@pytest.fixture
def executor(ros_context: Any) -> Iterator[Any]:
    """Return a single-threaded executor of `ros_context`; its nodes are destroyed at the end."""
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=ros_context)
    yield executor
    for node in list(executor.get_nodes()):
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()


@pytest.fixture
def make_node(ros_context: Any, executor: Any) -> Callable[..., Any]:
    """Return a function that makes nodes which `executor` spins."""

    def make(name: str, cls: Any = None, **options: Any) -> Any:
        from rclpy.node import Node

        node = (cls or Node)(name, context=ros_context, **options)
        executor.add_node(node)
        return node

    return make


@pytest.fixture
def spin_until(executor: Any) -> Callable[..., bool]:
    """Return a function that spins until a condition holds, and returns True if it does."""

    def spin(condition: Callable[[], Any], timeout: float = 20.0) -> bool:
        end = time.monotonic() + timeout
        while not condition() and (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=min(left, 0.05))
        return bool(condition())

    return spin


def _prepare_child() -> None:
    """In the child: hear Ctrl-C, and end when pytest is killed and cannot clean up."""
    # A shell that starts pytest in the background has it, and so its children, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def launch(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a process in a session of its own, all that it says in one pipe."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        env=environment,
        start_new_session=True,
        preexec_fn=_prepare_child,
    )


class RunningProcess:
    """A child process whose output is read as it comes.

    `launch` starts it: another one may start it otherwise, and returns what Popen would.
    """

    def __init__(
        self,
        command: list[str],
        launch: Callable[[list[str], dict[str, str]], Any] = launch,
        **environment: str,
    ) -> None:
        self.lines: list[str] = []
        self._process = launch(
            command,
            {**os.environ, 'PYTHONUNBUFFERED': '1', 'OMP_NUM_THREADS': '1', **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip('\n'))

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """Return everything said so far."""
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

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self, number: int = signal.SIGINT, timeout: float = 30.0) -> int:
        """Send a signal and return the exit code."""
        self.send(number)
        return self.wait(timeout)

    def threads(self) -> int:
        """Count its threads, where /proc tells."""
        return len(os.listdir(f'/proc/{self._process.pid}/task'))

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
    """Return a function that starts a child process on this test's domain."""
    started: list[RunningProcess] = []

    def run(command: list[str], **environment: str) -> RunningProcess:
        started.append(RunningProcess(command, **environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
