# SPDX-License-Identifier: Apache-2.0
"""Processes that begin with what they import: forks of a server that has imported it.

A node needs three seconds of a core to import torch and ROS, and tests start hundreds of nodes.
A fork runs `python -m module` as a new process does, with a process id, a session, an environment
and an interpreter of its own; tests of how a command starts use a new process all the same.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from embedded_ros import testing

SERVER = Path(__file__).resolve().with_name('fork_server.py')
# torch reads some variables when it is imported: the server's, and so the same for every fork.
SET_AT_IMPORT = {'PYTHONUNBUFFERED': '1', 'OMP_NUM_THREADS': '1'}


class Fork:
    """A running fork: what subprocess.Popen offers, as far as tests use it."""

    def __init__(self, pid: int, stdout: IO[str], status_fd: int) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._status = open(status_fd, 'rb', buffering=0)  # noqa: SIM115 (closed when it is read)

    def poll(self) -> int | None:
        """Return the exit code of a process that has ended."""
        return self._ended(0.0)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f'process {self.pid}', timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            # Nothing is written where the server itself was killed, and all forks with it.
            text = self._status.read(16)
            self.returncode = int(text) if text else -signal.SIGKILL
            self._status.close()
        return self.returncode


class _Server:
    """Started with the first fork; ends, and all forks with it, when this process does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def fork(self, request: bytes, descriptors: list[int]) -> int:
        """Return the process id of a fork that serves the request."""
        with self._lock:
            if self._control is None:
                self._control = self._start()
            socket.send_fds(self._control, [request], descriptors)
            return int(self._control.recv(32))

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            server = subprocess.Popen(
                [sys.executable, str(SERVER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **SET_AT_IMPORT},
                start_new_session=True,
            )
        atexit.register(server.wait)
        atexit.register(ours.close)  # first: the server ends when it hears that
        return ours


_server = _Server()


def launch(command: list[str], environment: dict[str, str]) -> Any:
    """Run `python -m module words` in a fork, all that it says in one pipe."""
    if sys.platform != 'linux':  # forks of what has threads, as of other systems' libraries, crash
        return testing.launch(command, environment)
    python, option, *words = command
    assert (python, option) == (sys.executable, '-m'), f'not to be forked: {command}'
    (output, to_output), (status, to_status) = os.pipe(), os.pipe()
    request = json.dumps({'words': words, 'environment': environment, 'cwd': os.getcwd()})
    pid = _server.fork(request.encode(), [to_output, to_status])
    os.close(to_output)
    os.close(to_status)
    return Fork(pid, open(output, buffering=1), status)
