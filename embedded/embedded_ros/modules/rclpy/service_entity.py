# SPDX-License-Identifier: Apache-2.0
"""Entity with one DDS writer and one reader: the two ends of a service."""

from __future__ import annotations

from typing import Any

from rclpy.entity import Entity


class ServiceEntity(Entity):
    """Base of Client and Service, which make `_participant`, `_writer` and `_reader`."""

    _participant: Any
    _writer: Any
    _reader: Any

    def writers(self) -> list[Any]:
        """Return the DDS writers this entity owns, for the graph."""
        return [self._writer] if self._writer is not None else []

    def readers(self) -> list[Any]:
        """Return the DDS readers this entity owns, for the graph."""
        return [self._reader] if self._reader is not None else []

    def destroy(self) -> None:
        """Delete writer and reader."""
        for entity in self.writers() + self.readers():
            self._participant.delete(entity)
        self._writer = self._reader = None
