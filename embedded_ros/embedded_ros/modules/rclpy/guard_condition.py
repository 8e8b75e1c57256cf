# SPDX-License-Identifier: Apache-2.0
"""A callback that any thread can ask an executor to run."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.entity import Entity, Work


class GuardCondition(Entity):
    """Runs its callback once after `trigger()`."""

    def __init__(self, node: Any, callback: Callable[[], Any], callback_group: Any) -> None:
        super().__init__(node, callback_group)
        self.callback = callback
        self._triggered = False

    def trigger(self) -> None:
        """Make the callback run soon; safe from any thread."""
        self._triggered = True
        self.wake_executor()

    def is_ready(self) -> bool:
        return self._triggered

    def take(self) -> Work | None:
        self._triggered = False
        return self.callback, ()

    def destroy(self) -> None:
        """Never run again."""
        self._triggered = False
