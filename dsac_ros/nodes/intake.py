# SPDX-License-Identifier: Apache-2.0
"""Images and camera_info coming in."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

#: Best effort matches every driver; of a stream only the newest counts.
SENSOR = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST,
                    reliability=ReliabilityPolicy.BEST_EFFORT,
                    durability=DurabilityPolicy.VOLATILE)


@dataclass(frozen=True)
class Shot:
    """An image as it came, and the camera_info that was last heard (None before the first)."""

    image: Any
    info: Any


class Intake:
    """Subscribes to one camera and hands every image to `on_shot`."""

    def __init__(self, node: Any, transport: str, on_shot: Callable[[Shot], None]) -> None:
        self._node, self._on_shot, self._info = node, on_shot, None
        topic, kind = ('image/compressed', CompressedImage) if transport == 'compressed' else (
            'image', Image)
        self._subscriptions = [
            node.create_subscription(CameraInfo, 'camera_info', self._on_info, SENSOR),
            node.create_subscription(kind, topic, self._on_image, SENSOR)]
        self.image_topic = self._subscriptions[1].topic_name

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def is_rectified(self, setting: str) -> bool:
        """What parameter `rectified` means for this image topic."""
        name = self.image_topic.removesuffix('/compressed').rsplit('/', 1)[-1]
        return 'rect' in name if setting == 'auto' else setting == 'yes'

    def _on_info(self, info: CameraInfo) -> None:
        self._info = info

    def _on_image(self, image: Any) -> None:
        self._on_shot(Shot(image, self._info))
