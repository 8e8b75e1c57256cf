# SPDX-License-Identifier: Apache-2.0
"""Service servers."""
from __future__ import annotations

import inspect
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from embedded_ros.dds.cdr_type import service_type
from embedded_ros.dds.names import dds_reply, dds_request
from embedded_ros.dds.service_header import unwrap, wrap
from embedded_ros.messages import deserialize, serialize
from embedded_ros.typestore import type_hash
from rclpy.dds_qos import dds_qos, user_data_of
from rclpy.entity import Entity, Work
from rclpy.qos import QoSProfile

# How long a reply waits for DDS to have matched the client's reply reader (as in rmw_cyclonedds).
MATCH_TIMEOUT_S = 0.1
MATCH_POLL_S = 0.005


class Service(Entity):
    """Answers requests with `callback(request, response) -> response`, a coroutine or not."""

    def __init__(self, node: Any, srv_type: Any, srv_name: str, callback: Callable[..., Any],
                 callback_group: Any, qos_profile: QoSProfile) -> None:
        super().__init__(node, callback_group)
        self.srv_type, self.srv_name, self.callback = srv_type, srv_name, callback
        self.service_name = node.resolve_service_name(srv_name)
        self._requests: deque[Any] = deque()
        self._participant = node.context.participant
        identity = f'serviceid={os.urandom(16).hex()};'
        request, response = srv_type.Request.TYPE_NAME, srv_type.Response.TYPE_NAME
        self._reply_type = service_type(response)
        self._writer: Any = self._participant.create_writer(
            dds_reply(self.service_name), self._reply_type,
            dds_qos(qos_profile, f'{identity}typehash={type_hash(response)};'))
        self._reader: Any = self._participant.create_reader(
            dds_request(self.service_name), service_type(request),
            dds_qos(qos_profile, f'{identity}typehash={type_hash(request)};'), self._on_request)

    def _on_request(self, sample: Any) -> None:
        self._requests.append(sample)
        self.wake_executor()

    def is_ready(self) -> bool:
        return bool(self._requests)

    def take(self) -> Work | None:
        try:
            return self._serve, (self._requests.popleft(),)
        except IndexError:
            return None

    async def _serve(self, sample: Any) -> None:
        client_id, sequence, body = unwrap(sample.cdr)
        request = deserialize(body, self.srv_type.Request)
        response = self.callback(request, self.srv_type.Response())
        if inspect.isawaitable(response):
            response = await response
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(f'{self.service_name}: the callback returned '
                            f'{type(response).__name__}, expected '
                            f'{self.srv_type.__name__}.Response')
        if self._writer is not None:
            self._wait_for_client(sample.sample_info.publication_handle)
            self._writer.write(self._reply_type(wrap(client_id, sequence, serialize(response))))

    def _wait_for_client(self, request_writer: int) -> None:
        """Wait until the client's reply reader is matched: a reply before that is lost."""
        end = time.monotonic() + MATCH_TIMEOUT_S
        client = self._reader.get_matched_publication_data(request_writer)
        identity = user_data_of(client.qos).get('clientid') if client is not None else None
        while identity is not None and time.monotonic() < end:
            for handle in self._writer.get_matched_subscriptions():
                reader = self._writer.get_matched_subscription_data(handle)
                if reader is not None and user_data_of(reader.qos).get('clientid') == identity:
                    return
            time.sleep(MATCH_POLL_S)

    def writers(self) -> list[Any]:
        """Return the DDS writers this entity owns, for the graph."""
        return [self._writer] if self._writer is not None else []

    def readers(self) -> list[Any]:
        """Return the DDS readers this entity owns, for the graph."""
        return [self._reader] if self._reader is not None else []

    def destroy(self) -> None:
        """Stop serving."""
        for entity in self.writers() + self.readers():
            self._participant.delete(entity)
        self._writer = self._reader = None
        self._requests.clear()
