# SPDX-License-Identifier: Apache-2.0
"""TF that the relocalizer sends: a leaf frame for every fix, and map -> odom when it is asked."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster

from dsac_ros.geometry.planar import planar
from dsac_ros.nodes.conversions import transform_message
from dsac_ros.nodes.relocalization import Answer
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.tf_authority import TfAuthority
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable
from dsac_ros.sources.image_messages import stamp_ns


class TfOutput:
    """Holds the last map -> odom and sends it at tf_rate; map -> base goes out with its fix."""

    def __init__(self, node: Any, values: SimpleNamespace, transforms: Transforms,
                 broadcaster: TransformBroadcaster) -> None:
        self._node, self.values, self._transforms = node, values, transforms
        self._broadcaster = broadcaster
        child = values.base_frame if values.tf_mode == 'map_base' else values.odom_frame
        self._authority = TfAuthority(values.tf_mode, child, values.tf_conflict, self._now())
        self._map_from_odom: np.ndarray | None = None
        self._last_stamp = 0
        self._entities: list[tuple[Any, Any]] = []
        if self._authority.kind != 'none':
            self._entities.append((node.destroy_subscription, node.create_subscription(
                TFMessage, '/tf', self._on_tf, QoSProfile(depth=100))))
        if self._authority.kind == 'map_odom':
            self._entities.append((node.destroy_timer, node.create_timer(
                1.0 / values.tf_rate, self._repeat)))

    def close(self) -> None:
        """Stop sending."""
        for destroy, entity in self._entities:
            destroy(entity)

    def forget(self) -> None:
        """Drop the last map -> odom: the frame that it was given in is another one now."""
        self._map_from_odom = None

    def publish(self, answer: Answer) -> None:
        """Take up an accepted fix; called by the worker."""
        values = self.values
        if values.pose_tf_child:
            self._send(values.pose_tf_child, answer.stamp, answer.map_from_base)
        if self._authority.kind == 'map_odom':
            self._take_up_odometry(answer)
        elif self._authority.kind == 'map_base' and values.base_frame and (
                self._authority.may_publish(self._now(), has_odometry=False)):
            self._authority.sent(answer.stamp)
            self._send(values.base_frame, answer.stamp, self._flat(answer.map_from_base))

    def _take_up_odometry(self, answer: Answer) -> None:
        wait = Limits(self.values.tf_lookup_timeout, 'tf_lookup_timeout')
        try:
            camera_frame = self._transforms.optical(answer.camera_frame,
                                                    self.values.camera_frame)
            camera_from_odom = self._transforms.lookup(
                camera_frame, self.values.odom_frame, answer.stamp,
                wait if self.values.tf_mode == 'map_odom' else Limits())
        except TransformUnavailable as error:
            if self.values.tf_mode == 'map_odom':
                self._node.get_logger().warning(
                    f'no map -> odom: {error}', throttle_duration_sec=10.0)
            return
        first = self._map_from_odom is None
        self._map_from_odom = self._flat(answer.map_from_camera @ camera_from_odom)
        if first:
            self._repeat()

    def _repeat(self) -> None:
        """Send map -> odom again: between fixes the odometry carries it."""
        map_from_odom = self._map_from_odom
        if map_from_odom is None or not self._authority.may_publish(
                self._now(), has_odometry=True):
            return
        stamp = self._now() + int(self.values.transform_tolerance * 1e9)
        if stamp != self._last_stamp:   # simulated time may stand still
            self._last_stamp = stamp
            self._authority.sent(stamp)
            self._send(self.values.odom_frame, stamp, map_from_odom)

    def _on_tf(self, message: TFMessage) -> None:
        for transform in message.transforms:
            head = transform.header
            if self._authority.heard(head.frame_id, transform.child_frame_id,
                                     stamp_ns(head.stamp)):
                self._node.get_logger().warning(
                    f'another node publishes {head.frame_id} -> {transform.child_frame_id}: '
                    f'tf_mode {self.values.tf_mode} '
                    + ('goes on beside it, and the robot jumps between the two'
                       if self.values.tf_conflict == 'warn' and self.values.tf_mode != 'auto' else
                       'is silent from now on; stop that node and activate this one again, or '
                       'set tf_mode:=none'))

    def _flat(self, matrix: np.ndarray) -> np.ndarray:
        return planar(matrix) if self.values.two_d_mode else matrix

    def _send(self, child: str, stamp: int, map_from_child: np.ndarray) -> None:
        self._broadcaster.sendTransform(
            transform_message(self.values.map_frame, child, stamp, map_from_child))

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds
