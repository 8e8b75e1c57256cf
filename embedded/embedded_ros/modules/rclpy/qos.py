# SPDX-License-Identifier: Apache-2.0
"""Quality of service: the policies, the profile, the presets of rmw."""

from __future__ import annotations

import warnings
from enum import IntEnum
from typing import Any, ClassVar

from rclpy.duration import Duration
from rclpy.exceptions import InvalidQoSProfileException

__all__ = [
    'DurabilityPolicy',
    'Duration',
    'HistoryPolicy',
    'InvalidQoSProfileException',
    'LivelinessPolicy',
    'QoSPolicyKind',
    'QoSProfile',
    'ReliabilityPolicy',
    'qos_profile_parameter_events',
    'qos_profile_parameters',
    'qos_profile_sensor_data',
    'qos_profile_services_default',
]


class QoSPolicyKind(IntEnum):
    """Kinds of policies; values as in rmw/qos_policy_kind.h."""

    INVALID = 1
    DURABILITY = 2
    DEADLINE = 4
    LIVELINESS = 8
    RELIABILITY = 16
    HISTORY = 32
    LIFESPAN = 64
    DEPTH = 128
    LIVELINESS_LEASE_DURATION = 256
    AVOID_ROS_NAMESPACE_CONVENTIONS = 512


class QoSPolicyEnum(IntEnum):
    """Base of the policies' enumerations."""

    @classmethod
    def short_keys(cls) -> list[str]:
        """Return the names, in lower case."""
        return [name.lower() for name in cls.__members__]

    @property
    def short_key(self) -> str:
        """Return the name in lower case."""
        return self.name.lower()


class HistoryPolicy(QoSPolicyEnum):
    """Number of samples kept."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class ReliabilityPolicy(QoSPolicyEnum):
    """Guarantee that lost samples are sent again, or none."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class DurabilityPolicy(QoSPolicyEnum):
    """Delivery of earlier samples to a late subscriber, or none."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class LivelinessPolicy(QoSPolicyEnum):
    """Assertion that a publisher is alive."""

    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4
    BEST_AVAILABLE = 5


UNSPECIFIED = Duration()


class QoSProfile:
    """The policies of one publisher or subscription."""

    # Policy -> type and default; the order is the order of checks and of __str__.
    POLICIES: ClassVar[dict[str, tuple[type, Any]]] = {
        'history': (HistoryPolicy, HistoryPolicy.KEEP_LAST),
        'depth': (int, 10),
        'reliability': (ReliabilityPolicy, ReliabilityPolicy.RELIABLE),
        'durability': (DurabilityPolicy, DurabilityPolicy.VOLATILE),
        'lifespan': (Duration, UNSPECIFIED),
        'deadline': (Duration, UNSPECIFIED),
        'liveliness': (LivelinessPolicy, LivelinessPolicy.SYSTEM_DEFAULT),
        'liveliness_lease_duration': (Duration, UNSPECIFIED),
        'avoid_ros_namespace_conventions': (bool, False),
    }
    __slots__ = tuple(POLICIES)

    def __init__(self, **policies: Any) -> None:
        unknown = policies.keys() - self.POLICIES.keys()
        assert not unknown, f'Invalid arguments passed to constructor: {unknown}'
        if 'history' not in policies and 'depth' not in policies:
            raise InvalidQoSProfileException('History and/or depth settings are required.')
        if policies.get('history') == HistoryPolicy.KEEP_LAST and 'depth' not in policies:
            raise InvalidQoSProfileException('History set to KEEP_LAST without a depth setting.')
        for name, (_, default) in self.POLICIES.items():
            setattr(self, name, policies.get(name, 0 if name == 'depth' else default))

    def __setattr__(self, name: str, value: Any) -> None:
        kind, _ = self.POLICIES[name]
        if issubclass(kind, QoSPolicyEnum):
            assert isinstance(value, int), f'{name} must be a {kind.__name__}'
            value = kind(value)
        assert isinstance(value, kind), f'{name} must be a {kind.__name__}'
        if name == 'depth' and value == 0 and self.history == HistoryPolicy.KEEP_LAST:
            warnings.warn(
                "A zero depth with KEEP_LAST doesn't make sense; no data could be stored",
                stacklevel=2,
            )
        object.__setattr__(self, name, value)

    def copy(self) -> QoSProfile:
        """Return a profile of its own with the same policies."""
        result = object.__new__(QoSProfile)
        for name in self.POLICIES:
            object.__setattr__(result, name, getattr(self, name))
        return result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QoSProfile) and all(
            getattr(self, name) == getattr(other, name) for name in self.POLICIES
        )

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return 'QoSProfile(' + ', '.join(f'{n}={getattr(self, n)}' for n in self.POLICIES) + ')'

    __repr__ = __str__


def _preset(
    depth: int,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


qos_profile_sensor_data = _preset(5, ReliabilityPolicy.BEST_EFFORT)
qos_profile_services_default = _preset(10)
qos_profile_parameters = _preset(1000)
qos_profile_parameter_events = _preset(1000)


def profile_from(qos_or_depth: QoSProfile | int) -> QoSProfile:
    """Return a new profile from a profile or just a depth, as create_publisher takes it."""
    if isinstance(qos_or_depth, QoSProfile):
        return qos_or_depth.copy()
    if not isinstance(qos_or_depth, int) or isinstance(qos_or_depth, bool):
        raise TypeError(
            f'Expected QoSProfile or int, but received {type(qos_or_depth).__name__!r}'
        )
    if qos_or_depth < 0:
        raise ValueError('history depth must be greater than or equal to zero')
    return QoSProfile(depth=qos_or_depth)
