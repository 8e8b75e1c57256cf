# SPDX-License-Identifier: Apache-2.0
"""Images and camera_info coming in."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_ros.nodes.input_watch import InputWatch, publishers_of
from dsac_ros.nodes.missing_inputs import COMPRESSED, COMPRESSED_IMAGE, IMAGE, Input
from dsac_ros.nodes.qos_events import NO_COMPLAINTS
from dsac_ros.sources.topic_names import is_rectified

#: Best effort matches every driver; of a stream only the newest counts.
SENSOR = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                    reliability=ReliabilityPolicy.BEST_EFFORT,
                    durability=DurabilityPolicy.VOLATILE)
#: Hears what was said before, where the publisher keeps it; it does not hear other publishers.
LATCHED_INPUT = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                           durability=DurabilityPolicy.TRANSIENT_LOCAL)
LOOK_PERIOD_S = 0.5
#: image_transport -> type of the messages; the parameter that asks for it.
TRANSPORTS = {'raw': (Image, IMAGE), 'compressed': (CompressedImage, COMPRESSED_IMAGE)}


@dataclass(frozen=True)
class Shot:
    """An image as it came, and the camera_info that was last heard.

    Before the first camera_info it is None and no_info says why.
    """

    image: Any
    info: Any
    no_info: str = ''


class Intake:
    """Subscribes to one camera and hands every image to `on_shot`."""

    def __init__(self, node: Any, transport: str, watch: InputWatch,
                 on_shot: Callable[[Shot], None]) -> None:
        self._node, self._on_shot, self._info = node, on_shot, None
        message, kind = TRANSPORTS[transport]
        self.image_topic = image_topic(node, transport)
        # An executor serves them in this order: an image meets the camera_info sent with it.
        self._subscriptions = [
            node.create_subscription(CameraInfo, 'camera_info', self._on_info, SENSOR),
            node.create_subscription(message, self.image_topic, self._on_image, SENSOR)]
        self._look = node.create_timer(LOOK_PERIOD_S, self._look_for_latched_info,
                                       clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._images = watch.expect(Input(
            'images', 'image', self.image_topic, kind,
            {other: f'image_transport:={name}' for name, (_, other) in TRANSPORTS.items()
             if name != transport}))
        self._infos = watch.expect(Input(
            'camera_info', 'camera_info', self._subscriptions[0].topic_name,
            'sensor_msgs/msg/CameraInfo', beside=self.image_topic), once=True)

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_timer(self._look)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def is_rectified(self, setting: str) -> bool:
        """What parameter `rectified` means for this image topic."""
        return is_rectified(self.image_topic) if setting == 'auto' else setting == 'yes'

    def _on_info(self, info: CameraInfo) -> None:
        self._infos.arrived()
        self._info = info

    def _look_for_latched_info(self) -> None:
        """Subscribe once more for a driver that sent it, latched, before this node started.

        Only where there is one: other drivers would log that this subscription asks too much.
        """
        if any(p.latched for p in publishers_of(self._node, self._infos.wanted.topic)):
            self._look.cancel()
            self._subscriptions.append(self._node.create_subscription(
                CameraInfo, 'camera_info', self._on_latched_info, LATCHED_INPUT,
                event_callbacks=NO_COMPLAINTS))

    def _on_latched_info(self, info: CameraInfo) -> None:
        """Take what was sent earlier; what is sent now arrives on the other subscription, too."""
        if info != self._info:
            self._on_info(info)

    def _on_image(self, image: Any) -> None:
        self._images.arrived()
        self._on_shot(Shot(image, self._info, self._infos.reason))


def image_topic(node: Any, transport: str) -> str:
    """The full name of the topic of images.

    A remapping of `image` moves `image/compressed` along, as in image_transport; one of
    `image/compressed` itself comes first.
    """
    image = node.resolve_topic_name('image')
    if transport == 'raw':
        return image
    named = node.resolve_topic_name('image/compressed')
    if named != node.resolve_topic_name('image/compressed', only_expand=True):
        return named
    return image if image.endswith(COMPRESSED) else image + COMPRESSED
