# SPDX-License-Identifier: Apache-2.0
"""Timers and rates, on any clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock
from rclpy.constants import S_TO_NS
from rclpy.entity import Entity, Work


class Timer(Entity):
    """Calls its callback every period of its clock; calls that are missed are skipped."""

    def __init__(
        self,
        node: Any,
        callback: Callable[[], Any],
        callback_group: Any,
        timer_period_ns: int,
        clock: Clock,
        autostart: bool = True,
    ) -> None:
        super().__init__(node, callback_group)
        self.callback, self.clock, self.timer_period_ns = callback, clock, timer_period_ns
        self._canceled = not autostart
        self._last_ns = self._now()
        self._next_ns = self._last_ns + timer_period_ns
        clock.watch(self)

    def _now(self) -> int:
        return self.clock.now().nanoseconds

    def is_ready(self) -> bool:
        """Return True if the next call is due."""
        return not self._canceled and self.time_until_next_call() <= 0

    def take(self) -> Work | None:
        if not self.is_ready():
            return None
        now, period = self._now(), self.timer_period_ns
        self._last_ns = now
        self._next_ns += period
        if self._next_ns <= now:
            self._next_ns = now if period == 0 else now + period - (now - self._next_ns) % period
        return self.callback, ()

    def seconds_left(self) -> float | None:
        if self._canceled or self.clock.is_simulated:
            return None  # simulated time moves only by messages, and those wake the executor
        return max(0.0, self.time_until_next_call() / S_TO_NS)

    def time_until_next_call(self) -> int | None:
        """Time left [ns], negative when late; None when cancelled."""
        if self._canceled:
            return None
        left = self._next_ns - self._now()
        if left > self.timer_period_ns:  # the clock jumped back
            self._next_ns -= left - self.timer_period_ns
            left = self.timer_period_ns
        return left

    def cancel(self) -> None:
        """Stop; `reset` starts again."""
        self._canceled = True

    def reset(self) -> None:
        """Start a new period now."""
        self._next_ns = self._now() + self.timer_period_ns
        self._canceled = False
        self.wake_executor()

    def destroy(self) -> None:
        """Never call again."""
        self._canceled = True
