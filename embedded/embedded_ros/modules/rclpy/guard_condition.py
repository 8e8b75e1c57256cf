# SPDX-License-Identifier: Apache-2.0
"""Guard conditions: any thread asks the executor to run a callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.entity import Entity, Work


class GuardCondition(Entity):
    """Calls its callback once after one or more triggers."""

    def __init__(self, node: Any, callback: Callable[[], Any], callback_group: Any) -> None:
        super().__init__(node, callback_group)
        self.callback = callback
        self._triggered = False

    def trigger(self) -> None:
        """Ask for the callback; safe from any thread."""
        self._triggered = True
        self.wake_executor()

    def is_ready(self) -> bool:
        """Return True if it was triggered since the last call."""
        return self._triggered

    def take(self) -> Work | None:
        if not self._triggered:
            return None
        self._triggered = False
        return self.callback, ()

    def destroy(self) -> None:
        """Never call again."""
        self._triggered = False
