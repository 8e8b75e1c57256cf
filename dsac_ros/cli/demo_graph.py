# SPDX-License-Identifier: Apache-2.0
"""The demo's ROS graph: a relocalizer, a player and a listener, each a process of its own.

They find each other over DDS on the loopback interface, in a domain that nobody else uses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from dsac_ros.errors import DsacError

READY_SECONDS, QUIET_SECONDS = 90.0, 3.0
LISTEN = (
    'from dsac_ros.nodes.runtime import offer_runtime; offer_runtime(); '
    'from dsac_ros.nodes.output_recorder import main; raise SystemExit(main())'
)
DSAC = (sys.executable, '-m', 'dsac_ros.cli.main')


class NodeFailedError(DsacError):
    """A process of the demo ended by itself."""


def private_graph() -> dict[str, str]:
    """The environment of a graph that nobody outside this machine sees."""
    environment = dict(os.environ)
    # 102 and above would meet the ports that Linux gives to clients.
    environment['ROS_DOMAIN_ID'] = str(60 + os.getpid() % 40)
    if environment.get('ROS_DISTRO') == 'humble':
        environment['ROS_LOCALHOST_ONLY'] = '1'
    else:
        environment.pop('ROS_LOCALHOST_ONLY', None)
        environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    environment['PYTHONUNBUFFERED'] = '1'
    return environment


class Graph:
    """A context: within it processes can be started, behind it none is left."""

    def __init__(self, folder: Path) -> None:
        """Takes the folder for the logs."""
        self.folder, self.environment = folder, private_graph()
        self.events: list[dict[str, Any]] = []
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._logs: list[Any] = []

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The relocalizer and the player first: the listener is to hear their end.
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in self._logs:
            log.close()

    def start(self, name: str, *command: str, listen: bool = False) -> None:
        """Start a process; its log is NAME.log, its stdout the events where listen is set."""
        log = (self.folder / f'{name}.log').open('w', encoding='utf-8')
        self._logs.append(log)
        # A session of its own: Ctrl-C reaches this program alone, which ends the others in order.
        process = subprocess.Popen(
            command,
            env=self.environment,
            text=True,
            stderr=log,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else log,
        )
        self._processes[name] = process
        if listen:
            threading.Thread(target=self._collect, args=(process,), daemon=True).start()

    def _collect(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self.events.append(json.loads(line))

    def count(self, kind: str) -> int:
        """Return the number of events of one kind that were heard."""
        return sum(event['event'] == kind for event in list(self.events))

    def is_running(self, name: str) -> bool:
        """Return True while a process runs; raise NodeFailedError if it failed."""
        code = self._processes[name].poll()
        if code:
            path = self.folder / f'{name}.log'
            lines = path.read_text(encoding='utf-8', errors='replace').strip().splitlines()
            raise NodeFailedError(
                f'{name} ended with code {code}: '
                f'{lines[-1] if lines else "it said nothing"} (see {path})'
            )
        return code is None

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition; NodeFailedError when it takes too long or a process fails."""
        end = time.monotonic() + seconds
        while not condition():
            for name in self._processes:
                self.is_running(name)
            if time.monotonic() > end:
                raise NodeFailedError(
                    f'{what} did not happen within {seconds:.0f} s; see the logs in {self.folder}'
                )
            time.sleep(0.05)

    def answers(self, player: str, frames: int) -> Iterator[None]:
        """Yields once per answer heard, until all came or the player ended and it stays quiet."""
        heard, last = 0, time.monotonic()
        while heard < frames:
            if self.count('status') > heard:
                heard, last = heard + 1, time.monotonic()
                yield None
                continue
            playing = {name: self.is_running(name) for name in self._processes}[player]
            if not playing and time.monotonic() - last > QUIET_SECONDS:
                return
            time.sleep(0.02)
