# SPDX-License-Identifier: Apache-2.0
"""The main loop of a node: it outlives errors in callbacks and ends in order on a signal."""

from __future__ import annotations

import signal
import threading
import traceback
from types import FrameType
from typing import Any

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: A signal waits for the current callback, and for at most this time if there is none [s].
POLL_S = 0.1
REPEAT_S = 5.0


class StopSignals:
    """Within its context SIGINT and SIGTERM set `requested`; the second raises KeyboardInterrupt.

    Other than by rclpy's own handlers the node stays in the graph, and can say that it ends.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def spin(node: Node, signals: StopSignals) -> None:
    """Run the node's callbacks until a signal, or until the context is shut down."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while executor.context.ok() and not signals.requested:
            try:
                executor.spin_once(timeout_sec=POLL_S)
            except ExternalShutdownException:
                break
            # rclpy itself raises, too: RCLError of a transition that the state does not have.
            except Exception as error:
                if executor.context.ok():
                    node.get_logger().error(
                        f'error in a callback, the node continues: {_described(error)}',
                        throttle_duration_sec=REPEAT_S,
                    )
    finally:
        executor.remove_node(node)
        executor.shutdown(timeout_sec=0.0)


def _described(error: Exception) -> str:
    """Return type, message and place of an error in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f' ({frames[-1].filename}:{frames[-1].lineno})' if frames else ''
    return f'{type(error).__name__}: {error}{place}'
