# SPDX-License-Identifier: Apache-2.0
"""Fills a buffer from /tf and /tf_static."""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from tf2_ros.buffer import Buffer

AUTHORITY = 'default_authority'
DEPTH = 100


class TransformListener:
    """Subscribes for as long as it lives."""

    def __init__(
        self,
        buffer: Buffer,
        node: Any,
        *,
        spin_thread: bool = False,
        qos: Any = None,
        static_qos: Any = None,
        tf_topic: str = '/tf',
        tf_static_topic: str = '/tf_static',
    ) -> None:
        if spin_thread:
            raise ValueError('the embedded TransformListener has no thread: spin its node')
        qos = qos or QoSProfile(depth=DEPTH)
        static_qos = static_qos or QoSProfile(
            depth=DEPTH,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            history=HistoryPolicy.KEEP_LAST,
        )
        self.buffer, self.node = buffer, node
        # A group of its own, so that callbacks that wait for a transform do not wait for ever.
        self.group = ReentrantCallbackGroup()
        self.tf_sub = node.create_subscription(
            TFMessage, tf_topic, self.callback, qos, callback_group=self.group
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage, tf_static_topic, self.static_callback, static_qos, callback_group=self.group
        )

    def unregister(self) -> None:
        """Listen no more."""
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def callback(self, data: Any) -> None:
        """Transforms that move."""
        for transform in data.transforms:
            self.buffer.set_transform(transform, AUTHORITY)

    def static_callback(self, data: Any) -> None:
        """Transforms that do not."""
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, AUTHORITY)
