# SPDX-License-Identifier: Apache-2.0
"""process.py: priority and threads, seen from a process of its own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

PREFIXES = ('MALLOC_', 'OMP_', 'ONEDNN_', 'LRU_')
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


SHAPES = """
import ctypes
from dsac_ros.compute import process
process.set_up()
import torch
class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in 'abcdefghij']
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Heap
def multiply(counts):  # as features with the points of a map: a number of its own in each image
    for count in counts:
        torch.nn.functional.conv2d(torch.ones(1, 8, 16, count), torch.ones(8, 8, 3, 3))
    return libc.mallinfo2().h  # bytes in use
with torch.inference_mode():
    print(-multiply(range(100, 200)) + multiply(range(200, 500)))
"""


def clean(**more: str) -> dict[str, str]:
    """The environment without what a user may have said of threads and memory."""
    return {k: v for k, v in os.environ.items() if not k.startswith(PREFIXES)} | more


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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallinfo2'), reason='not glibc 2.33')
def test_memory_does_not_grow_by_new_shapes():
    """Variables of the environment take precedence."""
    assert kept_bytes() < 1_000_000
    assert kept_bytes(LRU_CACHE_CAPACITY='1024') > 3_000_000


def kept_bytes(**environment: str) -> int:
    """Bytes of the heap that three hundred shapes leave in use."""
    done = subprocess.run(
        [sys.executable, '-c', SHAPES],
        env=clean(**environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


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
