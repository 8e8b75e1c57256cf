# SPDX-License-Identifier: Apache-2.0
"""Work on many items by all cores of the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
import torch

from dsac_ros.compute.threads import threads

Item = TypeVar('Item')
Result = TypeVar('Result')

AHEAD = 2  # items in work or waiting, for each thread: memory does not grow with their number


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results of `work` on each item, in the order of the items.

    The threads share one interpreter: `work` should spend its time in numpy, OpenCV or torch,
    each of which runs on one core meanwhile. Items are taken from the iterable as results leave.
    """
    count = torch.get_num_threads()
    waiting: deque[Future[Result]] = deque()
    with one_thread_each(), ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= AHEAD * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch and OpenCV use one core a call for a while."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threads(1):
            yield
    finally:
        cv2.setNumThreads(before)
