# SPDX-License-Identifier: Apache-2.0
"""Newest image of each camera, taken in turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dsac_ros.nodes.worker import Slot

T = TypeVar('T')


class CameraSlot(Slot[T]):
    """Holds the newest item of each camera; the camera that was served longest ago is next.

    A fast camera replaces its own images only, so that a slow one is not starved.
    """

    def __init__(self, camera_of: Callable[[T], str]) -> None:
        """Take the function that returns the camera of an item."""
        super().__init__()
        self._camera_of = camera_of
        self._items: dict[str, T] = {}
        self._served: dict[str, int] = {}

    def put(self, item: T) -> None:
        """Store an item, replacing one of the same camera that was not taken."""
        camera = self._camera_of(item)
        with self._changed:
            self.dropped += camera in self._items
            self._items[camera] = item
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for an item; None once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed)
            if self._closed:
                return None
            camera = min(self._items, key=lambda name: self._served.get(name, 0))
            self._served[camera] = 1 + max(self._served.values(), default=0)
            return self._items.pop(camera)
