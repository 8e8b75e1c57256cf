# SPDX-License-Identifier: Apache-2.0
"""TF output of the relocalizer: a leaf frame for every accepted pose, and map -> odom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster

from dsac_ros.correction import Correction
from dsac_ros.geometry.planar import planar
from dsac_ros.nodes.conversions import transform_message
from dsac_ros.nodes.fix_queue import Fix
from dsac_ros.nodes.odometry import Odometry
from dsac_ros.nodes.qos_events import NO_QOS_WARNINGS
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters, correction_config
from dsac_ros.nodes.tf_authority import TfAuthority
from dsac_ros.nodes.transforms import TF, TF_STATIC, Transforms
from dsac_ros.sources.image_messages import stamp_ns

STATIC = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TfOutput:
    """Publishes map -> odom at tf_rate, corrected by each fix, or map -> base with each pose."""

    def __init__(
        self,
        node: Node,
        values: RelocalizerParameters,
        transforms: Transforms,
        broadcaster: TransformBroadcaster,
        *,
        odometry_problem: Callable[[], str] = lambda: '',
    ) -> None:
        """Listen for other publishers, and publish from the first fix on.

        Args:
            node: has the clock and the timers.
            values: parameters.
            transforms: TF.
            broadcaster: publishes on /tf.
            odometry_problem: FixQueue.problem.
        """
        self._node, self._broadcaster = node, broadcaster
        self._odometry = Odometry(node, transforms, values)
        self._odometry_problem = odometry_problem
        child = values.base_frame if values.tf_mode == 'map_base' else values.odom_frame
        self._authority = TfAuthority(values.tf_mode, child, values.tf_conflict, monotonic_ns())
        self._correction = Correction(correction_config(values), values.two_d_mode)
        self._last_fix: Fix | None = None
        self._last_stamp = 0
        self._entities: list[tuple[Callable[[Any], object], Any]] = []
        if self.kind != 'none':
            for topic, qos in ((TF, QoSProfile(depth=100)), (TF_STATIC, STATIC)):
                self._listen(topic, qos)
        if self.kind == 'map_odom':
            timer = node.create_timer(1.0 / values.tf_rate, self._repeat)
            self._entities.append((node.destroy_timer, timer))

    def _listen(self, topic: str, qos: QoSProfile) -> None:
        subscription = self._node.create_subscription(
            TFMessage,
            topic,
            partial(self._on_tf, is_static=topic == TF_STATIC),
            qos,
            event_callbacks=NO_QOS_WARNINGS,  # Transforms listens too, and tells
        )
        self._entities.append((self._node.destroy_subscription, subscription))

    @property
    def kind(self) -> str:
        """The transform that is published beside the leaf frame: map_odom, map_base or none."""
        return self._authority.kind

    @property
    def values(self) -> RelocalizerParameters:
        """The parameters; some may change while the node runs."""
        return self._odometry.values

    @values.setter
    def values(self, values: RelocalizerParameters) -> None:
        self._odometry.values = values
        self._correction.settings = correction_config(values)
        self._correction.planar = values.two_d_mode

    @property
    def problem(self) -> str:
        """Why tf_mode cannot do its work, one sentence; '' if it can."""
        if self._authority.problem:
            return self._authority.problem
        return self._odometry_problem() if self.kind == 'map_odom' else ''

    @property
    def gates_fixes(self) -> bool:
        """True if a fix may be JUMP_REJECTED: nothing of it is published before its odometry."""
        return (
            self.kind == 'map_odom'
            and self.values.max_jump > 0.0
            and not self._authority.other_publisher
        )

    def close(self) -> None:
        """Stop publishing."""
        for destroy, entity in self._entities:
            destroy(entity)

    def reset(self) -> None:
        """Forget map -> odom: the map or the time base has changed."""
        self._correction.reset()
        self._last_fix, self._last_stamp = None, 0

    def publish(self, output: NodeOutput) -> None:
        """Publish an accepted pose: the leaf frame, and map -> base if that is asked for."""
        values = self.values
        if values.pose_tf_child:
            self._send(values.pose_tf_child, output.stamp, output.map_from_base)
        if (
            self.kind == 'map_base'
            and values.base_frame
            and self._authority.may_publish(monotonic_ns(), has_odometry=False)
        ):
            self._authority.sent(output.stamp)
            self._last_stamp = output.stamp
            flat = planar(output.map_from_base) if values.two_d_mode else output.map_from_base
            self._send(values.base_frame, output.stamp, flat)

    def on_fix(self, fix: Fix) -> str:
        """Correct map -> odom by an accepted pose; called in the executor.

        Returns:
            The reason why the pose is JUMP_REJECTED; '' if it is not.
        """
        if self.kind != 'map_odom' or fix.odom_from_base is None:
            return ''
        is_first = self._correction.target is None
        reason = self._correction.add(
            fix.output.map_from_base, fix.odom_from_base, fix.output.stamp
        )
        if not reason:
            self._last_fix = fix
        if is_first:
            self._repeat()
        return reason if self.gates_fixes else ''

    def is_own(self, stamp: int) -> bool:
        """Return whether map -> base_frame at a stamp [ns] comes from this node."""
        return self.kind != 'none' and stamp <= self._last_stamp

    def _repeat(self) -> None:
        """Publish map -> odom again: between images the odometry moves the robot."""
        now = self._now()
        stamp = now + int(self.values.transform_tolerance * 1e9)
        if (
            self._last_fix is None
            or stamp == self._last_stamp  # simulated time may stand still
            or not self._authority.may_publish(monotonic_ns(), has_odometry=True)
        ):
            return
        map_from_odom = self._correction.advance(now, self._odom_from_base(self._last_fix))
        self._last_stamp = stamp
        self._authority.sent(stamp)
        self._send(self.values.odom_frame, stamp, map_from_odom)

    def _odom_from_base(self, last: Fix) -> np.ndarray | None:
        """Return the pose in odometry (4, 4) at which the speed of the correction is bounded."""
        if not (self.values.smoothing_tau or self.values.max_correction_rate):
            return last.odom_from_base
        newest = self._odometry.latest(last.output)
        return last.odom_from_base if newest is None else newest

    def _on_tf(self, message: TFMessage, is_static: bool) -> None:
        for transform in message.transforms:
            head = transform.header
            if self._authority.heard(
                head.frame_id, transform.child_frame_id, stamp_ns(head.stamp), is_static
            ):
                self._node.get_logger().warning(self._authority.problem)

    def _send(self, child: str, stamp: int, map_from_child: np.ndarray) -> None:
        self._broadcaster.sendTransform(
            transform_message(self.values.map_frame, child, stamp, map_from_child)
        )

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds
