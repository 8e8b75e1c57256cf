# SPDX-License-Identifier: Apache-2.0
"""Timers and rates, on any clock."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock
from rclpy.constants import S_TO_NS
from rclpy.entity import Entity, Work
from rclpy.exceptions import ROSInterruptException


class Timer(Entity):
    """Calls its callback every period of its clock; calls that are missed are skipped."""

    def __init__(self, node: Any, callback: Callable[[], Any], callback_group: Any,
                 timer_period_ns: int, clock: Clock, autostart: bool = True) -> None:
        super().__init__(node, callback_group)
        self.callback, self.clock, self.timer_period_ns = callback, clock, timer_period_ns
        self._canceled = not autostart
        self._last_ns = self._now()
        self._next_ns = self._last_ns + timer_period_ns
        clock.watch(self)

    def _now(self) -> int:
        return self.clock.now().nanoseconds

    def is_ready(self) -> bool:
        """Whether the next call is due."""
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
            return None    # simulated time moves only by messages, and those wake the executor
        return max(0.0, self.time_until_next_call() / S_TO_NS)

    def time_until_next_call(self) -> int | None:
        """Time left [ns], negative when late; None when cancelled."""
        if self._canceled:
            return None
        left = self._next_ns - self._now()
        if left > self.timer_period_ns:    # the clock jumped back
            self._next_ns -= left - self.timer_period_ns
            left = self.timer_period_ns
        return left

    def time_since_last_call(self) -> int:
        """Time since the last call [ns]."""
        return self._now() - self._last_ns

    def is_canceled(self) -> bool:
        """Whether it is stopped."""
        return self._canceled

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


class Rate:
    """Sleeps to keep a loop at its rate; the node must be spinning in another thread."""

    def __init__(self, timer: Timer, *, context: Any) -> None:
        self._timer, self._tick = timer, threading.Event()
        self._is_shutdown = False
        timer.callback = self._tick.set
        context.on_shutdown(self._on_shutdown)

    def _on_shutdown(self) -> None:
        self._is_shutdown = True
        self._tick.set()

    def sleep(self) -> None:
        """Wait for the next tick; ROSInterruptException when ROS shuts down."""
        self._tick.clear()
        if not self._is_shutdown:
            self._tick.wait()
        if self._is_shutdown:
            raise ROSInterruptException()

    def destroy(self) -> None:
        """Release who sleeps and stop."""
        self._on_shutdown()
        self._timer.destroy()
