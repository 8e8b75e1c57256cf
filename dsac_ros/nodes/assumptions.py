# SPDX-License-Identifier: Apache-2.0
"""Logging of assumptions about a camera."""

from __future__ import annotations

from rclpy.node import Node

from dsac_ros.types import Camera


class AssumptionLog:
    """Logs each assumption once, as a warning."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._logged: set[str] = set()

    def log(self, camera: Camera) -> None:
        """Log the assumptions about a camera that have not been logged before."""
        for text in camera.assumptions:
            if text not in self._logged:
                self._logged.add(text)
                self._node.get_logger().warning(f'assumed: {text}')
