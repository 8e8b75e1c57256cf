# SPDX-License-Identifier: Apache-2.0
"""TF lookups at the stamp of an image."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, TransformException

from dsac_ros.errors import SourceError
from dsac_ros.nodes.conversions import matrix_from_transform
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.missing_inputs import Input
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.tf_edges import TfEdges, TfPath
from dsac_ros.nodes.tf_listener import TfListener
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.sources.pose_frames import optical_frame

CACHE_S = 15.0
#: Longest wait before a lookup is tried again: a single sample becomes valid by its age [s].
RECHECK_S = 0.05
TF, TF_STATIC = '/tf', '/tf_static'
#: Time after which frames that are still unknown are not expected any more [s].
SETTLING_TIME_S = 3.0


class TransformUnavailable(Exception):
    """There is no such transform at that time; the message is the reason.

    may_come says whether TF that is still on its way can change that.
    """

    def __init__(self, reason: str, may_come: bool = False) -> None:
        super().__init__(reason)
        self.may_come = may_come


class Transforms:
    """TF buffer and listener; `lookup` may be called from any thread."""

    def __init__(self, node: Node, parameters: dict[str, str]) -> None:
        """Listen to TF; `parameters` maps frames to the parameters that name them, for reasons."""
        self.buffer = Buffer(cache_time=Duration(seconds=CACHE_S))
        self.edges = TfEdges(CACHE_S, node.resolve_topic_name(TF_STATIC))
        self._arrived = threading.Condition()
        self._on_arrival: list[Callable[[], None]] = []
        self._on_restart: list[Callable[[int], None]] = []
        self._listener = TfListener(self.buffer, node, self.edges, self._notify, self._restart)
        self._node, self._parameters = node, parameters
        self._jump = node.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=lambda _: self.reset(),
        )
        self._begin = time.monotonic()
        self._logged: set[str] = set()

    @property
    def is_settled(self) -> bool:
        """True once frames that are still unknown are not expected any more."""
        return time.monotonic() - self._begin >= SETTLING_TIME_S

    def watch(self, watch: InputWatch) -> None:
        """Let an InputWatch report missing or incompatible TF publishers."""
        kind = 'tf2_msgs/msg/TFMessage'
        self._listener.feed = watch.expect(
            Input(
                'transforms',
                TF,
                self._node.resolve_topic_name(TF),
                kind,
                reliable=True,
                shared=True,
                launch_name=None,
            ),
            once=True,
        )
        self._listener.static_feed = watch.expect(
            Input(
                'static transforms',
                TF_STATIC,
                self._node.resolve_topic_name(TF_STATIC),
                kind,
                reliable=True,
                latched=True,
                shared=True,
                launch_name=None,
            ),
            optional=True,
        )

    def lookup(
        self, target: str, source: str, stamp: int, limits: Limits = Limits()
    ) -> np.ndarray:
        """Return target_from_source (4, 4) at a stamp [ns]; waits up to limits.wait_s.

        Raises:
            TransformUnavailable: there is no such transform.
        """
        if target == source:
            return np.eye(4)
        if stamp < 0:  # rclpy raises
            raise TransformUnavailable(f'the stamp {stamp / 1e9:.3f} s is negative')
        end = time.monotonic() + limits.wait_s
        with self._arrived:
            while True:
                try:
                    found = self._at(target, source, stamp)
                    break
                except TransformException as error:
                    left = end - time.monotonic()
                    if left <= 0:
                        raise TransformUnavailable(
                            self._reason(target, source, stamp, limits)
                            or f'no transform {target} <- {source}: {error}',
                            self._may_come(target, source, stamp),
                        ) from None
                except SourceError as error:
                    raise TransformUnavailable(
                        f'transform {target} <- {source}: {error}'
                    ) from None
                self._arrived.wait(min(left, RECHECK_S))
        path = self.edges.path(target, source)
        too_sparse = self.edges.gap_reason(path, stamp, limits) if path else ''
        if too_sparse:
            raise TransformUnavailable(too_sparse)
        return found

    def newest(self, target: str, source: str) -> tuple[int, np.ndarray]:
        """Return the newest stamp [ns] and target_from_source (4, 4) at it, without waiting.

        Raises:
            TransformUnavailable: there is no such transform.
        """
        try:
            found = self.buffer.lookup_transform(target, source, Time())
            return stamp_ns(found.header.stamp), matrix_from_transform(found.transform)
        except (TransformException, SourceError) as error:
            raise TransformUnavailable(f'no transform {target} <- {source}: {error}') from None

    def _may_come(self, target: str, source: str, stamp: int) -> bool:
        """Return whether a transform that is missing now may still arrive."""
        path = self.edges.path(target, source)
        return not self.is_settled if path is None else self.edges.is_late(path, stamp)

    def disconnected_reason(self, target: str, source: str) -> str:
        """Return why TF connects two frames at no time, and the remedy; '' if it does."""
        return self.edges.disconnected_reason(target, source, self._parameters)

    def latest(self, target: str, source: str) -> np.ndarray:
        """Return the newest target_from_source (4, 4).

        Raises:
            TransformUnavailable: there is none.
        """
        return self.lookup(target, source, 0)

    def ahead_s(self, target: str, source: str, now: int) -> float:
        """Return how far the newest sample between two frames is ahead of `now` [ns], in s."""
        path = self.edges.path(target, source)
        newest = self.edges.newest(path) if path else None
        return -math.inf if newest is None else (newest - now) / 1e9

    def optical_frame(self, image_frame: str, given: str) -> str:
        """Return the optical frame of an image.

        Args:
            image_frame: frame_id of the image.
            given: the parameter camera_frame, which has priority; '' for none.

        Raises:
            TransformUnavailable: the frame is not optical and TF has no unique optical frame below
                it.
        """
        frame = image_frame.lstrip('/')
        if given:
            return given
        if not frame:
            return self._only_optical_frame()
        found = optical_frame(frame, self.edges.descendants(frame))
        if len(found) != 1:
            children = f'the optical frames {", ".join(found)}' if found else 'no optical frame'
            raise TransformUnavailable(
                f'the image is in frame {frame!r}, which has x forward by its name, and TF has '
                f'{children} below it: set camera_frame to the frame with z forward (or to '
                f'{frame} if that one has)',
                may_come=not self.is_settled,
            )
        if found[0] != frame:
            self._log_once(
                frame,
                f'the image is in frame {frame!r}, which has x forward by its '
                f'name: {found[0]!r} below it is used (override: camera_frame)',
            )
        return found[0]

    def _only_optical_frame(self) -> str:
        """Return the only optical frame in TF; '' if there is none or several."""
        found = [name for name in self.edges.frames if 'optical' in name]
        if len(found) != 1 or not self.is_settled:
            return ''
        self._log_once(
            '',
            f'the image has no frame_id: {found[0]!r} is used, the only optical '
            'frame in TF (override: camera_frame)',
        )
        return found[0]

    def on_arrival(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after every TF message, in the executor; return the function that ends it."""
        self._on_arrival.append(callback)
        return lambda: self._on_arrival.remove(callback)

    def on_restart(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back when stamps of TF fall by some [ns]; return the function that ends it."""
        self._on_restart.append(callback)
        return lambda: self._on_restart.remove(callback)

    def reset(self) -> None:
        """Forget dynamic transforms, whose stamps belong to another run of the clock."""
        self.buffer.clear()
        self.edges.clear()

    def close(self) -> None:
        """Stop listening."""
        self._jump.unregister()
        self._listener.unregister()

    def _restart(self, fall_ns: int) -> None:
        """Forget what is newer than the stamps now: tf2 ignores samples far older than others."""
        self.reset()
        for callback in list(self._on_restart):
            callback(fall_ns)

    def _notify(self) -> None:
        with self._arrived:
            self._arrived.notify_all()
        for callback in list(self._on_arrival):
            callback()

    def _at(self, target: str, source: str, stamp: int) -> np.ndarray:
        """Look up by tf2, except that an edge with a single sample is valid at any time."""
        path = self.edges.path(target, source)
        static_children = self.edges.static_children(path, time.monotonic()) if path else set()
        if not static_children:
            return self._ask(target, source, stamp)
        self._log_static(path, static_children)
        return np.linalg.inv(self._climb(path.from_target, static_children, stamp)) @ self._climb(
            path.from_source, static_children, stamp
        )

    def _climb(
        self, edges: tuple[tuple[str, str], ...], static_children: set[str], stamp: int
    ) -> np.ndarray:
        """Return ancestor_from_frame (4, 4) along edges (parent, child)."""
        matrix = np.eye(4)
        for parent, child in edges:
            matrix = self._ask(parent, child, 0 if child in static_children else stamp) @ matrix
        return matrix

    def _ask(self, target: str, source: str, stamp: int) -> np.ndarray:
        found = self.buffer.lookup_transform(target, source, Time(nanoseconds=stamp))
        return matrix_from_transform(found.transform)

    def _reason(self, target: str, source: str, stamp: int, limits: Limits) -> str:
        return self.edges.reason(target, source, stamp, limits, time.monotonic(), self._parameters)

    def _log_static(self, path: TfPath, static_children: set[str]) -> None:
        for parent, child in path.edges:
            if child in static_children:
                self._log_once(
                    f'{parent} -> {child}',
                    f'{parent} -> {child} was published once, on '
                    f'{self._node.resolve_topic_name(TF)}: it is taken as fixed (fixed '
                    f'transforms belong on {self._node.resolve_topic_name(TF_STATIC)})',
                )

    def _log_once(self, key: str, line: str) -> None:
        if key not in self._logged:
            self._logged.add(key)
            self._node.get_logger().warning(line)
