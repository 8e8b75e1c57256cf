# SPDX-License-Identifier: Apache-2.0
"""Publishers: messages in, CDR bytes out."""

from __future__ import annotations

from typing import Any

from cyclonedds.core import DDSException
from cyclonedds.util import duration

from embedded_ros.dds.cdr_type import topic_type
from embedded_ros.dds.names import dds_topic
from embedded_ros.dds.send_window import SendWindow
from embedded_ros.errors import RCLError
from embedded_ros.messages import serialize
from embedded_ros.typestore import type_hash
from rclpy.dds_qos import dds_qos
from rclpy.duration import INFINITE_NS, Duration
from rclpy.event_handler import watch_writer
from rclpy.exceptions import InvalidHandle
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

INFINITE = Duration(nanoseconds=INFINITE_NS)


class Publisher:
    """Sends messages of one type on one topic; may be used from any thread."""

    def __init__(
        self,
        node: Any,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile,
        event_callbacks: Any = None,
        callback_group: Any = None,
    ) -> None:
        self.msg_type, self.topic, self.qos_profile = msg_type, topic, qos_profile
        self.topic_name = node.resolve_topic_name(topic)
        self._logger = node.get_logger()
        self._participant = node.context.participant
        self._data_type = topic_type(msg_type.TYPE_NAME)
        qos = dds_qos(qos_profile, f'typehash={type_hash(msg_type.TYPE_NAME)};')
        self._writer: Any = self._participant.create_writer(
            dds_topic(self.topic_name), self._data_type, qos
        )
        may_give_up = (
            qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT
            and qos_profile.history != HistoryPolicy.KEEP_ALL
        )
        self._window = (
            SendWindow(
                self._writer,
                qos_profile.depth,
                qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            )
            if may_give_up
            else None
        )
        self.event_handlers = watch_writer(
            node, callback_group, self._writer, self.topic_name, event_callbacks
        )

    def publish(self, msg: Any) -> None:
        """Send a message, or the CDR bytes of one."""
        writer = self._writer
        if writer is None:
            raise InvalidHandle(f'publisher on {self.topic_name} was destroyed')
        if isinstance(msg, self.msg_type):
            msg = serialize(msg)
        elif not isinstance(msg, bytes):
            raise TypeError(f'Expected {self.msg_type}, got {type(msg)}')
        self._participant.check_open()
        if self._window is not None and not self._window.admits(len(msg)):
            self._logger.warning(
                f'a message of {len(msg)} bytes on {self.topic_name} is not sent: a reliable '
                'subscriber with another DDS vendor has not got the last ones yet, and would hang '
                'if it missed one; it may subscribe best effort',
                throttle_duration_sec=5.0,
            )
            return
        try:
            writer.write(self._data_type(msg))
        except DDSException as error:
            if error.code != DDSException.DDS_RETCODE_TIMEOUT:
                raise RCLError(f'Failed to publish on {self.topic_name}: {error}') from None
            # A subscriber that is stuck must not take its publisher along.
            self._logger.warning(
                f'a message on {self.topic_name} was not sent: a reliable '
                'subscriber does not keep up',
                throttle_duration_sec=5.0,
            )

    def get_subscription_count(self) -> int:
        """Count the subscriptions that receive from here."""
        return len(self._writer.get_matched_subscriptions()) if self._writer else 0

    def wait_for_all_acked(self, timeout: Duration = INFINITE) -> bool:
        """Wait until every reliable subscription has everything; False on timeout."""
        if self._writer is None:
            raise InvalidHandle(f'publisher on {self.topic_name} was destroyed')
        nanoseconds = min(timeout.nanoseconds, INFINITE_NS)
        return bool(
            self._writer._wait_for_acks(self._writer._ref, duration(nanoseconds=nanoseconds)) == 0
        )

    def writers(self) -> list[Any]:
        """Return the DDS writers this entity owns, for the graph."""
        return [self._writer] if self._writer is not None else []

    def readers(self) -> list[Any]:
        """Return the DDS readers this entity owns, for the graph."""
        return []

    def destroy(self) -> None:
        """Leave the topic."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._participant.delete(writer)
