# SPDX-License-Identifier: Apache-2.0
"""The tree of frames over time: who is where in whom, at which time."""

from __future__ import annotations

import threading
import time as wall
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time as TimeMsg
from geometry_msgs.msg import TransformStamped
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.logging import get_logger
from tf2_py import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)

from tf2_ros.frame_history import MovingHistory, Placement, StaticHistory
from tf2_ros.rigid import IDENTITY, Rigid

DEFAULT_CACHE = Duration(seconds=10.0)
NO_WAIT = Duration()
LOGGER = get_logger('tf2_buffer')
UNIT_TOLERANCE = 1e-2  # how far a quaternion's length may be from 1, as in tf2


class Buffer:
    """Stores transforms and answers where frames are; safe from any thread."""

    def __init__(self, cache_time: Duration | None = None, node: Any = None) -> None:
        self._cache_ns = (cache_time or DEFAULT_CACHE).nanoseconds
        self._frames: dict[str, MovingHistory | StaticHistory] = {}
        self._changed = threading.Condition(threading.RLock())
        if node is not None:
            # When time jumps back, what we know is of another run.
            self._jump = node.get_clock().create_jump_callback(
                JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
                post_callback=lambda _: self.clear(),
            )

    # -- in --------------------------------------------------------------------------------------
    def set_transform(self, transform: Any, authority: str) -> None:
        """Store a geometry_msgs/TransformStamped."""
        child, placement = _checked(transform, authority)
        if placement is None:
            return
        with self._changed:
            history = self._frames.get(child)
            if not isinstance(history, MovingHistory):
                history = self._frames[child] = MovingHistory(self._cache_ns)
            history.insert(_stamp_ns(transform.header.stamp), placement)
        self._notify()

    def set_transform_static(self, transform: Any, authority: str) -> None:
        """Store one that holds for ever."""
        child, placement = _checked(transform, authority)
        if placement is None:
            return
        with self._changed:
            self._frames[child] = StaticHistory(placement)
        self._notify()

    def clear(self) -> None:
        """Forget all that moves; static frames stay."""
        with self._changed:
            self._frames = {
                name: history for name, history in self._frames.items() if history.is_static
            }

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # -- out -------------------------------------------------------------------------------------
    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = NO_WAIT
    ) -> Any:
        """Return target_from_source as TransformStamped; time 0 is the newest common one."""
        self.can_transform(target_frame, source_frame, time, timeout)
        with self._changed:
            stamp_ns, transform = self._lookup(target_frame, source_frame, _stamp_ns(time))
        return _stamped(target_frame, source_frame, stamp_ns, transform)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Any,
        timeout: Duration = NO_WAIT,
        return_debug_tuple: bool = False,
    ) -> Any:
        """Return True if `lookup_transform` succeeds now or within the timeout (wall time)."""
        stamp_ns = _stamp_ns(time)
        return self._wait(
            lambda: self._lookup(target_frame, source_frame, stamp_ns), timeout, return_debug_tuple
        )

    def _wait(self, attempt: Callable[[], Any], timeout: Duration, with_reason: bool) -> Any:
        end = wall.monotonic() + timeout.nanoseconds / 1e9
        with self._changed:
            while True:
                reason = _error_of(attempt)
                left = end - wall.monotonic()
                if not reason or left <= 0:
                    return (not reason, reason) if with_reason else not reason
                self._changed.wait(left)

    # -- the tree --------------------------------------------------------------------------------
    def _lookup(self, target: str, source: str, stamp_ns: int) -> tuple[int, Rigid]:
        for argument, frame in (('target_frame', target), ('source_frame', source)):
            self._check_known(argument, frame)
        if target == source:
            return stamp_ns, IDENTITY
        if stamp_ns == 0:
            stamp_ns = self._latest_common_ns(target, source)
        above_target, target_end = self._chain(target, stamp_ns)
        above_source, source_end = self._chain(source, stamp_ns)
        for ancestor, from_source in above_source.items():
            if ancestor in above_target:
                return stamp_ns, above_target[ancestor].inverse() @ from_source
        error = source_end or target_end
        if error is not None:
            raise ExtrapolationException(
                f'{error}, when looking up transform from frame [{source}] to frame [{target}]'
            )
        raise ConnectivityException(_unconnected(target, source))

    def _chain(
        self, frame: str, stamp_ns: int
    ) -> tuple[dict[str, Rigid], ExtrapolationException | None]:
        """Return ancestor_from_frame, nearest first, and the error that ended the chain early.

        An ancestor that is unknown at that time matters only if the way leads through it.
        """
        chain = {frame: IDENTITY}
        transform = IDENTITY
        while frame in self._frames:
            try:
                frame, parent_from_frame = self._frames[frame].at(stamp_ns)
            except ExtrapolationException as error:
                return chain, error
            transform = parent_from_frame @ transform
            if frame in chain:
                raise LookupException(
                    f'The tf tree is invalid because it contains a loop at [{frame}]'
                )
            chain[frame] = transform
        return chain, None

    def _latest_common_ns(self, target: str, source: str) -> int:
        ways = [self._way_up(frame) for frame in (target, source)]
        common = next((frame for frame in ways[0] if frame in ways[1]), None)
        if common is None:
            raise ConnectivityException(_unconnected(target, source))
        moving = [
            self._frames[frame].latest_ns
            for way in ways
            for frame in way[: way.index(common)]
            if not self._frames[frame].is_static
        ]
        return min(moving, default=0)

    def _way_up(self, frame: str) -> list[str]:
        way = [frame]
        while frame in self._frames:
            frame = self._frames[frame].parent_at(0)
            if frame in way:
                break
            way.append(frame)
        return way

    def _check_known(self, argument: str, frame: str) -> None:
        if not frame or frame.startswith('/'):
            raise InvalidArgumentException(
                f'Invalid argument "{frame}" passed to lookupTransform '
                f'argument {argument}: frame ids cannot be empty or '
                'start with a slash'
            )
        if frame not in self._frames and all(
            history.parent_at(0) != frame for history in self._frames.values()
        ):
            raise LookupException(
                f'"{frame}" passed to lookupTransform argument {argument} does not exist.'
            )


