# SPDX-License-Identifier: Apache-2.0
"""Heartbeats of an active node for nav2's lifecycle manager (its side of a bond).

A bond is a topic `bond` on which both sides send bond/msg/Status: the node's name as id, an
instance_id of each side, and `active` until the side leaves. The manager acts when the heartbeats
of the node stop; a node does nothing when the manager leaves, as nav2's own do not. So only the
sending half is needed, and it is sent by the executor that must not hang.
"""

from __future__ import annotations

import importlib
import uuid
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from dsac_ros.nodes.runtime import register_messages

TOPIC = 'bond'
#: bond/msg/Status, for the embedded runtime: no ROS package brings it there.
STATUS = {
    'bond/msg/Status': 'std_msgs/Header header\nstring id\nstring instance_id\nbool active\n'
    'float32 heartbeat_timeout\nfloat32 heartbeat_period\n'
}
#: Told to the manager, which uses its own bond_timeout [s]: the default of bond_core.
HEARTBEAT_TIMEOUT_S = 4.0


class Bond:
    """Heartbeats while the node is active; a period of 0 sends none.

    The publisher stays until the node is destroyed, so that the last message leaves it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher: Any = None
        self._timer: Any = None
        self._instance_id = ''
        self._period_s = 0.0

    def start(self, period_s: float) -> None:
        """Send heartbeats from now on, as a new instance.

        Args:
            period_s: time between two; 0: none.
        """
        self.stop()
        if not period_s or not self._offer():
            return
        # A manager that sees the node again must not take it for the one that left.
        self._instance_id, self._period_s = str(uuid.uuid4()), period_s
        self._send(active=True)
        # A steady clock: simulated time may stand still, and a manager's timeout does not.
        self._timer = self._node.create_timer(
            period_s,
            lambda: self._send(active=True),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def stop(self) -> None:
        """Tell the manager that the node leaves, and send no more; idempotent."""
        if self._timer is None:
            return
        self._node.destroy_timer(self._timer)
        self._timer = None
        if self._node.context.ok():
            self._send(active=False)

    def _offer(self) -> bool:
        """Create the publisher, once; False where the message type is missing."""
        if self._publisher is None:
            register_messages(STATUS)
            try:
                status = importlib.import_module('bond.msg').Status
            except (ImportError, AttributeError):
                self._node.get_logger().warning(
                    'bond_heartbeat_period is set and the package bond is not installed: a '
                    'lifecycle manager must have bond_timeout 0, or install it (sudo apt install '
                    'ros-$ROS_DISTRO-bond)'
                )
                return False
            self._publisher = self._node.create_publisher(status, TOPIC, QoSProfile(depth=1))
        return True

    def _send(self, *, active: bool) -> None:
        message = importlib.import_module('bond.msg').Status(
            id=self._node.get_name(),
            instance_id=self._instance_id,
            active=active,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_S,
            heartbeat_period=self._period_s,
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
