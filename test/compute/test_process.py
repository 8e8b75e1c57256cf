# SPDX-License-Identifier: Apache-2.0
"""process.py: priority and threads, seen from a process of its own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from dsac_ros.compute import process
if sys.argv[1] == 'set up':
    process.set_up()
def image():
    kept = [np.ones(20_000_000 // 8) for _ in range(3)]  # as large as an encoder's layers
for _ in range(3):
    image()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    image()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def clean(**more: str) -> dict[str, str]:
    """The environment without what a user may have said of threads and memory."""
    return {k: v for k, v in os.environ.items() if not k.startswith(('MALLOC_', 'OMP_'))} | more


def faults(what: str, **environment: str) -> int:
    """Pages that the system had to hand out for ten images."""
    done = subprocess.run(
        [sys.executable, '-c', FAULTS, what],
        env=clean(**environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'), reason='not glibc')
def test_freed_memory_is_kept_by_default():
    """Variables of the environment take precedence."""
    pages = 10 * 60_000_000 // 4096
    assert faults('set up') < 0.05 * pages
    # where huge pages are handed out there are fewer of them
    other = faults('set up', MALLOC_TRIM_THRESHOLD_='0', MALLOC_MMAP_THRESHOLD_='65536')
    assert other > 10 * faults('set up')


def test_waiting_threads_sleep_by_default():
    """Variables of the environment take precedence."""
    code = (
        'import os; from dsac_ros.compute import process; process.set_up(); '
        'print(os.environ["OMP_WAIT_POLICY"])'
    )

    def policy(**environment: str) -> str:
        return subprocess.run(
            [sys.executable, '-c', code],
            env=clean(**environment),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert policy() == 'PASSIVE'
    assert policy(OMP_WAIT_POLICY='ACTIVE') == 'ACTIVE'