def _checked(transform: Any, authority: str) -> tuple[str, Placement | None]:
    """Return the frame and where it is; None, and a line in the log, for what makes no sense."""
    child, parent = (
        name.lstrip('/') for name in (transform.child_frame_id, transform.header.frame_id)
    )
    rigid = Rigid.from_msg(transform.transform)
    length = float(np.linalg.norm(rigid.rotation))
    reason = ''
    if not child or not parent or child == parent:
        reason = 'these are no two frames'
    elif not np.isfinite(rigid.translation).all():
        reason = 'its translation has NaN or infinity'
    elif not abs(length - 1.0) < UNIT_TOLERANCE:
        reason = f'its quaternion has length {length}, expected 1'
    if reason:
        LOGGER.error(
            f'a transform of {child!r} in {parent!r} from {authority} is ignored: {reason}',
            throttle_duration_sec=1.0,
        )
        return child, None
    return child, Placement(parent, Rigid(rigid.translation, rigid.rotation / length))


def _stamp_ns(time: Any) -> int:
    """Nanoseconds of a rclpy Time or a message."""
    return time.nanoseconds if hasattr(time, 'nanoseconds') else (time.sec * 10**9 + time.nanosec)


def _stamped(target: str, source: str, stamp_ns: int, transform: Rigid) -> Any:
    message = TransformStamped(child_frame_id=source, transform=transform.to_msg())
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    message.header.stamp = TimeMsg(sec=seconds, nanosec=nanoseconds)
    message.header.frame_id = target
    return message


def _error_of(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except TransformException as error:
        return str(error)
    return ''


def _unconnected(target: str, source: str) -> str:
    return (
        f"Could not find a connection between '{target}' and '{source}' because they are not "
        'part of the same tree. Tf has two or more unconnected trees.'
    )
