# SPDX-License-Identifier: Apache-2.0
"""A context: from init to shutdown, with its arguments and its DDS participant."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from inspect import ismethod
from typing import Any
from weakref import WeakMethod

from cyclonedds.core import DDSException

from embedded_ros.dds.configuration import domain_id_from_environment
from embedded_ros.dds.participant import Participant
from embedded_ros.errors import RCLError
from rclpy import logging
from rclpy.arguments import Arguments
from rclpy.exceptions import NotInitializedException
from rclpy.graph import Graph


def _join(domain_id: int) -> Participant:
    try:
        return Participant(domain_id)
    except DDSException as error:
        raise RCLError(
            f'cannot join DDS domain {domain_id} ({error}); is ROS_DOMAIN_ID in '
            '0..232, is there a network interface, is CYCLONEDDS_URI right?'
        ) from None


class Context:
    """One life of ROS in this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._callbacks: list[Any] = []
        self._participant: Participant | None = None
        self._graph: Graph | None = None
        self._ok = False
        self.arguments = Arguments([])

    def init(
        self,
        args: list[str] | None = None,
        *,
        initialize_logging: bool = True,
        domain_id: int | None = None,
    ) -> None:
        """Parse the arguments and join the DDS domain."""
        with self._lock:
            if domain_id is not None and domain_id < 0:
                raise RuntimeError(f'Domain id ({domain_id}) should not be lower than zero.')
            if self._participant is not None:
                raise RuntimeError('Context.init() must only be called once')
            self.arguments = Arguments(list(sys.argv if args is None else args))
            if initialize_logging:
                logging.configure(self.arguments.log_levels)
            self._participant = _join(
                domain_id_from_environment() if domain_id is None else domain_id
            )
            self._graph = Graph(self._participant)
            self._ok = True

    @property
    def participant(self) -> Participant:
        """Return the DDS participant that readers and writers are made on."""
        if self._participant is None:
            raise NotInitializedException()
        return self._participant

    @property
    def graph(self) -> Graph:
        """Return the graph of nodes, ours and the others'."""
        if self._graph is None:
            raise NotInitializedException()
        return self._graph

    def ok(self) -> bool:
        """Return True if initialized and not shut down."""
        return self._ok

    def on_shutdown(self, callback: Callable[[], Any]) -> None:
        """Call back at shutdown; methods are held weakly."""
        if not callable(callback):
            raise TypeError(f'callback should be a callable, got {type(callback)}')
        with self._lock:
            if self._participant is None or self._ok:
                self._callbacks.append(
                    WeakMethod(callback) if ismethod(callback) else lambda: callback
                )
                return
        callback()

    def shutdown(self) -> None:
        """Leave the DDS domain; executors stop waiting."""
        if self._participant is None:
            raise RuntimeError('Context must be initialized before it can be shutdown')
        if not self._ok:
            raise RuntimeError('Context is already shut down')
        self.try_shutdown()

    def try_shutdown(self) -> None:
        """Shut down unless that has happened already."""
        with self._lock:
            if not self._ok:
                return
            self._ok = False
            callbacks, self._callbacks = self._callbacks, []
        for reference in callbacks:
            callback = reference()
            if callback is not None:
                callback()
        self.participant.close()
