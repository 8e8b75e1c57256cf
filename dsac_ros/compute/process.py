# SPDX-License-Identifier: Apache-2.0
"""Priority and threads of a process, so that it shares the machine with others."""

from __future__ import annotations

import ctypes
import os

# Parameter numbers of mallopt (glibc, malloc.h), and thresholds for returning memory [bytes].
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
# Each thread gets a heap of its own otherwise, and keeps in it what the threads before it kept.
ARENAS = 2
TRIM_THRESHOLD_BYTES, MMAP_THRESHOLD_BYTES = 64 << 20, 32 << 20


def set_up() -> None:
    """Set passive thread waiting, keep freed memory, bound caches; the environment has priority.

    Call it before torch is imported, which reads these variables at its start.
    """
    # Waiting threads must not occupy cores that other processes of a robot need.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    # oneDNN keeps a compiled product for each shape that it has met, a thousand of them: every
    # image has its own number of features. What recurs for each image are a few dozen.
    os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '64')
    # torch keeps a thousand more in each thread, 0.3 MB each. Without them it asks oneDNN's.
    os.environ.setdefault('LRU_CACHE_CAPACITY', '1')
    # Tensors are freed and allocated again for every image: page faults of returned memory take an
    # eighth of the network's time.
    if not any(name.startswith('MALLOC_') for name in os.environ):
        malloc_options = getattr(ctypes.CDLL(None), 'mallopt', None)  # glibc alone has it
        if malloc_options is not None:
            malloc_options(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
            malloc_options(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
            malloc_options(M_ARENA_MAX, ARENAS)
