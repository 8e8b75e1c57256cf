# SPDX-License-Identifier: Apache-2.0
"""Number of threads of PyTorch operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of threads within a context.

    The tensors of one image's RANSAC are too small to gain from a second thread, and on a core
    that is shared with other work every operation waits for it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
