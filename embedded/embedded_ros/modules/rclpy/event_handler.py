# SPDX-License-Identifier: Apache-2.0
"""Callbacks for publishers and subscriptions that another endpoint's QoS keeps apart.

As in rclpy, an endpoint without a callback of its own logs a warning when another one on its
topic wants a QoS that it does not have: otherwise both would wait in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from cyclonedds.core import DDSStatus

from rclpy.entity import Entity, Work
from rclpy.qos import QoSPolicyKind

Callback = Callable[[Any], Any] | None
# The numbers that DDS gives to policies, for those that ROS knows.
POLICIES = {
    2: QoSPolicyKind.DURABILITY,
    4: QoSPolicyKind.DEADLINE,
    8: QoSPolicyKind.LIVELINESS,
    11: QoSPolicyKind.RELIABILITY,
    13: QoSPolicyKind.HISTORY,
    21: QoSPolicyKind.LIFESPAN,
}


class QoSIncompatibleInfo(NamedTuple):
    """Count of the endpoints refused, and the policy that refused the last one."""

    total_count: int
    total_count_change: int
    last_policy_kind: QoSPolicyKind


class _EventCallbacks:
    """Named callbacks; only `incompatible_qos` is reported."""

    KINDS: tuple[str, ...] = ()

    def __init__(self, *, use_default_callbacks: bool = True, **callbacks: Callback) -> None:
        unknown = callbacks.keys() - set(self.KINDS)
        if unknown:
            raise TypeError(f'{type(self).__name__} has no callback {unknown.pop()!r}')
        self.use_default_callbacks = use_default_callbacks
        self.incompatible_qos = callbacks.get('incompatible_qos')


class SubscriptionEventCallbacks(_EventCallbacks):
    """Callbacks of a subscription."""

    KINDS = (
        'deadline',
        'incompatible_qos',
        'incompatible_type',
        'liveliness',
        'message_lost',
        'matched',
    )


class PublisherEventCallbacks(_EventCallbacks):
    """Callbacks of a publisher."""

    KINDS = ('deadline', 'incompatible_qos', 'incompatible_type', 'liveliness', 'matched')


class EventHandler(Entity):
    """Runs a callback in the executor when an endpoint of another QoS was refused."""

    def __init__(
        self,
        node: Any,
        callback_group: Any,
        endpoint: Any,
        status: DDSStatus,
        read: Callable[[], Any],
        callback: Callable[[Any], Any],
    ) -> None:
        """Watch a DDS reader or writer.

        Args:
            node: owner of the executor that runs the callback.
            callback_group: group of the callback.
            endpoint: the DDS entity.
            status: its status of refused endpoints.
            read: returns the value of that status.
            callback: takes a QoSIncompatibleInfo.
        """
        super().__init__(node, callback_group)
        self._read, self._callback = read, callback
        self._events: deque[QoSIncompatibleInfo] = deque()
        node.context.participant.watch(endpoint, status, self._on_status)

    def _on_status(self) -> None:
        status = self._read()
        if status.total_count_change:
            self._events.append(
                QoSIncompatibleInfo(
                    status.total_count,
                    status.total_count_change,
                    POLICIES.get(status.last_policy_id, QoSPolicyKind.INVALID),
                )
            )
            self.wake_executor()

    def is_ready(self) -> bool:
        return bool(self._events)

    def take(self) -> Work | None:
        try:
            return self._callback, (self._events.popleft(),)
        except IndexError:
            return None

    def destroy(self) -> None:
        """Forget what has not been told yet; the endpoint takes the watch along."""
        self._events.clear()


def watch_reader(
    node: Any, group: Any, reader: Any, topic: str, callbacks: SubscriptionEventCallbacks | None
) -> list[EventHandler]:
    """Return the event handlers of a subscription."""

    def warn(info: QoSIncompatibleInfo) -> None:
        node.get_logger().warning(
            f"New publisher discovered on topic '{topic}', offering incompatible QoS. No messages "
            f'will be received from it. Last incompatible policy: {info.last_policy_kind.name}'
        )

    callback = _chosen(callbacks or SubscriptionEventCallbacks(), warn)
    return (
        [
            EventHandler(
                node,
                group,
                reader,
                DDSStatus.RequestedIncompatibleQos,
                reader.get_requested_incompatible_qos_status,
                callback,
            )
        ]
        if callback
        else []
    )


def watch_writer(
    node: Any, group: Any, writer: Any, topic: str, callbacks: PublisherEventCallbacks | None
) -> list[EventHandler]:
    """Return the event handlers of a publisher."""

    def warn(info: QoSIncompatibleInfo) -> None:
        node.get_logger().warning(
            f"New subscription discovered on topic '{topic}', requesting incompatible QoS. No "
            'messages will be sent to it. Last incompatible policy: '
            f'{info.last_policy_kind.name}'
        )

    callback = _chosen(callbacks or PublisherEventCallbacks(), warn)
    return (
        [
            EventHandler(
                node,
                group,
                writer,
                DDSStatus.OfferedIncompatibleQos,
                writer.get_offered_incompatible_qos_status,
                callback,
            )
        ]
        if callback
        else []
    )


def _chosen(callbacks: _EventCallbacks, default: Callable[[Any], None]) -> Callback:
    return callbacks.incompatible_qos or (default if callbacks.use_default_callbacks else None)
