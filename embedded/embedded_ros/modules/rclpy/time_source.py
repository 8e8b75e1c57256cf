# SPDX-License-Identifier: Apache-2.0
"""`use_sim_time`: the node's clock follows /clock."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rosgraph_msgs.msg import Clock

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import ROSClock
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

CLOCK_TOPIC = '/clock'
USE_SIM_TIME_NAME = 'use_sim_time'


class TimeSource:
    """Drives the clock of a node."""

    def __init__(self, node: Any, clock: ROSClock) -> None:
        self._node, self._clock = node, clock
        self._subscription: Any = None
        if not node.has_parameter(USE_SIM_TIME_NAME):
            node.declare_parameter(USE_SIM_TIME_NAME, False)
        self._use(node.get_parameter(USE_SIM_TIME_NAME).value)
        node.add_on_set_parameters_callback(self._on_parameters)

    def _use(self, enabled: bool) -> None:
        self._clock._set_ros_time_is_active(enabled)
        if enabled and self._subscription is None:
            # A group of its own, or a callback that waits for time would stop it.
            self._subscription = self._node.create_subscription(
                Clock,
                CLOCK_TOPIC,
                self._on_clock,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
                callback_group=ReentrantCallbackGroup(),
            )
        elif not enabled and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_clock(self, message: Any) -> None:
        self._clock.set_ros_time_override(Time.from_msg(message.clock))

    def _on_parameters(self, parameters: list[Any]) -> Any:
        for parameter in parameters:
            if parameter.name == USE_SIM_TIME_NAME:
                if not isinstance(parameter.value, bool):
                    return SetParametersResult(
                        successful=False,
                        reason='use_sim_time parameter set to something besides a bool',
                    )
                self._use(parameter.value)
        return SetParametersResult(successful=True)
