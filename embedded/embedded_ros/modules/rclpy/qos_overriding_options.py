# SPDX-License-Identifier: Apache-2.0
"""QoS policies as parameters: `qos_overrides./topic.subscription.reliability`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult

from rclpy.duration import Duration
from rclpy.exceptions import ParameterAlreadyDeclaredException
from rclpy.qos import QoSPolicyEnum, QoSPolicyKind, QoSProfile

QosCallbackResult = SetParametersResult


class InvalidQosOverridesError(Exception):
    """The overridden profile was refused."""


class QoSOverridingOptions:
    """Policies that may be overridden, and a callback that has the last word."""

    def __init__(
        self,
        policy_kinds: Iterable[QoSPolicyKind],
        *,
        callback: Callable[[QoSProfile], Any] | None = None,
        entity_id: str | None = None,
    ) -> None:
        self.policy_kinds = tuple(policy_kinds)
        self.callback, self.entity_id = callback, entity_id

    @classmethod
    def with_default_policies(
        cls, *, callback: Callable[[QoSProfile], Any] | None = None, entity_id: str | None = None
    ) -> QoSOverridingOptions:
        """Allow history, depth and reliability."""
        return cls(
            (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY),
            callback=callback,
            entity_id=entity_id,
        )


def apply_overrides(
    node: Any, entity: str, topic: str, profile: QoSProfile, options: QoSOverridingOptions | None
) -> None:
    """Declare the parameters for an endpoint and change its profile accordingly.

    Args:
        node: declares the parameters.
        entity: 'publisher' or 'subscription'.
        topic: the topic's full name.
        profile: changed in place.
        options: what may be overridden; None is nothing.
    """
    if options is None:
        return
    suffix = f'_{options.entity_id}' if options.entity_id else ''
    for kind in options.policy_kinds:
        if entity == 'subscription' and kind is QoSPolicyKind.LIFESPAN:
            continue
        policy = kind.name.lower()
        name = f'qos_overrides.{topic}.{entity}{suffix}.{policy}'
        descriptor = ParameterDescriptor(
            description=f'{policy} for {entity} `{topic}` with id `{options.entity_id}`',
            read_only=True,
        )
        try:
            parameter = node.declare_parameter(
                name, _to_parameter(getattr(profile, policy)), descriptor
            )
        except ParameterAlreadyDeclaredException:
            parameter = node.get_parameter(name)
        setattr(profile, policy, _from_parameter(profile, policy, parameter.value))
    if options.callback is not None:
        result = options.callback(profile)
        if not result.successful:
            raise InvalidQosOverridesError(
                f'QoS overrides for {entity} `{topic}` are not valid: {result.reason}'
            )


def _to_parameter(value: Any) -> Any:
    if isinstance(value, QoSPolicyEnum):
        return value.short_key
    return value.nanoseconds if isinstance(value, Duration) else value


def _from_parameter(profile: QoSProfile, policy: str, value: Any) -> Any:
    kind = QoSProfile.POLICIES[policy][0]
    if issubclass(kind, QoSPolicyEnum):
        try:
            return kind[value.upper()]
        except KeyError:
            raise RuntimeError(
                f'Unexpected QoS override for policy `{policy}`: `{value}`, '
                f'expected one of {", ".join(kind.short_keys())}'
            ) from None
    return Duration(nanoseconds=value) if kind is Duration else value
