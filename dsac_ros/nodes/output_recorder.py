# SPDX-License-Identifier: Apache-2.0
"""Records the outputs of a relocalizer node as an independent subscriber.

Writes one JSON object per line to stdout, or to the file of the ROS parameter output:
{"event": "ready"} when the relocalizer has loaded its map, then "status", "pose", "camera_pose"
and "tf" with the stamp of the image in nanoseconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tf2_msgs.msg import TFMessage

from dsac_ros.errors import OutputError
from dsac_ros.msg import MapInfo, RelocalizationStatus
from dsac_ros.nodes import helper_process
from dsac_ros.sources.image_messages import stamp_ns

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class OutputRecorder(Node):
    """Subscribes to the topics of one relocalizer.

    ROS parameters: relocalizer (name of the node), child (TF frame of its poses) and output (file
    to write; empty: stdout).
    """

    def __init__(self) -> None:
        super().__init__('dsac_output_recorder')
        output = self.declare_parameter('output', '').value
        self._file = open_output(output) if output else sys.stdout
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
        self._write('ready', message.header, map_id=message.map_id)

    def _on_status(self, message: Any) -> None:
        self._write(
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
        self._write(
            'pose', message.header, row=as_row(message.pose.position, message.pose.orientation)
        )

    def _on_camera_pose(self, message: Any) -> None:
        self._write(
            'camera_pose',
            message.header,
            row=as_row(message.pose.position, message.pose.orientation),
        )

    def _on_tf(self, message: Any) -> None:
        for one in message.transforms:
            if one.child_frame_id == self._child:
                self._write(
                    'tf', one.header, row=as_row(one.transform.translation, one.transform.rotation)
                )

    def _write(self, event: str, header: Any, **values: Any) -> None:
        """Write one event and flush it: the recorder may be ended at any moment."""
        line = {
            'event': event,
            'stamp_ns': stamp_ns(header.stamp),
            'frame': header.frame_id,
            **values,
        }
        self._file.write(json.dumps(line) + '\n')
        self._file.flush()


def as_row(place: Any, turn: Any) -> list[float]:
    """Return position x y z and quaternion x y z w as one list."""
    return [place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w]


def open_output(path: str) -> TextIO:
    """Open a file of events, in a folder that is made where it is missing.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open('w', encoding='utf-8')
    except OSError as error:
        raise OutputError(
            f'{path} cannot be written: {error.strerror}; name another file with output:='
        ) from None


def main(args: Sequence[str] | None = None) -> int:
    """Record until interrupted."""
    return helper_process.run(OutputRecorder, 'dsac_output_recorder', args)


if __name__ == '__main__':
    sys.exit(main())
