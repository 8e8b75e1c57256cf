# SPDX-License-Identifier: Apache-2.0
"""Covariances of poses by their stamps, of the localizer that publishes TF for example."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from dsac_ros.nodes.qos_events import NO_QOS_WARNINGS
from dsac_ros.sources.image_messages import stamp_ns

MAX_COVARIANCES = 500
#: AMCL is transient local and speaks only when the robot moves; others are volatile.
OFFERED = (
    QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT),
    QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    ),
)


class Covariances:
    """The newest covariances (6, 6) of a stream of poses; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: deque[tuple[int, np.ndarray]] = deque(maxlen=MAX_COVARIANCES)

    def add(self, stamp: int, values: Sequence[float]) -> None:
        """Add the 36 values of a message with a stamp [ns]."""
        covariance = np.array(values, dtype=np.float64).reshape(6, 6)
        with self._lock:
            self._received.append((stamp, covariance))

    def at(self, stamp: int) -> np.ndarray | None:
        """Return the last one before or at a stamp [ns], else the next; None if there is none."""
        with self._lock:
            received = list(self._received)
        if not received:
            return None
        before = [one for one in received if one[0] <= stamp]
        found = max(before, key=_stamp) if before else min(received, key=_stamp)
        return found[1]


class CovarianceTopic:
    """Covariances from a topic beside TF, `amcl_pose`."""

    def __init__(self, node: Node) -> None:
        self._node, self._covariances = node, Covariances()
        self._subscriptions = [
            node.create_subscription(
                PoseWithCovarianceStamped,
                'amcl_pose',
                self._on_pose,
                profile,
                event_callbacks=NO_QOS_WARNINGS,
            )
            for profile in OFFERED
        ]
        self.name = self._subscriptions[0].topic_name

    def at(self, stamp: int) -> np.ndarray | None:
        """Return the covariance that holds at a stamp [ns]; None if there is none."""
        return self._covariances.at(stamp)

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._covariances.add(stamp_ns(message.header.stamp), message.pose.covariance)


def _stamp(received: tuple[int, np.ndarray]) -> int:
    return received[0]
