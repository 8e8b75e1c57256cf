# SPDX-License-Identifier: Apache-2.0
"""Publishes transforms on /tf."""

from __future__ import annotations

from typing import Any

from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

DEPTH = 100


class TransformBroadcaster:
    """Says where frames are now."""

    def __init__(self, node: Any, qos: Any = None) -> None:
        self.pub_tf = node.create_publisher(TFMessage, '/tf', qos or QoSProfile(depth=DEPTH))

    def sendTransform(self, transform: Any) -> None:
        """Publish one TransformStamped or a list of them."""
        transforms = transform if isinstance(transform, list) else [transform]
        self.pub_tf.publish(TFMessage(transforms=transforms))
