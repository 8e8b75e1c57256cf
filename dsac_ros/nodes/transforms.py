# SPDX-License-Identifier: Apache-2.0
"""TF looked up at the stamp of an image, after the image was processed: then it has arrived."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener

from dsac_ros.errors import SourceError
from dsac_ros.nodes.conversions import matrix_from_transform

CACHE_S = 15.0
POLL_S = 0.005


class TransformUnavailable(Exception):
    """No such transform at that time; the text says why."""


class Transforms:
    """What TF knows; `lookup` may be called from any thread."""

    def __init__(self, node: Any) -> None:
        self.buffer = Buffer(cache_time=Duration(seconds=CACHE_S))
        self._listener = TransformListener(self.buffer, node, spin_thread=False)
        self._node = node
        self._last_now = 0

    def lookup(self, target: str, source: str, stamp: int, timeout_s: float = 0.0) -> np.ndarray:
        """target_from_source (4, 4) at a stamp [ns], waited for at most timeout_s of wall time."""
        if target == source:
            return np.eye(4)
        self._forget_after_jump()
        end = time.monotonic() + timeout_s
        while True:
            try:
                found = self.buffer.lookup_transform(target, source, Time(nanoseconds=stamp))
                return matrix_from_transform(found.transform)
            except TransformException as error:
                if time.monotonic() >= end:
                    raise TransformUnavailable(
                        f'no transform {target} <- {source}: {error}') from None
            except SourceError as error:
                raise TransformUnavailable(f'transform {target} <- {source}: {error}') from None
            time.sleep(POLL_S)

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()

    def _forget_after_jump(self) -> None:
        """Drop what was heard when the clock goes back (a bag that starts over)."""
        now = self._node.get_clock().now().nanoseconds
        if now < self._last_now:
            self.buffer.clear()
        self._last_now = now
