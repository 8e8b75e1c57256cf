# SPDX-License-Identifier: Apache-2.0
"""Groups of callbacks that may or may not run at the same time."""

from __future__ import annotations

import threading
from typing import Any


class CallbackGroup:
    """Base of the groups."""

    def can_execute(self, entity: Any) -> bool:
        """Return True if a callback of the entity may start now."""
        raise TypeError(f'{type(self).__name__} has no rule')

    def beginning_execution(self, entity: Any) -> bool:
        """Claim the right to run; False when another callback was faster."""
        raise TypeError(f'{type(self).__name__} has no rule')

    def ending_execution(self, entity: Any) -> None:
        """Give the right to run back."""


class ReentrantCallbackGroup(CallbackGroup):
    """All callbacks may run in parallel."""

    def can_execute(self, entity: Any) -> bool:
        return True

    def beginning_execution(self, entity: Any) -> bool:
        return True


class MutuallyExclusiveCallbackGroup(CallbackGroup):
    """One callback at a time."""

    def __init__(self) -> None:
        self._active: Any = None
        self._lock = threading.Lock()

    def can_execute(self, entity: Any) -> bool:
        return self._active is None

    def beginning_execution(self, entity: Any) -> bool:
        with self._lock:
            if self._active is not None:
                return False
            self._active = entity
            return True

    def ending_execution(self, entity: Any) -> None:
        with self._lock:
            self._active = None
