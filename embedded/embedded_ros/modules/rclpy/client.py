# SPDX-License-Identifier: Apache-2.0
"""Service clients."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from typing import Any

from embedded_ros.dds.cdr_type import service_type
from embedded_ros.dds.names import dds_reply, dds_request
from embedded_ros.dds.service_header import unwrap, wrap
from embedded_ros.dds.service_peers import CLIENT, FOREIGN, SERVER, identities
from embedded_ros.messages import deserialize, serialize
from embedded_ros.typestore import type_hash
from rclpy.dds_qos import dds_qos
from rclpy.entity import Work
from rclpy.logging import get_logger
from rclpy.qos import QoSProfile
from rclpy.service_entity import ServiceEntity
from rclpy.task import Future

POLL_S = 0.01
COMPLAINT_PERIOD_S = 5.0


class Client(ServiceEntity):
    """Sends requests and completes a future for each reply."""

    def __init__(
        self, node: Any, srv_type: Any, srv_name: str, callback_group: Any, qos_profile: QoSProfile
    ) -> None:
        super().__init__(node, callback_group)
        self.srv_type, self.srv_name, self.context = srv_type, srv_name, node.context
        self.service_name = node.resolve_service_name(srv_name)
        # A logger of its own: what one service complains of does not silence another.
        self._logger = get_logger(node.get_logger().name)
        self._replies: deque[tuple[int, bytes]] = deque()
        self._pending: dict[int, Future] = {}
        self._sequence = itertools.count(1)
        self._lock = threading.Lock()
        self._participant = node.context.participant
        identity = f'{CLIENT}={os.urandom(16).hex()};'
        request, response = srv_type.Request.TYPE_NAME, srv_type.Response.TYPE_NAME
        self._request_type = service_type(request)
        # The reader first: a server must never see our request before it can see our reader.
        self._reader: Any = self._participant.create_reader(
            dds_reply(self.service_name),
            service_type(response),
            dds_qos(qos_profile, f'{identity}typehash={type_hash(response)};'),
            self._on_reply,
        )
        self._writer: Any = self._participant.create_writer(
            dds_request(self.service_name),
            self._request_type,
            dds_qos(qos_profile, f'{identity}typehash={type_hash(request)};'),
        )
        self._id = self._writer.get_instance_handle() % 2**64

    def _on_reply(self, sample: Any) -> None:
        try:
            client_id, sequence, body = unwrap(sample.cdr)
        except ValueError:  # of another vendor's server to another vendor's client
            return
        if client_id == self._id:
            self._replies.append((sequence, body))
            self.wake_executor()

    def is_ready(self) -> bool:
        return bool(self._replies)

    def take(self) -> Work | None:
        while True:
            try:
                sequence, body = self._replies.popleft()
            except IndexError:
                return None
            with self._lock:
                future = self._pending.pop(sequence, None)
            try:
                response = deserialize(body, self.srv_type.Response)
            except Exception as error:  # bytes of anybody: whatever the decoder stumbles over
                self._logger.warning(
                    f'a reply of {self.service_name} is dropped: {error}',
                    throttle_duration_sec=COMPLAINT_PERIOD_S,
                )
                continue
            if future is not None:
                return future.set_result, (response,)

    def call_async(self, request: Any) -> Future:
        """Send a request; the future completes while the node spins.

        A server that could not read the request is not sent it, and the future stays open as
        without a server.
        """
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(f'Expected {self.srv_type.__name__}.Request, got {type(request)}')
        future = Future()
        with self._lock:
            sequence = next(self._sequence)
            self._pending[sequence] = future
            if '' not in self._servers():
                self._writer.write(
                    self._request_type(wrap(self._id, sequence, serialize(request)))
                )
        future.add_done_callback(self.remove_pending_request)
        return future

    def remove_pending_request(self, future: Future) -> None:
        """Forget a request."""
        with self._lock:
            for sequence, pending in list(self._pending.items()):
                if pending is future:
                    del self._pending[sequence]

    def service_is_ready(self) -> bool:
        """Return True if a server is there, is matched in both directions and can be understood.

        One server of another vendor makes the service unusable: it would get each request too.
        """
        servers = self._servers()
        return '' not in servers and not servers.isdisjoint(
            identities(
                self._reader.get_matched_publications(),
                self._reader.get_matched_publication_data,
                SERVER,
            )
        )

    def _servers(self) -> set[str]:
        """Return the identities of the servers; '' stands for one of another vendor."""
        found = identities(
            self._writer.get_matched_subscriptions(),
            self._writer.get_matched_subscription_data,
            SERVER,
        )
        if '' in found:
            self._logger.warning(
                f'{self.service_name} cannot be called: its server {FOREIGN}',
                throttle_duration_sec=COMPLAINT_PERIOD_S,
            )
        return found

    def wait_for_service(self, timeout_sec: float | None = None) -> bool:
        """Wait for a server; None waits for ever."""
        end = float('inf') if timeout_sec is None else time.monotonic() + timeout_sec
        while self.context.ok() and not self.service_is_ready():
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_S)
        return self.context.ok() and self.service_is_ready()

    def destroy(self) -> None:
        """Stop listening for replies."""
        super().destroy()
        self._replies.clear()
