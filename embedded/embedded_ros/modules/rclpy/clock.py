# SPDX-License-Identifier: Apache-2.0
"""Clocks: system, steady, and ROS time, which is the system's or /clock's."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.time import Time

__all__ = [
    'Clock',
    'ClockChange',
    'ClockType',
    'JumpHandle',
    'JumpThreshold',
    'ROSClock',
    'TimeJump',
]


class ClockChange(IntEnum):
    """Change of the source of time in a jump."""

    ROS_TIME_NO_CHANGE = 1
    ROS_TIME_ACTIVATED = 2
    ROS_TIME_DEACTIVATED = 3
    SYSTEM_TIME_NO_CHANGE = 4


class JumpThreshold:
    """Smallest jumps that are worth a callback."""

    def __init__(
        self,
        *,
        min_forward: Duration | None,
        min_backward: Duration | None,
        on_clock_change: bool = True,
    ) -> None:
        if min_forward is not None and min_forward.nanoseconds <= 0:
            raise ValueError('min_forward must be a positive non-zero duration')
        if min_backward is not None and min_backward.nanoseconds >= 0:
            raise ValueError('min_backward must be a negative non-zero duration')
        if min_forward is None and min_backward is None and not on_clock_change:
            raise ValueError('At least one jump threshold must be enabled')
        self.min_forward, self.min_backward = min_forward, min_backward
        self.on_clock_change = on_clock_change

    def exceeded(self, change: ClockChange, delta_ns: int) -> bool:
        """Return True if a jump passes the threshold."""
        if change in (ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED):
            return self.on_clock_change
        return bool(
            (self.min_forward and delta_ns >= self.min_forward.nanoseconds)
            or (self.min_backward and delta_ns <= self.min_backward.nanoseconds)
        )


class TimeJump:
    """A jump that happened."""

    def __init__(self, clock_change: ClockChange, delta: Duration) -> None:
        self.clock_change, self.delta = clock_change, delta


class JumpHandle:
    """Keeps a jump callback registered; it must be kept as long as the callback is wanted."""

    def __init__(
        self,
        *,
        clock: Clock,
        threshold: JumpThreshold,
        pre_callback: Callable[[], Any] | None,
        post_callback: Callable[[TimeJump], Any] | None,
    ) -> None:
        if pre_callback is None and post_callback is None:
            raise ValueError('One of pre_callback or post_callback must be callable')
        self._clock: Clock | None = clock
        self.threshold, self.pre_callback, self.post_callback = (
            threshold,
            pre_callback,
            post_callback,
        )
        clock._jump_handles.add(self)

    def unregister(self) -> None:
        """Call no more."""
        if self._clock is not None:
            self._clock._jump_handles.discard(self)
            self._clock = None


class Clock:
    """A clock of one type; `Clock(clock_type=ClockType.ROS_TIME)` is a ROSClock."""

    def __new__(cls, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> Clock:
        if not isinstance(clock_type, ClockType):
            raise TypeError('Clock type must be a ClockType enum')
        self = super().__new__(ROSClock if clock_type is ClockType.ROS_TIME else cls)
        self._clock_type = clock_type
        self._jump_handles: weakref.WeakSet[JumpHandle] = weakref.WeakSet()
        self._watchers: weakref.WeakSet[Any] = weakref.WeakSet()
        return self

    @property
    def clock_type(self) -> ClockType:
        """Return the kind of clock."""
        return self._clock_type

    @property
    def is_simulated(self) -> bool:
        """Return True if time comes from /clock."""
        return False

    def now(self) -> Time:
        """Return the time now."""
        steady = self._clock_type is ClockType.STEADY_TIME
        nanoseconds = time.monotonic_ns() if steady else time.time_ns()
        return Time(nanoseconds=nanoseconds, clock_type=self._clock_type)

    def watch(self, timer: Any) -> None:
        """Wake the timer's executor whenever simulated time moves."""
        self._watchers.add(timer)

    def create_jump_callback(
        self,
        threshold: JumpThreshold,
        *,
        pre_callback: Callable[[], Any] | None = None,
        post_callback: Callable[[TimeJump], Any] | None = None,
    ) -> JumpHandle:
        """Call back around jumps of the clock; keep the handle."""
        return JumpHandle(
            clock=self, threshold=threshold, pre_callback=pre_callback, post_callback=post_callback
        )

    def __repr__(self) -> str:
        return f'Clock(clock_type={self._clock_type.name})'


class ROSClock(Clock):
    """Shows the system's time, or that of /clock when the node uses simulated time."""

    _active = False
    _override_ns = 0

    def __new__(cls, **_: Any) -> ROSClock:
        return Clock.__new__(Clock, clock_type=ClockType.ROS_TIME)  # type: ignore[return-value]

    @property
    def ros_time_is_active(self) -> bool:
        """Return True if time comes from /clock."""
        return self._active

    @property
    def is_simulated(self) -> bool:
        return self._active

    def now(self) -> Time:
        if not self._active:
            return super().now()
        return Time(nanoseconds=self._override_ns, clock_type=ClockType.ROS_TIME)

    def set_ros_time_override(self, time: Time) -> None:
        """Move simulated time."""
        if not isinstance(time, Time):
            raise TypeError(f'Time must be specified as rclpy.time.Time, not {type(time)}')
        self._change(self._active, time.nanoseconds)

    def _set_ros_time_is_active(self, enabled: bool) -> None:
        self._change(enabled, self._override_ns)

    def _change(self, active: bool, override_ns: int) -> None:
        if active != self._active:
            change = ClockChange.ROS_TIME_ACTIVATED if active else ClockChange.ROS_TIME_DEACTIVATED
        else:
            change = ClockChange.ROS_TIME_NO_CHANGE
        before = self.now().nanoseconds
        after = override_ns if active else time.time_ns()
        # A clock that nobody reads does not jump: it only remembers the time.
        jumps = active or change is ClockChange.ROS_TIME_DEACTIVATED
        handles = [
            handle
            for handle in list(self._jump_handles)
            if jumps and handle.threshold.exceeded(change, after - before)
        ]
        for handle in handles:
            if handle.pre_callback is not None:
                handle.pre_callback()
        self._active, self._override_ns = active, override_ns
        for handle in handles:
            if handle.post_callback is not None:
                handle.post_callback(TimeJump(change, Duration(nanoseconds=after - before)))
        for timer in list(self._watchers):
            timer.wake_executor()
