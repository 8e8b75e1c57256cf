# SPDX-License-Identifier: Apache-2.0
"""Throttled log of reasons: each kind of reason for itself, so that none hides another."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict

from rclpy.node import Node

#: The same kind of reason is logged again after this time [s].
PERIOD_S = 5.0
MAX_KINDS = 256
NUMBER = re.compile(r'\d+(\.\d+)?')


class ReasonLog:
    """Logs `key: reason` at most once a period; reasons that differ in numbers are of one kind.

    The throttle of a ROS logger counts for a line of code, whatever that line says. Thread-safe.
    """

    def __init__(self, node: Node, period_s: float = PERIOD_S) -> None:
        self._node, self._period_s = node, period_s
        self._logged: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def warning(self, key: str, reason: str) -> None:
        """Log what went wrong with an input."""
        if self._is_due(key, reason):
            self._node.get_logger().warning(_line(key, reason))

    def error(self, key: str, reason: str) -> None:
        """Log what went wrong in the node."""
        if self._is_due(key, reason):
            self._node.get_logger().error(_line(key, reason))

    def _is_due(self, key: str, reason: str) -> bool:
        if not self._node.context.ok():
            return False
        kind, now = (key, NUMBER.sub('0', reason)), time.monotonic()
        with self._lock:
            if now - self._logged.get(kind, -self._period_s) < self._period_s:
                return False
            self._logged[kind] = now
            self._logged.move_to_end(kind)
            if len(self._logged) > MAX_KINDS:
                self._logged.popitem(last=False)
        return True


def _line(key: str, reason: str) -> str:
    return f'{key}: {reason}' if key else reason
