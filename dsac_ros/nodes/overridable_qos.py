# SPDX-License-Identifier: Apache-2.0
"""Subscriptions whose QoS users override: `qos_overrides./topic.subscription.reliability`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from dsac_ros.errors import ConfigError

PREFIX = 'qos_overrides.'


def subscribe(
    node: Node, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile
) -> Any:
    """Create a subscription whose history, depth and reliability parameters may override.

    Raises:
        ConfigError: an override is no such policy.
    """
    full = node.resolve_topic_name(topic)
    try:
        return node.create_subscription(
            kind,
            topic,
            callback,
            # rclpy writes the overrides into the profile that it is given.
            QoSProfile(
                history=profile.history,
                depth=profile.depth,
                reliability=profile.reliability,
                durability=profile.durability,
            ),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(
                callback=_check_depth
            ),
        )
    # rclpy raises whatever a wrong value leads to: KeyError, RuntimeError, a ParameterException.
    except Exception as error:
        overrides = _overrides(node, f'{PREFIX}{full}.')
        if not overrides:
            raise
        told = ', '.join(f'{name} = {value!r}' for name, value in overrides.items())
        raise ConfigError(
            f'{told} cannot be used ({" ".join(str(error).split())}): expected history keep_last '
            'or keep_all, depth from 1 on, reliability reliable or best_effort'
        ) from None


def needs_reliable_publisher(subscription: Any) -> bool:
    """Return True if best effort publishers do not match a subscription, by its profile in use."""
    return bool(subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE)


def warn_of_unused_overrides(node: Node) -> None:
    """Log overrides of QoS that no endpoint has taken, since they are misspelt.

    All endpoints of the node must exist.
    """
    topics = dict.fromkeys(
        topic
        for topic in (one.topic_name for one in node.subscriptions)
        if node.has_parameter(f'{PREFIX}{topic}.subscription.reliability')
    )
    for name in _overrides(node, PREFIX):
        if not node.has_parameter(name):
            node.get_logger().warning(
                f'parameter {name!r} has no effect, expected '
                f'{" or ".join(f"{PREFIX}{topic}.subscription" for topic in topics)} followed by '
                '.history, .depth or .reliability'
            )


def _check_depth(profile: QoSProfile) -> SetParametersResult:
    """Refuse a depth that holds nothing."""
    return SetParametersResult(successful=profile.depth > 0, reason='depth must be at least 1')


def _overrides(node: Node, prefix: str) -> dict[str, Any]:
    """Return the values that files and the command line give to parameters of a prefix."""
    given = getattr(node, '_parameter_overrides', {})
    return {name: one.value for name, one in given.items() if name.startswith(prefix)}
