# SPDX-License-Identifier: Apache-2.0
"""Subscriptions: CDR bytes in, callbacks out."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable
from copy import copy
from enum import Enum
from typing import Any

from embedded_ros.dds.cdr_type import topic_type
from embedded_ros.dds.names import dds_topic
from embedded_ros.messages import deserialize
from embedded_ros.typestore import type_hash
from rclpy.dds_qos import dds_qos
from rclpy.entity import Entity, Work
from rclpy.event_handler import watch_reader
from rclpy.logging import get_logger
from rclpy.qos import HistoryPolicy, QoSProfile

# Cyclone keeps at least so many samples until they are taken, which may wait for the interpreter:
# what is replaced there is not counted.
READER_DEPTH = 8
COMPLAINT_PERIOD_S = 5.0


class Subscription(Entity):
    """Calls `callback(message)`, or `callback(message, info)`, for what arrives on a topic.

    Arriving bytes wait here, as many as the history's depth; they are decoded only when their
    turn comes, so a queue of one costs nothing for the images it drops. info has the keys that it
    has in rclpy: source_timestamp and received_timestamp [ns], reception_sequence_number, whose
    gaps tell what was replaced while it waited, and publication_sequence_number, always None
    because Cyclone does not tell.
    """

    class CallbackType(Enum):
        """Arguments of the callback."""

        MessageOnly = 0
        WithMessageInfo = 1

    def __init__(
        self,
        node: Any,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        callback_group: Any,
        qos_profile: QoSProfile,
        event_callbacks: Any = None,
    ) -> None:
        super().__init__(node, callback_group)
        self.msg_type, self.topic, self.qos_profile = msg_type, topic, qos_profile
        self.topic_name = node.resolve_topic_name(topic)
        self.callback, self._callback_type = callback, _type_of(callback)
        self._received = 0
        keep_all = qos_profile.history == HistoryPolicy.KEEP_ALL
        # Bytes, number and time of arrival.
        self._samples: deque[tuple[Any, int, int]] = deque(
            maxlen=None if keep_all else max(1, qos_profile.depth)
        )
        # A logger of its own: what one topic complains of does not silence another.
        self._logger = get_logger(node.get_fully_qualified_name().strip('/').replace('/', '.'))
        self._participant = node.context.participant
        deeper = copy(qos_profile)
        deeper.depth = max(qos_profile.depth, READER_DEPTH)
        qos = dds_qos(deeper, f'typehash={type_hash(msg_type.TYPE_NAME)};')
        self._reader: Any = self._participant.create_reader(
            dds_topic(self.topic_name), topic_type(msg_type.TYPE_NAME), qos, self._on_sample
        )
        self.event_handlers = watch_reader(
            node, callback_group, self._reader, self.topic_name, event_callbacks
        )

    def _on_sample(self, sample: Any) -> None:
        self._received += 1
        self._samples.append((sample, self._received, time.time_ns()))
        self.wake_executor()

    def is_ready(self) -> bool:
        return bool(self._samples)

    def take(self) -> Work | None:
        """Return the next message that can be read; others are dropped with a line."""
        while True:
            try:
                sample, number, received_ns = self._samples.popleft()
            except IndexError:
                return None
            try:
                # Cyclone has checked the bytes against the type, but text may be no UTF-8.
                message = deserialize(sample.cdr, self.msg_type)
            except Exception as error:  # whatever the decoder stumbles over
                self._logger.warning(
                    f'a message on {self.topic_name} is dropped: {error}',
                    throttle_duration_sec=COMPLAINT_PERIOD_S,
                )
                continue
            return self._work(message, sample, number, received_ns)

    def _work(self, message: Any, sample: Any, number: int, received_ns: int) -> Work:
        if self._callback_type is Subscription.CallbackType.MessageOnly:
            return self.callback, (message,)
        info = {
            'source_timestamp': sample.sample_info.source_timestamp,
            'received_timestamp': received_ns,
            'publication_sequence_number': None,
            'reception_sequence_number': number,
        }
        return self.callback, (message, info)

    def writers(self) -> list[Any]:
        """Return the DDS writers this entity owns, for the graph."""
        return []

    def readers(self) -> list[Any]:
        """Return the DDS readers this entity owns, for the graph."""
        return [self._reader] if self._reader is not None else []

    def destroy(self) -> None:
        """Leave the topic."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._participant.delete(reader)
        self._samples.clear()


def _type_of(callback: Callable[..., Any]) -> Subscription.CallbackType:
    """Return which arguments a callback takes; one that takes any gets the message only."""
    signature = inspect.signature(callback)
    for kind, count in (
        (Subscription.CallbackType.MessageOnly, 1),
        (Subscription.CallbackType.WithMessageInfo, 2),
    ):
        try:
            signature.bind(*[None] * count)
            return kind
        except TypeError:
            continue
    raise RuntimeError(
        f'{callback} takes {signature}, expected the message, or message and info, as for every '
        'subscription'
    )
