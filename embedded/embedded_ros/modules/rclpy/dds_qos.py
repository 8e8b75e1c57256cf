# SPDX-License-Identifier: Apache-2.0
"""A ROS QoS profile as DDS QoS, the way rmw_cyclonedds maps it, and back."""

from __future__ import annotations

from typing import Any

from cyclonedds.core import Policy, Qos
from cyclonedds.util import duration

from rclpy.duration import INFINITE_NS, Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

# A reliable writer waits this long for room. rmw waits for ever; the binding holds the
# interpreter's lock while it waits, so one stuck subscriber would freeze the whole process.
MAX_BLOCKING = duration(milliseconds=500)
UNLIMITED = -1


def dds_qos(profile: QoSProfile, user_data: str = '') -> Qos:
    """Return the DDS QoS of an endpoint; `user_data` is text, `typehash=RIHS01_...;`."""
    keep_all = profile.history == HistoryPolicy.KEEP_ALL
    history = (
        Policy.History.KeepAll if keep_all else Policy.History.KeepLast(max(1, profile.depth))
    )
    reliability = (
        Policy.Reliability.BestEffort
        if profile.reliability == ReliabilityPolicy.BEST_EFFORT
        else Policy.Reliability.Reliable(MAX_BLOCKING)
    )
    policies: list[Any] = [
        history,
        reliability,
        Policy.WriterDataLifecycle(autodispose=False),
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.Userdata(data=user_data.encode()),
    ]
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        policies += [
            Policy.Durability.TransientLocal,
            Policy.DurabilityService(
                duration(seconds=0), history, UNLIMITED, UNLIMITED, UNLIMITED
            ),
        ]
    if profile.deadline.nanoseconds:
        policies.append(Policy.Deadline(profile.deadline.nanoseconds))
    if profile.lifespan.nanoseconds:
        policies.append(Policy.Lifespan(profile.lifespan.nanoseconds))
    if profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC:
        lease = profile.liveliness_lease_duration.nanoseconds or INFINITE_NS
        policies.append(Policy.Liveliness.ManualByTopic(lease))
    elif profile.liveliness_lease_duration.nanoseconds:
        policies.append(Policy.Liveliness.Automatic(profile.liveliness_lease_duration.nanoseconds))
    return Qos(*policies)


def ros_qos(qos: Qos) -> QoSProfile:
    """Return the ROS profile of a discovered endpoint; DDS does not announce history."""
    reliable = isinstance(qos[Policy.Reliability], Policy.Reliability.Reliable)
    latched = qos[Policy.Durability] == Policy.Durability.TransientLocal
    profile = QoSProfile(
        history=HistoryPolicy.UNKNOWN,
        depth=0,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        liveliness=LivelinessPolicy.AUTOMATIC,
    )
    for name, policy, attribute in (
        ('deadline', Policy.Deadline, 'deadline'),
        ('lifespan', Policy.Lifespan, 'lifespan'),
    ):
        value = qos[policy]
        if value is not None:
            setattr(profile, name, Duration(nanoseconds=getattr(value, attribute)))
    return profile
