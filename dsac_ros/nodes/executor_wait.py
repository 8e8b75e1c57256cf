# SPDX-License-Identifier: Apache-2.0
"""Waiting of service callbacks for other threads, while the executor goes on."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

POLL_S = 0.05


class ExecutorWait:
    """Lets coroutines of the executor wait for what other threads do.

    A callback that awaits keeps its callback group busy: it needs a group of its own, so that
    subscriptions go on.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._pending: list[tuple[Callable[[], bool], Future]] = []
        # A timer, since not every rclpy is woken by a future that another thread completes.
        self._timer = node.create_timer(
            POLL_S, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._timer.cancel()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is asked in the thread of the executor."""
        if condition():
            return
        future = Future()
        self._pending.append((condition, future))
        self._timer.reset()
        await future

    def _check(self) -> None:
        pending, self._pending = self._pending, []
        for condition, future in pending:
            if condition():
                future.set_result(None)
            else:
                self._pending.append((condition, future))
        if not self._pending:
            self._timer.cancel()
