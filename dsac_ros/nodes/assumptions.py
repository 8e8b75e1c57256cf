# SPDX-License-Identifier: Apache-2.0
"""Assumptions about a camera, in the log of a node."""
from __future__ import annotations

from typing import Any

from dsac_ros.types import Camera


class AssumptionLog:
    """Warns of each assumption once."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._told: set[str] = set()

    def tell(self, camera: Camera) -> None:
        """Log what was assumed about a camera, if it was not logged before."""
        for text in camera.assumptions:
            if text not in self._told:
                self._told.add(text)
                self._node.get_logger().warning(f'assumed: {text}')
