# SPDX-License-Identifier: Apache-2.0
"""Items are worked on by all cores, and their results come in order."""

from __future__ import annotations

import threading
import time

import cv2
import pytest
import torch

from dsac_ros.compute.threads import threads
from dsac_ros.mapping.optim.parallel import AHEAD, in_parallel


def test_results_come_in_the_order_of_the_items():
    with threads(4):
        assert list(
            in_parallel(lambda k: (time.sleep(0.002 * (7 - k % 7)), k)[1], range(40))
        ) == list(range(40))


def test_as_many_items_at_once_as_there_are_threads():
    meet = threading.Barrier(3, timeout=5.0)
    with threads(3):
        assert len(list(in_parallel(lambda item: meet.wait(), range(6)))) == 6


def test_items_are_taken_as_results_leave():
    taken = []
    with threads(2):
        results = in_parallel(lambda item: item, (taken.append(k) or k for k in range(100)))
        for _ in range(10):
            next(results)
        assert len(taken) <= 10 + 2 * AHEAD
        results.close()


def test_an_error_reaches_the_caller():
    with threads(2), pytest.raises(ZeroDivisionError):
        list(in_parallel(lambda item: 1 // item, [3, 2, 1, 0, 1, 2]))


def test_each_call_has_one_core_and_all_afterwards():
    before = cv2.getNumThreads()
    with threads(3):
        inside = list(
            in_parallel(lambda item: (torch.get_num_threads(), cv2.getNumThreads()), range(5))
        )
        assert torch.get_num_threads() == 3
    assert inside == [(1, 1)] * 5 and cv2.getNumThreads() == before
