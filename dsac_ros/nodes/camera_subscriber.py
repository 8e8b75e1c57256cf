# SPDX-License-Identifier: Apache-2.0
"""Subscription to the images and camera_info of one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_ros.nodes.input_watch import InputWatch, publishers_of
from dsac_ros.nodes.missed_messages import MissedMessages
from dsac_ros.nodes.missing_inputs import COMPRESSED, COMPRESSED_IMAGE, IMAGE, Input
from dsac_ros.nodes.qos_events import NO_QOS_WARNINGS
from dsac_ros.sources.topic_names import is_rectified

#: Best effort is compatible with every driver; only the newest message is kept.
SENSOR = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
#: Receives earlier messages of transient local publishers; incompatible with volatile ones.
LATCHED_INPUT = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
GRAPH_PERIOD_S = 0.5
#: image_transport -> type of the messages and its name.
TRANSPORTS = {'raw': (Image, IMAGE), 'compressed': (CompressedImage, COMPRESSED_IMAGE)}


@dataclass(frozen=True)
class StampedImage:
    """An image message with the last camera_info.

    Attributes:
        image: Image or CompressedImage.
        info: CameraInfo; None if none has arrived yet.
        no_info: the reason in that case.
    """

    image: Any
    info: Any
    no_info: str = ''


class CameraSubscriber:
    """Subscribes to one camera and passes every image to a callback."""

    def __init__(
        self,
        node: Node,
        transport: str,
        watch: InputWatch,
        on_image: Callable[[StampedImage], None],
    ) -> None:
        self._node, self._forward, self._info = node, on_image, None
        message, kind = TRANSPORTS[transport]
        self.image_topic = image_topic(node, transport)
        self.missed = MissedMessages()
        # Executors serve subscriptions in this order: camera_info before its image.
        self._subscriptions = [
            node.create_subscription(CameraInfo, 'camera_info', self._on_info, SENSOR),
            node.create_subscription(
                message, self.image_topic, self.missed.counting(self._on_image), SENSOR
            ),
        ]
        self._graph_timer = node.create_timer(
            GRAPH_PERIOD_S,
            self._subscribe_to_latched_info,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._images = watch.expect(
            Input(
                'images',
                'image',
                self.image_topic,
                kind,
                {
                    other: f'image_transport:={name}'
                    for name, (_, other) in TRANSPORTS.items()
                    if name != transport
                },
            )
        )
        self._infos = watch.expect(
            Input(
                'camera_info',
                'camera_info',
                self._subscriptions[0].topic_name,
                'sensor_msgs/msg/CameraInfo',
                beside=self.image_topic,
            ),
            once=True,
        )

    def close(self) -> None:
        """Destroy the subscriptions."""
        self._node.destroy_timer(self._graph_timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def is_rectified(self, setting: str) -> bool:
        """Evaluate the parameter `rectified` for this image topic."""
        return is_rectified(self.image_topic) if setting == 'auto' else setting == 'yes'

    def _on_info(self, info: CameraInfo) -> None:
        self._infos.arrived()
        self._info = info

    def _subscribe_to_latched_info(self) -> None:
        """Add a transient local subscription if a publisher of camera_info is transient local.

        It receives camera_info published before this node started. Other drivers would log that
        its QoS is incompatible.
        """
        if any(p.latched for p in publishers_of(self._node, self._infos.wanted.topic)):
            self._graph_timer.cancel()
            self._subscriptions.append(
                self._node.create_subscription(
                    CameraInfo,
                    'camera_info',
                    self._on_latched_info,
                    LATCHED_INPUT,
                    event_callbacks=NO_QOS_WARNINGS,
                )
            )

    def _on_latched_info(self, info: CameraInfo) -> None:
        """Accept earlier camera_info; new messages also arrive on the other subscription."""
        if info != self._info:
            self._on_info(info)

    def _on_image(self, image: Any) -> None:
        self._images.arrived()
        self._forward(StampedImage(image, self._info, self._infos.reason))


def image_topic(node: Node, transport: str) -> str:
    """Return the full name of the image topic.

    A remapping of `image` applies to `image/compressed`, too, as in image_transport; a remapping
    of `image/compressed` itself has priority.
    """
    image = node.resolve_topic_name('image')
    if transport == 'raw':
        return image
    named = node.resolve_topic_name('image/compressed')
    if named != node.resolve_topic_name('image/compressed', only_expand=True):
        return named
    return image if image.endswith(COMPRESSED) else image + COMPRESSED
