# SPDX-License-Identifier: Apache-2.0
"""Subscription to the images and camera_info of one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_ros.nodes.camera_setup import CameraSetup
from dsac_ros.nodes.input_watch import Feed, InputWatch, publishers_of
from dsac_ros.nodes.missed_messages import MissedMessages
from dsac_ros.nodes.missing_inputs import COMPRESSED, COMPRESSED_IMAGE, IMAGE, Input
from dsac_ros.nodes.overridable_qos import needs_reliable_publisher, subscribe
from dsac_ros.nodes.qos_events import NO_QOS_WARNINGS

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
        setup: the camera by the parameters.
    """

    image: Any
    info: Any
    no_info: str = ''
    setup: CameraSetup = field(default_factory=CameraSetup)

    @property
    def camera(self) -> str:
        """Name of the camera; '' for the only one."""
        return self.setup.name


class CameraSubscriber:
    """Subscribes to one camera and passes every image to a callback."""

    def __init__(
        self,
        node: Node,
        transport: str,
        watch: InputWatch,
        on_image: Callable[[StampedImage], None],
        setup: CameraSetup | None = None,
    ) -> None:
        """Subscribe to a camera.

        Args:
            node: subscribes.
            transport: key of TRANSPORTS.
            watch: is told which inputs to expect.
            on_image: called with every image.
            setup: the camera by the parameters; its calibration takes the place of camera_info.

        Raises:
            ConfigError: an override of QoS cannot be used; nothing is subscribed then.
        """
        self._node, self._forward, self._info = node, on_image, None
        self._setup = CameraSetup() if setup is None else setup
        self._infos: Feed | None = None
        self._graph_timer: Any = None
        self._subscriptions: list[Any] = []
        message, kind = TRANSPORTS[transport]
        self.image_topic = image_topic(node, transport, self._setup.name)
        self.missed = MissedMessages()
        try:
            # Executors serve subscriptions in this order: camera_info before its image.
            if self._setup.calibration is None:
                self._subscribe_to_info(watch)
            self._subscribe(message, self.image_topic, self.missed.counting(self._on_image))
        except BaseException:
            self.close()
            raise
        name = topic_of(self._setup.name, 'image')
        self._images = watch.expect(
            Input(
                'images',
                name,
                self.image_topic,
                kind,
                {
                    other: f'image_transport:={one}'
                    for one, (_, other) in TRANSPORTS.items()
                    if one != transport
                },
                reliable=needs_reliable_publisher(self._subscriptions[-1]),
                launch_name=None if self._setup.name else '',
            )
        )

    def close(self) -> None:
        """Destroy the subscriptions."""
        if self._graph_timer is not None:
            self._node.destroy_timer(self._graph_timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._subscriptions.append(subscribe(self._node, kind, topic, callback, SENSOR))

    def _subscribe_to_info(self, watch: InputWatch) -> None:
        self._info_name = topic_of(self._setup.name, 'camera_info')
        self._subscribe(CameraInfo, self._info_name, self._on_info)
        self._graph_timer = self._node.create_timer(
            GRAPH_PERIOD_S,
            self._subscribe_to_latched_info,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._infos = watch.expect(
            Input(
                'camera_info',
                self._info_name,
                self._subscriptions[-1].topic_name,
                'sensor_msgs/msg/CameraInfo',
                beside=self.image_topic,
                reliable=needs_reliable_publisher(self._subscriptions[-1]),
                launch_name=None if self._setup.name else '',
                otherwise='a driver without it takes a calibration file: camera_info_url',
            ),
            once=True,
        )

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
                    self._info_name,
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
        no_info = self._infos.reason if self._infos is not None else ''
        self._forward(StampedImage(image, self._info, no_info, self._setup))


def topic_of(camera: str, topic: str) -> str:
    """Return the relative name of a topic of a camera; '' is the only camera."""
    return f'{camera}/{topic}' if camera else topic


def image_topic(node: Node, transport: str, camera: str = '') -> str:
    """Return the full name of the image topic of a camera.

    A remapping of `image` applies to `image/compressed`, too, as in image_transport; a remapping
    of `image/compressed` itself has priority.
    """
    relative = topic_of(camera, 'image')
    image = node.resolve_topic_name(relative)
    if transport == 'raw':
        return image
    named = node.resolve_topic_name(relative + COMPRESSED)
    if named != node.resolve_topic_name(relative + COMPRESSED, only_expand=True):
        return named
    return image if image.endswith(COMPRESSED) else image + COMPRESSED
