# SPDX-License-Identifier: Apache-2.0
"""dsac_tf_filter: hands the TF of a bag on without the map -> odom of its localizer.

Play the bag with /tf remapped to tf_bag and /tf_static to tf_static_bag.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from dsac_ros.errors import ConfigError, DsacError, SourceError
from dsac_ros.nodes import helper_process
from dsac_ros.nodes.conversions import matrix_from_transform, transform_message
from dsac_ros.nodes.tf_rules import ACTIONS, TfRule, Verdict

#: A burst of a bag that plays fast; static ones of several broadcasters.
DEPTH = 1000
LATCHED = QoSProfile(depth=DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TfFilter(Node):
    """Republishes tf_bag on /tf and tf_static_bag on /tf_static by a TfRule.

    ROS parameters: those of TfRule.
    """

    def __init__(self) -> None:
        super().__init__('dsac_tf_filter')
        rule = TfRule()
        self.rule = TfRule(
            **{
                name: self.declare_parameter(name, getattr(rule, name)).value
                for name in ('map_odom', 'map_frame', 'odom_frame', 'reference_frame')
            },
            leaf_frame=self.declare_parameter('leaf_frame', rule.leaf_frame).value,
        )
        if self.rule.map_odom not in ACTIONS:
            raise ConfigError(
                f'map_odom is {self.rule.map_odom!r}, expected one of {", ".join(ACTIONS)}'
            )
        self._logged: set[tuple[str, str]] = set()
        for source, target, qos in (
            ('tf_bag', '/tf', QoSProfile(depth=DEPTH)),
            ('tf_static_bag', '/tf_static', LATCHED),
        ):
            publisher = self.create_publisher(TFMessage, target, qos)
            self.create_subscription(TFMessage, source, self._hand_on(publisher), qos)
        # The player remaps its topics to these; without subscribers it may begin too early.
        self.get_logger().info(f'waiting for transforms on {self.resolve_topic_name("tf_bag")}')

    def _hand_on(self, publisher: Any) -> Any:
        def callback(message: TFMessage) -> None:
            kept = self._filtered(message.transforms)
            if kept:
                publisher.publish(TFMessage(transforms=kept))

        return callback

    def _filtered(self, transforms: Sequence[Any]) -> list[Any]:
        kept = []
        for one in transforms:
            edge = one.header.frame_id, one.child_frame_id
            verdict = self.rule.verdict(*edge)
            if verdict is not Verdict.PASS:
                self._log_once(edge, verdict)
            if verdict is Verdict.PASS:
                kept.append(one)
            elif verdict is Verdict.INVERT and (inverse := self._inverse(one)) is not None:
                kept.append(inverse)
        return kept

    def _inverse(self, one: TransformStamped) -> TransformStamped | None:
        try:
            return inverted(one, self.rule)
        except DsacError as error:
            self.get_logger().warning(
                f'{one.header.frame_id} -> {one.child_frame_id}: {error}',
                throttle_duration_sec=5.0,
            )
            return None

    def _log_once(self, edge: tuple[str, str], verdict: Verdict) -> None:
        if edge in self._logged:
            return
        self._logged.add(edge)
        self.get_logger().info(
            f'{edge[0]} -> {edge[1]} of the bag '
            + (
                'is left out'
                if verdict is Verdict.DROP
                else f'becomes {self.rule.odom_frame} -> {self.rule.reference_frame}'
            )
        )


def inverted(one: TransformStamped, rule: TfRule) -> TransformStamped:
    """Return map_frame -> odom_frame as odom_frame -> reference_frame, with the same stamp.

    Raises:
        SourceError: it is no transform: not finite, or without a rotation.
    """
    odom_from_map = np.linalg.inv(matrix_from_transform(one.transform))
    if not np.isfinite(odom_from_map).all():
        raise SourceError('its translation is too large to be inverted')
    message = transform_message(rule.odom_frame, rule.reference_frame, 0, odom_from_map)
    message.header.stamp = one.header.stamp
    return message


def main(args: Sequence[str] | None = None) -> int:
    """Run until interrupted."""
    return helper_process.run(TfFilter, 'dsac_tf_filter', args)


if __name__ == '__main__':
    sys.exit(main())
