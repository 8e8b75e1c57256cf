# SPDX-License-Identifier: Apache-2.0
"""Subscriptions: CDR bytes in, callbacks out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from embedded_ros.dds.cdr_type import topic_type
from embedded_ros.dds.names import dds_topic
from embedded_ros.messages import deserialize
from embedded_ros.typestore import type_hash
from rclpy.dds_qos import dds_qos
from rclpy.entity import Entity, Work
from rclpy.event_handler import watch_reader
from rclpy.qos import HistoryPolicy, QoSProfile


class Subscription(Entity):
    """Calls `callback(message)` for what arrives on a topic.

    Arriving bytes wait here, as many as the history's depth; they are decoded only when their
    turn comes, so a queue of one costs nothing for the images it drops.
    """

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
        self.callback = callback
        keep_all = qos_profile.history == HistoryPolicy.KEEP_ALL
        self._samples: deque[Any] = deque(maxlen=None if keep_all else max(1, qos_profile.depth))
        self._participant = node.context.participant
        qos = dds_qos(qos_profile, f'typehash={type_hash(msg_type.TYPE_NAME)};')
        self._reader: Any = self._participant.create_reader(
            dds_topic(self.topic_name), topic_type(msg_type.TYPE_NAME), qos, self._on_sample
        )
        self.event_handlers = watch_reader(
            node, callback_group, self._reader, self.topic_name, event_callbacks
        )

    def _on_sample(self, sample: Any) -> None:
        self._samples.append(sample)
        self.wake_executor()

    def is_ready(self) -> bool:
        return bool(self._samples)

    def take(self) -> Work | None:
        try:
            sample = self._samples.popleft()
        except IndexError:
            return None
        # Cyclone has checked the bytes against the type: they can be read.
        return self.callback, (deserialize(sample.cdr, self.msg_type),)

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
