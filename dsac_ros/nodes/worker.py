# SPDX-License-Identifier: Apache-2.0
"""The newest item wins: a slot of one between the callbacks and the thread that computes."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Slot:
    """Holds the newest item; what a newer one replaces is counted as dropped."""

    def __init__(self) -> None:
        self.dropped = 0
        self._item: Any = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Any) -> None:
        """Leave an item, in place of the one that nobody took."""
        with self._changed:
            self.dropped += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self) -> Any:
        """Wait for an item; None once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def close(self) -> None:
        """Wake who waits and hand out nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Worker:
    """A thread that calls `work(item)` with the newest item, at most `rate()` times a second.

    An exception of `work` goes to `on_error(item, exception)`, and the thread goes on.
    """

    def __init__(self, work: Callable[[Any], None], on_error: Callable[[Any, Exception], None],
                 rate: Callable[[], float] = lambda: 0.0) -> None:
        self.slot = Slot()
        self._work, self._on_error, self._rate = work, on_error, rate
        self._thread = threading.Thread(target=self._run, name='dsac_worker', daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """End the thread after the item at hand; whether it ended in time."""
        self.slot.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self.slot.take()) is not None:
            start = time.monotonic()
            try:
                self._work(item)
            except Exception as error:
                self._on_error(item, error)
            rate = self._rate()
            if rate > 0.0:
                self.slot.sleep(1.0 / rate - (time.monotonic() - start))
