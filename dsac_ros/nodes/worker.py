# SPDX-License-Identifier: Apache-2.0
"""A worker thread that processes the newest item; older ones are dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar('T')


class Slot(Generic[T]):
    """Holds the newest item; replaced items are counted as dropped."""

    def __init__(self) -> None:
        self.dropped = 0
        self._item: T | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Store an item, replacing one that was not taken."""
        with self._changed:
            self.dropped += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for an item; None once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def sleep(self, seconds: float) -> None:
        """Sleep until the time has passed or the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def close(self) -> None:
        """Wake waiting threads and return no more items."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Worker(Generic[T]):
    """A thread that calls `work(item)` with the newest item, at most `rate()` times a second.

    `before` is called first, in the thread. An exception of `work` is passed to
    `on_error(item, exception)`, one of `before` to `on_error(None, exception)`, and the thread
    continues.
    """

    def __init__(
        self,
        work: Callable[[T], None],
        on_error: Callable[[T | None, Exception], None],
        rate: Callable[[], float] = lambda: 0.0,
        before: Callable[[], None] = lambda: None,
        slot: Slot[T] | None = None,
    ) -> None:
        self.slot: Slot[T] = Slot() if slot is None else slot
        self._work, self._on_error, self._rate, self._before = work, on_error, rate, before
        self._thread = threading.Thread(target=self._run, name='dsac_worker', daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Stop the thread after the current item; return whether it stopped in time."""
        self.slot.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._before()
        except Exception as error:
            self._on_error(None, error)
        while (item := self.slot.take()) is not None:
            start = time.monotonic()
            try:
                self._work(item)
            except Exception as error:
                self._on_error(item, error)
            rate = self._rate()
            if rate > 0.0:
                self.slot.sleep(1.0 / rate - (time.monotonic() - start))
