# SPDX-License-Identifier: Apache-2.0
"""torchrun on two machines: two processes that meet at two addresses of the loopback device."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsac_ros.map_container import read_header
from dsac_ros.map_set.file import map_path, read_map_set

pytestmark = pytest.mark.slow
SETTINGS = {
    'steps': 60,
    'batch': 512,
    'width': 32,
    'experts': 2,
    'short_side': 96,
    'network_short_side': 96,
    'passes': 1,
    'patches_per_image': 128,
    'points': 2000,
}
TIMEOUT_S = 900


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def start(address, port, folder, **further):
    """Start the command of one machine, whose disk is a folder of its own."""
    folder.mkdir()
    values = {**SETTINGS, **further}
    settings = [word for name, value in values.items() for word in ('--set', f'{name}={value}')]
    torchrun = ['-m', 'torch.distributed.run', '--nnodes', '2', '--nproc-per-node', '1']
    meeting = ['--rdzv-backend', 'c10d', '--rdzv-id', 'job']
    endpoint = ['--rdzv-endpoint', f'{address}:{port}', '-m', 'dsac_ros.cli.main']
    source = ['map', 'rendered:3:72', '--clusters', '2', '--trust-poses', '--depth', 'off']
    output = ['-o', str(folder / 'place.mapset'), '--json', str(folder / 'results.json')]
    return subprocess.Popen(
        [sys.executable, *torchrun, *meeting, *endpoint, *source, *output, *settings],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_machines_learn_one_map_set(tmp_path):
    port = free_port()
    machines = [start(address, port, tmp_path / address) for address in ('127.0.0.1', '127.0.0.2')]
    errors = [machine.communicate(timeout=TIMEOUT_S)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], errors
    results = list(tmp_path.glob('*/results.json'))
    assert len(results) == 1  # of rank 0
    told = json.loads(results[0].read_text())
    assert {one['rank'] for one in told['maps']} == {0, 1} and told['deaths'] == []
    path = results[0].with_name('place.mapset')
    maps, _ = read_map_set(path)
    assert len(maps.entries) == 2
    for entry in maps.entries:
        assert read_header(map_path(path, entry))['id'] == entry.map_id
    (other,) = (folder for folder in tmp_path.iterdir() if folder != path.parent)
    assert not list(other.iterdir())


def children(pid):
    """Return the ids of the child processes of a process."""
    found = []
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        found += [int(one) for one in task.read_text().split()]
    return found


def waited_for(found, limit_s=300.0):
    """Return the first result of a function that is not empty."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        time.sleep(0.2)
    raise TimeoutError


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(('127.0.0.1', port)) == 0


def learning(agent):
    """Return a rank under torchrun and the process that learns a cluster under it."""
    for rank in children(agent):
        for process in children(rank):
            if b'--cluster\0' in Path(f'/proc/{process}/cmdline').read_bytes():
                return rank, process
    return None


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='needs /proc')
def test_a_killed_rank_is_named_and_replaced(tmp_path):
    """The rank itself ends by SIGKILL, with the process that learns, as where a machine fails."""
    port = free_port()
    first = start('127.0.0.1', port, tmp_path / 'first', silent_s=8)
    waited_for(lambda: is_open(port))
    second = start('127.0.0.2', port, tmp_path / 'second', silent_s=8)
    for process in waited_for(lambda: learning(second.pid)):
        os.kill(process, signal.SIGKILL)
    results = tmp_path / 'first' / 'results.json'
    waited_for(results.is_file)
    first.terminate()  # torchrun waits for that of the other machine for five minutes
    errors = [machine.communicate(timeout=TIMEOUT_S)[1] for machine in (first, second)]
    assert second.returncode != 0, errors
    told = json.loads(results.read_text())
    assert [one['rank'] for one in told['maps']] == [0, 0]
    (death,) = told['deaths']
    assert death.startswith('rank 1: no sign of life for 8 s, while it learned cluster')
    assert 'rank 1 has died' in errors[0]
