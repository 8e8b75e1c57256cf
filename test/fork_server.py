# SPDX-License-Identifier: Apache-2.0
"""The server of `forked`: `fork_server.py SOCKET`, a descriptor that it inherits."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from typing import Any

from dsac_ros.compute import process

# What nodes import, and no module that `python -m` runs.
MODULES = ('dsac_ros.nodes.relocalizer_node', 'dsac_ros.nodes.mapper_node')
PR_SET_PDEATHSIG = 1
MOST_BYTES = 1 << 20


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; returns in each fork with its request, in the server at the end."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            tell_of_the_ended(running)
        if control not in ready:
            continue
        data, descriptors, _, _ = socket.recv_fds(control, MOST_BYTES, 2)
        if not data:
            return None
        output, status = descriptors
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            control.close()
            for descriptor in (woken, wake, status, *running.values()):
                os.close(descriptor)
            request = json.loads(data)
            become(request, output)
            return request
        os.close(output)
        running[pid] = status
        control.send(str(pid).encode())


def tell_of_the_ended(running: dict[int, int]) -> None:
    """Write the exit code of each fork that has ended where its owner reads it."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        descriptor = running.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(descriptor, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(descriptor)


def become(request: dict[str, Any], output: int) -> None:
    """Make a fork what a process is that was started with this request."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(request['environment'])
    os.chdir(request['cwd'])
    sys.path[0] = request['cwd']
    sys.argv = request['words']


def main(descriptor: int) -> None:
    """Import, then serve; in a fork, run the module that is asked for."""
    process.set_up()
    importlib.import_module('dsac_ros.nodes.runtime').offer_runtime()
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    request = serve(socket.socket(fileno=descriptor))
    if request is not None:
        runpy.run_module(request['words'][0], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    main(int(sys.argv[1]))
