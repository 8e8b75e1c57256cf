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
from embedded_ros.dds.service_peers import CLIENT, FOREIGN, SERVER, identities
from embedded_ros.messages import Message, deserialize, serialize
from embedded_ros.typestore import type_hash
from rclpy.dds_qos import dds_qos
from rclpy.entity import Work
from rclpy.logging import get_logger
from rclpy.qos import QoSProfile
from rclpy.service_entity import ServiceEntity

# How long a reply waits for DDS to have matched the client's reply reader (as in rmw_cyclonedds).
MATCH_TIMEOUT_S = 0.1
MATCH_POLL_S = 0.005
COMPLAINT_PERIOD_S = 5.0


class Service(ServiceEntity):
    """Answers requests with `callback(request, response) -> response`, a coroutine or not."""

    def __init__(
        self,
        node: Any,
        srv_type: Any,
        srv_name: str,
        callback: Callable[..., Any],
        callback_group: Any,
        qos_profile: QoSProfile,
    ) -> None:
        super().__init__(node, callback_group)
        self.srv_type, self.srv_name, self.callback = srv_type, srv_name, callback
        self.service_name = node.resolve_service_name(srv_name)
        # A logger of its own: what one service complains of does not silence another.
        self._logger = get_logger(node.get_logger().name)
        self._requests: deque[tuple[bytes, str | None]] = deque()
        self._participant = node.context.participant
        identity = f'{SERVER}={os.urandom(16).hex()};'
        request, response = srv_type.Request.TYPE_NAME, srv_type.Response.TYPE_NAME
        self._reply_type = service_type(response)
        self._writer: Any = self._participant.create_writer(
            dds_reply(self.service_name),
            self._reply_type,
            dds_qos(qos_profile, f'{identity}typehash={type_hash(response)};'),
        )
        self._reader: Any = self._participant.create_reader(
            dds_request(self.service_name),
            service_type(request),
            dds_qos(qos_profile, f'{identity}typehash={type_hash(request)};'),
            self._on_request,
        )

    def _on_request(self, sample: Any) -> None:
        # The client may be gone when its turn comes: who it is must be asked now.
        clients = identities(
            [sample.sample_info.publication_handle],
            self._reader.get_matched_publication_data,
            CLIENT,
        )
        self._requests.append((sample.cdr, next(iter(clients), None)))
        self.wake_executor()

    def is_ready(self) -> bool:
        return bool(self._requests)

    def take(self) -> Work | None:
        """Return the next request that can be answered; the others are dropped with a line."""
        while True:
            try:
                cdr, client = self._requests.popleft()
            except IndexError:
                return None
            try:
                return self._serve, (client, *self._read(cdr, client))
            except Exception as error:  # bytes of anybody: whatever the decoder stumbles over
                self._logger.warning(
                    f'a request to {self.service_name} is dropped: {error}',
                    throttle_duration_sec=COMPLAINT_PERIOD_S,
                )

    def _read(self, cdr: bytes, client: str | None) -> tuple[int, int, Message]:
        """Return client id, sequence number and request.

        Args:
            cdr: the bytes that came.
            client: identity of the client, '' for one of another vendor, None for one that left.
        """
        if client == '':
            raise ValueError(f'its client {FOREIGN}')
        client_id, sequence, body = unwrap(cdr)
        # Bytes that only happen to have a header leave too many or too few for the request.
        return client_id, sequence, deserialize(body, self.srv_type.Request)

    async def _serve(
        self, client: str | None, client_id: int, sequence: int, request: Message
    ) -> None:
        response = self.callback(request, self.srv_type.Response())
        if inspect.isawaitable(response):
            response = await response
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(
                f'{self.service_name}: the callback returned '
                f'{type(response).__name__}, expected '
                f'{self.srv_type.__name__}.Response'
            )
        if self._writer is not None:
            if client is not None:
                self._wait_for_client(client)
            self._writer.write(self._reply_type(wrap(client_id, sequence, serialize(response))))

    def _wait_for_client(self, client: str) -> None:
        """Wait until the client's reply reader is matched: a reply before that is lost."""
        end = time.monotonic() + MATCH_TIMEOUT_S
        while time.monotonic() < end:
            if client in identities(
                self._writer.get_matched_subscriptions(),
                self._writer.get_matched_subscription_data,
                CLIENT,
            ):
                return
            time.sleep(MATCH_POLL_S)

    def destroy(self) -> None:
        """Stop serving."""
        super().destroy()
        self._requests.clear()
