# SPDX-License-Identifier: Apache-2.0
"""Images of other topics that belong to those of the camera by their stamps: depth and masks."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

from dsac_ros.errors import ImageError
from dsac_ros.geometry.camera import is_resized
from dsac_ros.nodes.camera_subscriber import SENSOR
from dsac_ros.nodes.conversions import image_from_message
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.missing_inputs import IMAGE, Input
from dsac_ros.nodes.overridable_qos import needs_reliable_publisher, subscribe
from dsac_ros.sources.image_messages import stamp_ns

MAX_GAP_NS = 20_000_000
MAX_IMAGES = 30


class ImageBuffer:
    """The newest images of a topic; thread-safe."""

    def __init__(self, topic: str = '') -> None:
        self.topic = topic
        self._lock = threading.Lock()
        self._images: deque[Any] = deque(maxlen=MAX_IMAGES)

    def put(self, message: Any) -> None:
        """Add an image; the oldest goes where there are too many."""
        with self._lock:
            self._images.append(message)

    def near(self, stamp: int) -> Any | None:
        """Return the image nearest to a stamp [ns]; None if all are more than MAX_GAP_NS away."""
        nearest = min(
            self._all(), key=lambda m: abs(stamp_ns(m.header.stamp) - stamp), default=None
        )
        if nearest is None or abs(stamp_ns(nearest.header.stamp) - stamp) > MAX_GAP_NS:
            return None
        return nearest

    def reaches(self, stamp: int) -> bool:
        """Return True if none that comes will be nearer to a stamp [ns] than those here."""
        return any(stamp_ns(m.header.stamp) >= stamp for m in self._all())

    def _all(self) -> list[Any]:
        with self._lock:
            return list(self._images)


class ImagesBeside:
    """Subscription to such a topic, whose silence is reported as that of other inputs."""

    def __init__(
        self, node: Node, watch: InputWatch, what: str, topic: str, launch_name: str, beside: str
    ) -> None:
        """Subscribe.

        Args:
            node: subscribes.
            watch: reports that no image comes.
            what: the images are, a plural noun.
            topic: relative name.
            launch_name: name of the launch argument.
            beside: full topic of the camera's images.
        """
        self._node = node
        self._subscription = subscribe(node, Image, topic, self._on_image, SENSOR)
        full = self._subscription.topic_name
        self.buffer = ImageBuffer(full)
        self._feed = watch.expect(
            Input(
                what,
                topic,
                full,
                IMAGE,
                reliable=needs_reliable_publisher(self._subscription),
                launch_name=launch_name,
                beside=beside,
            )
        )

    def close(self) -> None:
        """Destroy the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _on_image(self, message: Image) -> None:
        self._feed.arrived()
        self.buffer.put(message)


def mask_from_message(message: Any, size_wh: tuple[int, int]) -> np.ndarray:
    """Convert an Image to a mask (H, W) bool of images of a size: True where it is not black.

    Raises:
        ImageError: it cannot be decoded, or is of another aspect ratio.
    """
    pixels = image_from_message(message)
    mask_wh = (pixels.shape[1], pixels.shape[0])
    if not is_resized(mask_wh, size_wh):
        raise ImageError(
            f'the mask is {mask_wh[0]}x{mask_wh[1]} but the image is {size_wh[0]}x{size_wh[1]}, '
            'expected a mask of the same shape'
        )
    used = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    return np.asarray(cv2.resize(used, size_wh, interpolation=cv2.INTER_NEAREST) > 0)
