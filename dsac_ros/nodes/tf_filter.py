# SPDX-License-Identifier: Apache-2.0
"""dsac_tf_filter: hands the TF of a bag on without the map -> odom of its localizer.

Play the bag with /tf remapped to tf_bag and /tf_static to tf_static_bag.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from dsac_ros.errors import ConfigError, DsacError
from dsac_ros.nodes.conversions import matrix_from_transform, transform_message
from dsac_ros.nodes.tf_rules import ACTIONS, TfRule, Verdict
from dsac_ros.sources.image_messages import stamp_ns

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

    def _inverse(self, one: Any) -> Any:
        try:
            matrix = matrix_from_transform(one.transform)
        except DsacError as error:
            self.get_logger().warning(
                f'{one.header.frame_id} -> {one.child_frame_id}: {error}',
                throttle_duration_sec=5.0,
            )
            return None
        return transform_message(
            self.rule.odom_frame,
            self.rule.reference_frame,
            stamp_ns(one.header.stamp),
            np.linalg.inv(matrix),
        )

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


def main(args: Sequence[str] | None = None) -> int:
    """Run until interrupted."""
    rclpy.init(args=args)
    node = None
    try:
        node = TfFilter()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except DsacError as error:
        get_logger('dsac_tf_filter').fatal(f'cannot start: {error}')
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
