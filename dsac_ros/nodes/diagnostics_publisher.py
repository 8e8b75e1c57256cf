# SPDX-License-Identifier: Apache-2.0
"""Publisher of /diagnostics."""

from __future__ import annotations

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from dsac_ros.nodes.conversions import header

PERIOD_S = 1.0


class DiagnosticsPublisher:
    """Publishes the statuses of a node on /diagnostics at 1 Hz of a steady clock.

    In every state of the lifecycle: a node that could not load its map says so.
    """

    def __init__(self, node: Node, statuses: Callable[[], list[DiagnosticStatus]]) -> None:
        self._node, self._statuses = node, statuses
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', QoSProfile(depth=10)
        )
        self._timer = node.create_timer(
            PERIOD_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _publish(self) -> None:
        now = self._node.get_clock().now().nanoseconds
        self._publisher.publish(DiagnosticArray(header=header('', now), status=self._statuses()))


def node_name(node: Node) -> str:
    """Return the full name of a node without the first slash, as diagnostics name it."""
    return f'{node.get_namespace()}/{node.get_name()}'.lstrip('/')
