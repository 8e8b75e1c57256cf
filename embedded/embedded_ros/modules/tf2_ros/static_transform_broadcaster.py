# SPDX-License-Identifier: Apache-2.0
"""Publishes transforms that never change on /tf_static, latched."""

from __future__ import annotations

from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


class StaticTransformBroadcaster:
    """Says where frames are for ever."""

    def __init__(self, node: Any, qos: Any = None) -> None:
        qos = qos or QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.pub_tf = node.create_publisher(TFMessage, '/tf_static', qos)
        self._transforms: dict[str, Any] = {}

    def sendTransform(self, transform: Any) -> None:
        """Publish one TransformStamped or a list of them, with all that were sent before."""
        for entry in transform if isinstance(transform, list) else [transform]:
            self._transforms[entry.child_frame_id] = entry
        self.pub_tf.publish(TFMessage(transforms=list(self._transforms.values())))
