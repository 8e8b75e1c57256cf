# SPDX-License-Identifier: Apache-2.0
"""TF looked up at the stamp of an image, after the image was processed: then it has arrived."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException, TransformListener

from dsac_ros.errors import SourceError
from dsac_ros.nodes.conversions import matrix_from_transform
from dsac_ros.nodes.input_watch import Feed, InputWatch
from dsac_ros.nodes.missing_inputs import Input
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.tf_edges import TfEdges, Way
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.sources.pose_frames import optical_frame

CACHE_S = 15.0
POLL_S = 0.005
TF, TF_STATIC = '/tf', '/tf_static'
#: Until TF has been listened to for this long, a frame that it has not may still come [s].
SETTLES_S = 3.0


class TransformUnavailable(Exception):
    """No such transform at that time; the text says why."""


class Transforms:
    """What TF knows; `lookup` may be called from any thread."""

    def __init__(self, node: Any, parameters: dict[str, str]) -> None:
        """Listen to TF; parameters (frame -> the one that names it) are for reasons."""
        self.buffer = Buffer(cache_time=Duration(seconds=CACHE_S))
        self.edges = TfEdges(CACHE_S, node.resolve_topic_name(TF_STATIC))
        self._listener = _Listener(self.buffer, node, self.edges)
        self._node, self._parameters = node, parameters
        self._last_now, self._begin = 0, time.monotonic()
        self._told: set[str] = set()

    @property
    def is_settled(self) -> bool:
        """Return whether what TF has not by now is not to be expected."""
        return time.monotonic() - self._begin >= SETTLES_S

    def watch(self, watch: InputWatch) -> None:
        """Have it said when TF brings nothing, or cannot be heard."""
        kind = 'tf2_msgs/msg/TFMessage'
        self._listener.feed = watch.expect(Input(
            'transforms', TF, self._node.resolve_topic_name(TF), kind, reliable=True, shared=True,
            launch_name=None), once=True)
        self._listener.static_feed = watch.expect(Input(
            'static transforms', TF_STATIC, self._node.resolve_topic_name(TF_STATIC), kind,
            reliable=True, latched=True, shared=True, launch_name=None), optional=True)

    def lookup(self, target: str, source: str, stamp: int,
               limits: Limits = Limits()) -> np.ndarray:
        """target_from_source (4, 4) at a stamp [ns], waited for by wall time."""
        if target == source:
            return np.eye(4)
        self._forget_after_jump()
        end = time.monotonic() + limits.timeout_s
        while True:
            try:
                found = self._at(target, source, stamp)
                break
            except TransformException as error:
                if time.monotonic() >= end:
                    raise TransformUnavailable(
                        self._reason(target, source, stamp, limits)
                        or f'no transform {target} <- {source}: {error}') from None
            except SourceError as error:
                raise TransformUnavailable(f'transform {target} <- {source}: {error}') from None
            time.sleep(POLL_S)
        way = self.edges.way(target, source)
        too_sparse = self.edges.gap_reason(way, stamp, limits) if way else ''
        if too_sparse:
            raise TransformUnavailable(too_sparse)
        return found

    def optical(self, image_frame: str, given: str) -> str:
        """The optical frame of an image: as given by camera_frame, or as its frame_id means."""
        frame = image_frame.lstrip('/')
        if given:
            return given
        if not frame:
            return self._only_optical()
        found = optical_frame(frame, self.edges.below(frame))
        if len(found) != 1:
            below = (f'the optical frames {", ".join(found)}' if found else 'no optical frame')
            raise TransformUnavailable(
                f'the image is in frame {frame!r}, which has x forward by its name, and TF has '
                f'{below} below it: set camera_frame to the frame with z forward (or to {frame} '
                'if that one has)')
        if found[0] != frame:
            self._tell_once(frame, f'the image is in frame {frame!r}, which has x forward by its '
                            f'name: {found[0]!r} below it is used (camera_frame says otherwise)')
        return found[0]

    def _only_optical(self) -> str:
        """The optical frame of TF where there is one and no other, else ''."""
        found = [name for name in self.edges.frames if 'optical' in name]
        if len(found) != 1 or not self.is_settled:
            return ''
        self._tell_once('', f'the image has no frame_id: {found[0]!r} is used, the only optical '
                        'frame in TF (camera_frame says otherwise)')
        return found[0]

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()

    def _at(self, target: str, source: str, stamp: int) -> np.ndarray:
        """tf2's answer, but an edge that was said only once holds throughout."""
        way = self.edges.way(target, source)
        held = self.edges.held(way, time.monotonic()) if way else set()
        if not held:
            return self._ask(target, source, stamp)
        self._tell_held(way, held)
        return (np.linalg.inv(self._climb(way.from_target, held, stamp))
                @ self._climb(way.from_source, held, stamp))

    def _climb(self, edges: tuple[tuple[str, str], ...], held: set[str],
               stamp: int) -> np.ndarray:
        """ancestor_from_frame (4, 4) along edges (parent, child)."""
        matrix = np.eye(4)
        for parent, child in edges:
            matrix = self._ask(parent, child, 0 if child in held else stamp) @ matrix
        return matrix

    def _ask(self, target: str, source: str, stamp: int) -> np.ndarray:
        found = self.buffer.lookup_transform(target, source, Time(nanoseconds=stamp))
        return matrix_from_transform(found.transform)

    def _reason(self, target: str, source: str, stamp: int, limits: Limits) -> str:
        return self.edges.reason(target, source, stamp, limits, time.monotonic(),
                                 self._parameters)

    def _tell_held(self, way: Way, held: set[str]) -> None:
        for parent, child in way.edges:
            if child in held:
                self._tell_once(
                    f'{parent} -> {child}', f'{parent} -> {child} was published once, on '
                    f'{self._node.resolve_topic_name(TF)}: it is taken as fixed (fixed '
                    f'transforms belong on {self._node.resolve_topic_name(TF_STATIC)})')

    def _tell_once(self, key: str, line: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._node.get_logger().warning(line)

    def _forget_after_jump(self) -> None:
        """Drop what was heard when the clock goes back (a bag that starts over)."""
        now = self._node.get_clock().now().nanoseconds
        if now < self._last_now:
            self.buffer.clear()
            self.edges.clear()
        self._last_now = now


class _Listener(TransformListener):
    """Fills the buffer, and notes what was heard."""

    def __init__(self, buffer: Buffer, node: Any, edges: TfEdges) -> None:
        self._edges = edges
        self.feed: Feed | None = None
        self.static_feed: Feed | None = None
        super().__init__(buffer, node, spin_thread=False)

    def callback(self, data: TFMessage) -> None:
        """Transforms that move."""
        if self.feed is not None:
            self.feed.arrived()
        self._note(data, is_static=False)
        super().callback(data)

    def static_callback(self, data: TFMessage) -> None:
        """Transforms that do not."""
        if self.static_feed is not None:
            self.static_feed.arrived()
        self._note(data, is_static=True)
        super().static_callback(data)

    def _note(self, data: TFMessage, is_static: bool) -> None:
        now = time.monotonic()
        for one in data.transforms:
            self._edges.add(one.header.frame_id, one.child_frame_id, stamp_ns(one.header.stamp),
                            is_static, now)
