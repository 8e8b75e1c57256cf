# SPDX-License-Identifier: Apache-2.0
"""The newest item wins."""

from __future__ import annotations

import threading
import time

from dsac_ros.nodes.worker import Worker


def test_newest_wins_and_the_rest_is_counted():
    seen, begun, go = [], threading.Event(), threading.Event()

    def work(item):
        begun.set()
        go.wait(5)
        seen.append(item)

    worker = Worker(work, lambda *_: None)
    worker.slot.put(0)
    assert begun.wait(5)
    for item in range(1, 10):
        worker.slot.put(item)
    go.set()
    while len(seen) < 2:
        time.sleep(0.001)
    assert worker.stop()
    assert seen == [0, 9] and worker.slot.dropped == 8


def test_an_error_is_told_and_the_thread_goes_on():
    seen, errors = threading.Event(), []

    def work(item):
        if item == 'bad':
            raise ValueError('no')
        seen.set()

    worker = Worker(work, lambda item, error: errors.append((item, str(error))))
    worker.slot.put('bad')
    while not errors:
        time.sleep(0.001)
    worker.slot.put('good')
    assert seen.wait(5)
    worker.stop()
    assert errors == [('bad', 'no')]


def test_rate_is_a_limit():
    times = []
    worker = Worker(lambda _: times.append(time.monotonic()), lambda *_: None, lambda: 20.0)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        worker.slot.put(0)
        time.sleep(0.002)
    worker.stop()
    assert 2 <= len(times) <= 11
    assert min(b - a for a, b in zip(times, times[1:])) > 0.045


def test_stop_does_not_wait_for_the_rate():
    worker = Worker(lambda _: None, lambda *_: None, lambda: 0.01)
    worker.slot.put(0)
    time.sleep(0.05)
    start = time.monotonic()
    assert worker.stop()
    assert time.monotonic() - start < 2.0
