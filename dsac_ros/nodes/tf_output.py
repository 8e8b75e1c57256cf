# SPDX-License-Identifier: Apache-2.0
"""TF output of the relocalizer: a leaf frame for every accepted pose, and map -> odom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster

from dsac_ros.geometry.planar import planar
from dsac_ros.nodes.conversions import transform_message
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.tf_authority import TfAuthority
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable
from dsac_ros.sources.image_messages import stamp_ns


class TfOutput:
    """Publishes the last map -> odom at tf_rate, and map -> base with each accepted pose."""

    def __init__(
        self,
        node: Node,
        values: RelocalizerParameters,
        transforms: Transforms,
        broadcaster: TransformBroadcaster,
    ) -> None:
        self._node, self.values, self._transforms = node, values, transforms
        self._broadcaster = broadcaster
        child = values.base_frame if values.tf_mode == 'map_base' else values.odom_frame
        self._authority = TfAuthority(values.tf_mode, child, values.tf_conflict, self._now())
        self._map_from_odom: np.ndarray | None = None
        self._last_stamp = 0
        self._entities: list[tuple[Callable[[Any], object], Any]] = []
        if self._authority.kind != 'none':
            self._entities.append(
                (
                    node.destroy_subscription,
                    node.create_subscription(TFMessage, '/tf', self._on_tf, QoSProfile(depth=100)),
                )
            )
        if self._authority.kind == 'map_odom':
            self._entities.append(
                (node.destroy_timer, node.create_timer(1.0 / values.tf_rate, self._repeat))
            )

    def close(self) -> None:
        """Stop publishing."""
        for destroy, entity in self._entities:
            destroy(entity)

    def reset(self) -> None:
        """Drop the last map -> odom: its reference frame has changed."""
        self._map_from_odom = None

    @property
    def is_publishing(self) -> bool:
        """True while TF's map -> base goes through a transform of this node."""
        if self._authority.kind == 'map_odom':
            return self._map_from_odom is not None and self._authority.may_publish(
                self._now(), has_odometry=True
            )
        return self._authority.kind == 'map_base' and self._authority.may_publish(
            self._now(), has_odometry=False
        )

    def publish(self, output: NodeOutput) -> None:
        """Publish an accepted pose; called by the worker."""
        values = self.values
        if values.pose_tf_child:
            self._send(values.pose_tf_child, output.stamp, output.map_from_base)
        if self._authority.kind == 'map_odom':
            self._update_map_from_odom(output)
        elif (
            self._authority.kind == 'map_base'
            and values.base_frame
            and (self._authority.may_publish(self._now(), has_odometry=False))
        ):
            self._authority.sent(output.stamp)
            self._send(values.base_frame, output.stamp, self._planar_if_2d(output.map_from_base))

    def _update_map_from_odom(self, output: NodeOutput) -> None:
        wait = Limits(self.values.tf_lookup_timeout, 'tf_lookup_timeout')
        try:
            camera_frame = self._transforms.optical_frame(
                output.camera_frame, self.values.camera_frame
            )
            camera_from_odom = self._transforms.lookup(
                camera_frame,
                self.values.odom_frame,
                output.stamp,
                wait if self.values.tf_mode == 'map_odom' else Limits(),
            )
        except TransformUnavailable as error:
            if self.values.tf_mode == 'map_odom':
                self._node.get_logger().warning(
                    f'no map -> odom: {error}', throttle_duration_sec=10.0
                )
            return
        first = self._map_from_odom is None
        self._map_from_odom = self._planar_if_2d(output.map_from_camera @ camera_from_odom)
        if first:
            self._repeat()

    def _repeat(self) -> None:
        """Publish map -> odom again: between images the odometry moves the robot."""
        map_from_odom = self._map_from_odom
        if map_from_odom is None or not self._authority.may_publish(
            self._now(), has_odometry=True
        ):
            return
        stamp = self._now() + int(self.values.transform_tolerance * 1e9)
        if stamp != self._last_stamp:  # simulated time may stand still
            self._last_stamp = stamp
            self._authority.sent(stamp)
            self._send(self.values.odom_frame, stamp, map_from_odom)

    def _on_tf(self, message: TFMessage) -> None:
        for transform in message.transforms:
            head = transform.header
            if self._authority.heard(
                head.frame_id, transform.child_frame_id, stamp_ns(head.stamp)
            ):
                self._node.get_logger().warning(
                    f'another node publishes {head.frame_id} -> {transform.child_frame_id}: '
                    f'tf_mode {self.values.tf_mode} '
                    + (
                        'continues to publish, and the pose of the robot alternates between the '
                        'two'
                        if self.values.tf_conflict == 'warn' and self.values.tf_mode != 'auto'
                        else 'stops publishing; stop that node and activate this one again, or '
                        'set tf_mode:=none'
                    )
                )

    def _planar_if_2d(self, matrix: np.ndarray) -> np.ndarray:
        return planar(matrix) if self.values.two_d_mode else matrix

    def _send(self, child: str, stamp: int, map_from_child: np.ndarray) -> None:
        self._broadcaster.sendTransform(
            transform_message(self.values.map_frame, child, stamp, map_from_child)
        )

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds
