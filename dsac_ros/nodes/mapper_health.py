# SPDX-License-Identifier: Apache-2.0
"""Health of a mapper, published on /diagnostics."""

from __future__ import annotations

from dsac_ros.msg import MappingStatus
from dsac_ros.nodes.diagnostics import InputHealth
from dsac_ros.nodes.diagnostics_publisher import DiagnosticsPublisher, node_name
from dsac_ros.nodes.health import SILENT_AFTER_S, ImageRecord
from dsac_ros.nodes.lifecycle import ParameterNode
from dsac_ros.nodes.mapper_diagnostics import MapperSnapshot, mapper_statuses
from dsac_ros.nodes.mapper_parameters import MapperParameters


class MapperHealth:
    """Diagnostics of a mapper, in every state of its lifecycle."""

    def __init__(self, node: ParameterNode[MapperParameters]) -> None:
        self.images = ImageRecord()
        self._node = node
        self._status: MappingStatus | None = None
        self._missing = ''
        DiagnosticsPublisher(node, lambda: mapper_statuses(self.snapshot()))

    def told(self, status: MappingStatus, missing: str) -> None:
        """Take the ~/status that was published, and the reason of missing inputs ('' for none)."""
        self._status, self._missing = status, missing

    def deactivate(self) -> None:
        """Forget all: the node is not active any more."""
        self.images, self._status, self._missing = ImageRecord(), None, ''

    def snapshot(self) -> MapperSnapshot:
        """Return the state of the present moment."""
        return MapperSnapshot(
            node_name(self._node),
            InputHealth(
                self.images.cameras(),
                self._missing,
                self._node.values.input_timeout or SILENT_AFTER_S,
            ),
            self._status,
        )
