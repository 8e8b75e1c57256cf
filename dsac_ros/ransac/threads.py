# SPDX-License-Identifier: Apache-2.0
"""How many threads a piece of work is worth."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for a while.

    The tensors of one image's RANSAC are too small for a second thread to gain anything, and where
    it shares its core with other work every operation waits for it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
