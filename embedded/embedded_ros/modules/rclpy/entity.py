# SPDX-License-Identifier: Apache-2.0
"""Parts of a node that become ready and have a callback to run in an executor."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup

Work = tuple[Callable[..., Any], tuple[Any, ...]]


class Entity:
    """A subscription, timer, service or client of a node."""

    def __init__(self, node: Any, callback_group: CallbackGroup) -> None:
        self._node = weakref.ref(node)
        self.callback_group = callback_group

    def is_ready(self) -> bool:
        """Return True if there is work."""
        return False

    def take(self) -> Work | None:
        """Return the next piece of work, callback and arguments, or None."""
        return None

    def seconds_left(self) -> float | None:
        """Return the time until it is ready by itself [s]; None when only an event can do that."""
        return None

    def wake_executor(self) -> None:
        """Tell the executor that this entity may be ready."""
        node = self._node()
        if node is not None:
            node._wake_executor()
