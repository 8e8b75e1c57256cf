# SPDX-License-Identifier: Apache-2.0
"""Callbacks for what happens to publishers and subscriptions: matched, or refused for QoS.

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
POLICIES = {2: QoSPolicyKind.DURABILITY, 4: QoSPolicyKind.DEADLINE, 8: QoSPolicyKind.LIVELINESS,
            11: QoSPolicyKind.RELIABILITY, 13: QoSPolicyKind.HISTORY, 21: QoSPolicyKind.LIFESPAN}


class QoSIncompatibleInfo(NamedTuple):
    """How many endpoints were refused, and for which policy the last one."""

    total_count: int
    total_count_change: int
    last_policy_kind: QoSPolicyKind


class MatchedInfo(NamedTuple):
    """How many endpoints are matched."""

    total_count: int
    total_count_change: int
    current_count: int
    current_count_change: int


QoSRequestedIncompatibleQoSInfo = QoSOfferedIncompatibleQoSInfo = QoSIncompatibleInfo
QoSSubscriptionMatchedInfo = QoSPublisherMatchedInfo = MatchedInfo


class _EventCallbacks:
    """Named callbacks; `incompatible_qos` and `matched` are reported, the rest stays silent."""

    KINDS: tuple[str, ...] = ()

    def __init__(self, *, use_default_callbacks: bool = True, **callbacks: Callback) -> None:
        unknown = callbacks.keys() - set(self.KINDS)
        if unknown:
            raise TypeError(f'{type(self).__name__} has no callback {unknown.pop()!r}')
        self.use_default_callbacks = use_default_callbacks
        self.incompatible_qos = callbacks.get('incompatible_qos')
        self.matched = callbacks.get('matched')


class SubscriptionEventCallbacks(_EventCallbacks):
    """Callbacks of a subscription."""

    KINDS = ('deadline', 'incompatible_qos', 'incompatible_type', 'liveliness', 'message_lost',
             'matched')


class PublisherEventCallbacks(_EventCallbacks):
    """Callbacks of a publisher."""

    KINDS = ('deadline', 'incompatible_qos', 'incompatible_type', 'liveliness', 'matched')


class EventHandler(Entity):
    """Runs the event callbacks of one endpoint in the executor."""

    def __init__(self, node: Any, callback_group: Any, endpoint: Any,
                 callbacks: dict[DDSStatus, Callable[[Any], Any]],
                 readers: dict[DDSStatus, Callable[[], Any]]) -> None:
        """Watch a DDS reader or writer.

        Args:
            node: whose executor runs the callbacks.
            callback_group: of the callbacks.
            endpoint: the DDS entity.
            callbacks: by status.
            readers: read a status as its info, by status.
        """
        super().__init__(node, callback_group)
        self._endpoint, self._callbacks, self._readers = endpoint, callbacks, readers
        self._events: deque[tuple[DDSStatus, Any]] = deque()
        mask = 0
        for status in callbacks:
            mask |= status
        node.context.participant.watch(endpoint, mask, self._on_status)

    def _on_status(self) -> None:
        for status in self._callbacks:
            info = self._readers[status]()
            if info.total_count_change or getattr(info, 'current_count_change', 0):
                self._events.append((status, info))
        self.wake_executor()

    def is_ready(self) -> bool:
        return bool(self._events)

    def take(self) -> Work | None:
        try:
            status, info = self._events.popleft()
        except IndexError:
            return None
        return self._callbacks[status], (info,)

    def destroy(self) -> None:
        """Forget what has not been told yet; the endpoint takes the watch along."""
        self._events.clear()


def watch_reader(node: Any, group: Any, reader: Any, topic: str,
                 callbacks: SubscriptionEventCallbacks | None) -> list[EventHandler]:
    """The event handlers of a subscription."""
    def warn(info: QoSIncompatibleInfo) -> None:
        node.get_logger().warning(
            f"New publisher discovered on topic '{topic}', offering incompatible QoS. No messages "
            f'will be received from it. Last incompatible policy: {info.last_policy_kind.name}')
    callbacks = callbacks or SubscriptionEventCallbacks()
    return _handlers(node, group, reader, callbacks, warn,
                     (DDSStatus.RequestedIncompatibleQos, DDSStatus.SubscriptionMatched),
                     (reader.get_requested_incompatible_qos_status,
                      reader.get_subscription_matched_status))


def watch_writer(node: Any, group: Any, writer: Any, topic: str,
                 callbacks: PublisherEventCallbacks | None) -> list[EventHandler]:
    """The event handlers of a publisher."""
    def warn(info: QoSIncompatibleInfo) -> None:
        node.get_logger().warning(
            f"New subscription discovered on topic '{topic}', requesting incompatible QoS. No "
            'messages will be sent to it. Last incompatible policy: '
            f'{info.last_policy_kind.name}')
    callbacks = callbacks or PublisherEventCallbacks()
    return _handlers(node, group, writer, callbacks, warn,
                     (DDSStatus.OfferedIncompatibleQos, DDSStatus.PublicationMatched),
                     (writer.get_offered_incompatible_qos_status,
                      writer.get_publication_matched_status))


def _handlers(node: Any, group: Any, endpoint: Any, callbacks: _EventCallbacks,
              warn: Callable[[Any], None], statuses: tuple[DDSStatus, DDSStatus],
              getters: tuple[Callable[[], Any], Callable[[], Any]]) -> list[EventHandler]:
    default = warn if callbacks.use_default_callbacks else None
    wanted = {status: callback for status, callback in zip(
        statuses, (callbacks.incompatible_qos or default, callbacks.matched)) if callback}
    if not wanted:
        return []
    readers = dict(zip(statuses, (lambda: _incompatible(getters[0]()),
                                  lambda: _matched(getters[1]()))))
    return [EventHandler(node, group, endpoint, wanted, readers)]


def _incompatible(status: Any) -> QoSIncompatibleInfo:
    return QoSIncompatibleInfo(status.total_count, status.total_count_change,
                               POLICIES.get(status.last_policy_id, QoSPolicyKind.INVALID))


def _matched(status: Any) -> MatchedInfo:
    return MatchedInfo(status.total_count, status.total_count_change, status.current_count,
                       status.current_count_change)
