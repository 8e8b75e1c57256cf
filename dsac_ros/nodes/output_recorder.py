# SPDX-License-Identifier: Apache-2.0
"""Records the outputs of a relocalizer node as an independent subscriber.

Writes one JSON object per line to stdout: {"event": "ready"} when the relocalizer has loaded its
map, then "status", "pose", "camera_pose" and "tf" with the stamp of the image in nanoseconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tf2_msgs.msg import TFMessage

from dsac_ros.msg import MapInfo, RelocalizationStatus
from dsac_ros.sources.image_messages import stamp_ns

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class OutputRecorder(Node):
    """Subscribes to the topics of one relocalizer.

    ROS parameters: relocalizer (name of the node) and child (TF frame of its poses).
    """

    def __init__(self) -> None:
        super().__init__('dsac_output_recorder')
        relocalizer = self.declare_parameter('relocalizer', '/dsac_relocalizer').value
        self._child = self.declare_parameter('child', 'dsac_base_link').value
        for kind, topic, callback, qos in (
            (MapInfo, f'{relocalizer}/map_info', self._on_map_info, LATCHED),
            (RelocalizationStatus, f'{relocalizer}/status', self._on_status, RELIABLE),
            (PoseStamped, f'{relocalizer}/pose', self._on_pose, RELIABLE),
            (PoseStamped, f'{relocalizer}/camera_pose', self._on_camera_pose, RELIABLE),
            (TFMessage, '/tf', self._on_tf, RELIABLE),
        ):
            self.create_subscription(kind, topic, callback, qos)

    def _on_map_info(self, message: Any) -> None:
        write_event('ready', message.header, map_id=message.map_id)

    def _on_status(self, message: Any) -> None:
        write_event(
            'status',
            message.header,
            result=message.result,
            reason=message.reason,
            confidence=message.confidence,
            inlier_ratio=message.inlier_ratio,
            inlier_count=message.inlier_count,
            agreement=message.hypothesis_agreement,
            reprojection_error_px=message.reprojection_error_px,
            inference_ms=message.inference_ms,
            dropped=message.frames_dropped,
            covariance=[float(value) for value in message.pose.covariance],
        )

    def _on_pose(self, message: Any) -> None:
        write_event(
            'pose', message.header, row=as_row(message.pose.position, message.pose.orientation)
        )

    def _on_camera_pose(self, message: Any) -> None:
        write_event(
            'camera_pose',
            message.header,
            row=as_row(message.pose.position, message.pose.orientation),
        )

    def _on_tf(self, message: Any) -> None:
        for one in message.transforms:
            if one.child_frame_id == self._child:
                write_event(
                    'tf', one.header, row=as_row(one.transform.translation, one.transform.rotation)
                )


def as_row(place: Any, turn: Any) -> list[float]:
    """Return position x y z and quaternion x y z w as one list."""
    return [place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w]


def write_event(event: str, header: Any, **values: Any) -> None:
    """Write one event to stdout and flush it."""
    line = {'event': event, 'stamp_ns': stamp_ns(header.stamp), 'frame': header.frame_id, **values}
    sys.stdout.write(json.dumps(line) + '\n')
    sys.stdout.flush()


def main(args: Sequence[str] | None = None) -> int:
    """Record until interrupted."""
    rclpy.init(args=args)
    node = OutputRecorder()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException, BrokenPipeError):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
