# SPDX-License-Identifier: Apache-2.0
"""`dsac map` that is killed at random moments: the old map is there, and the training goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from dsac_ros.map_container import read_container

# `dsac map`, whose checkpoint is written after each step and not every 20 s.
MAP = (
    'import sys\n'
    'from dsac_ros.mapping.optim import checkpoint\n'
    'checkpoint.CHECKPOINT_SECONDS = 0.0\n'
    'from dsac_ros.cli.main import main\n'
    'sys.exit(main(sys.argv[1:]))\n'
)
KILLS = 3


def start(path, *words):
    options = ['--minutes', '0.05', '--set', 'short_side=120', '--progress', 'off', *words]
    return subprocess.Popen(
        [sys.executable, '-c', MAP, 'map', 'rendered:1:8', '-o', str(path), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )


@pytest.mark.slow
def test_a_killed_training_keeps_the_map_and_goes_on(tmp_path):
    path = tmp_path / 'a.map'
    checkpoint, delays = tmp_path / 'a.map.checkpoint', random.Random(2)
    assert start(path).wait(timeout=120) == 0
    before = path.read_bytes()
    for _ in range(KILLS):
        words = ['--resume'] if checkpoint.exists() else []
        process = start(path, *words)
        end, known = time.monotonic() + 120, checkpoint.stat().st_mtime_ns if words else 0
        while process.poll() is None and time.monotonic() < end:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns > known:
                break
            time.sleep(0.002)
        time.sleep(delays.uniform(0.0, 0.3))
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
        assert path.read_bytes() == before
        assert checkpoint.exists()
    resumed = start(path, '--resume')
    assert resumed.wait(timeout=120) == 0, resumed.stderr.read()
    header, _ = read_container(path)  # verifies the hash of the content
    assert header['frames'] == 8 and not checkpoint.exists()
