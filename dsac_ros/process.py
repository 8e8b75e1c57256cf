# SPDX-License-Identifier: Apache-2.0
"""Priority and threads of a process, so that it shares the machine with others."""
from __future__ import annotations

import ctypes
import os

# mallopt's numbers (glibc, malloc.h), and from where on memory goes back to the system [bytes].
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, MAPPED = 64 << 20, 32 << 20


def set_up() -> None:
    """Threads that sleep, memory that stays; what the environment says of either is left alone.

    Call it before torch is imported, which reads the first at its start.
    """
    # Threads that wait for work must not burn the cores that a robot's other processes need.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    # Tensors of an image are freed and made again for the next one: memory that went back to the
    # system in between comes page by page, an eighth of the network's time.
    if not any(name.startswith('MALLOC_') for name in os.environ):
        malloc_options = getattr(ctypes.CDLL(None), 'mallopt', None)  # glibc alone has it
        if malloc_options is not None:
            malloc_options(M_TRIM_THRESHOLD, KEPT)
            malloc_options(M_MMAP_THRESHOLD, MAPPED)
