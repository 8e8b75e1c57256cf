# SPDX-License-Identifier: Apache-2.0
"""Accepted poses that wait for TF at the stamp of their image: odometry comes later than they do.

Nothing blocks: poses are put in by the worker, and looked up again whenever TF arrives, in the
executor, until their time is over.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node

from dsac_ros.nodes.odometry import Odometry
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable

#: Poses that wait at most; more than come in the longest wait at 60 Hz.
MAX_WAITING = 300
EXPIRY_PERIOD_S = 0.05
#: TF may arrive a thousand times a second [s].
MIN_SERVE_PERIOD_S = 0.005
CHECK_TICKS = 20
#: A cause is logged again if it comes back after this time, with odometry in between [s].
REPEAT_S = 60.0
CLAUSE_END = re.compile('[,;:(]')
NUMBER = re.compile(r'\d+(\.\d+)?')


@dataclass(frozen=True)
class Fix:
    """An accepted pose and what TF says about the stamp of its image.

    Attributes:
        output: the pose, with map_from_base.
        odom_from_base: (4, 4) by odometry; None if it did not come in time.
        tf_map_from_base: (4, 4) by the localizer that publishes it; None if nobody does, it did
            not come in time, or this node itself publishes it.
        reason: why odometry is unknown; '' if it is known.
    """

    output: NodeOutput
    odom_from_base: np.ndarray | None = None
    tf_map_from_base: np.ndarray | None = None
    reason: str = ''


@dataclass(frozen=True)
class _Waiting:
    """An output and the number of ticks of the queue's timer before it was put in."""

    output: NodeOutput
    begin: int


class FixQueue:
    """Holds accepted poses until TF at their stamps is complete, at most odometry_timeout.

    `put` and `clear` may be called from any thread; `on_fix` and `on_dropped` are called in the
    executor, except that `clear` calls `on_dropped` itself.
    """

    def __init__(
        self,
        node: Node,
        transforms: Transforms,
        values: RelocalizerParameters,
        on_fix: Callable[[Fix], None],
        on_dropped: Callable[[NodeOutput, str], None],
        *,
        complete: Callable[[NodeOutput, bool], NodeOutput],
        is_own: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """Start to serve.

        Args:
            node: its executor runs the callbacks.
            transforms: TF.
            values: parameters.
            on_fix: called once for each pose, with or without odometry.
            on_dropped: called instead, with the reason, if there is no pose of the base
                (TF_UNAVAILABLE) or the queue was cleared.
            complete: Relocalization.with_base, for outputs that lack the base.
            is_own: returns whether map -> base_frame at a stamp [ns] is from this node.
        """
        self._node, self._transforms = node, transforms
        self._odometry = Odometry(node, transforms, values)
        self._on_fix, self._on_dropped = on_fix, on_dropped
        self._complete, self._is_own = complete, is_own
        #: Poses with odometry, without it, and dropped, since activation.
        self.with_odometry = self.without_odometry = self.dropped = 0
        self._fix_problem = self._tf_problem = ''
        self._ticks, self._last_serve_s = 0, 0.0
        self._logged: dict[str, tuple[float, int]] = {}
        self._queue: list[_Waiting] = []
        self._lock, self._serving = threading.Lock(), threading.Lock()
        self._guard: GuardCondition | None = node.create_guard_condition(self._serve)
        # A steady clock: simulated time may stand still.
        self._timer = node.create_timer(
            EXPIRY_PERIOD_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._stop_listening = transforms.on_arrival(self._on_tf)

    @property
    def values(self) -> RelocalizerParameters:
        """The parameters, which may change while poses wait."""
        return self._odometry.values

    @values.setter
    def values(self, values: RelocalizerParameters) -> None:
        self._odometry.values = values

    @property
    def problem(self) -> str:
        """The reason why poses have no odometry, one sentence; '' if the last one had it."""
        return self._tf_problem or self._fix_problem

    @property
    def waiting(self) -> int:
        """Number of poses in the queue."""
        return len(self._queue)

    def put(self, output: NodeOutput) -> None:
        """Add an accepted output; in a full queue the oldest one waits no longer."""
        with self._lock:  # rclpy raises for a guard that is destroyed
            if self._guard is None:
                return
            self._queue.append(_Waiting(output, self._ticks))
            self._guard.trigger()

    def clear(self, reason: str) -> None:
        """Drop all poses: they are of another map, or of another run of the clock."""
        with self._lock:
            removed, self._queue = self._queue, []
        for entry in removed:
            self._drop(entry.output, reason)

    def close(self) -> None:
        """Stop serving; what still waits is dropped."""
        with self._lock:
            guard, self._guard = self._guard, None
        if guard is None:
            return
        self._stop_listening()
        self._node.destroy_timer(self._timer)
        self._node.destroy_guard_condition(guard)
        self.clear('the node was deactivated')

    def _on_tf(self) -> None:
        now = time.monotonic()
        if self._queue and now - self._last_serve_s >= MIN_SERVE_PERIOD_S:
            self._last_serve_s = now
            self._serve()

    def _serve(self) -> None:
        """Deliver every pose that is complete or whose time is over."""
        if not self._serving.acquire(blocking=False):
            return  # another thread of the executor does it; the timer comes again
        try:
            with self._lock:
                waiting = list(self._queue)
            for index, entry in enumerate(waiting):
                self._serve_entry(entry, is_excess=index < len(waiting) - MAX_WAITING)
        finally:
            self._serving.release()

    def _serve_entry(self, entry: _Waiting, is_excess: bool) -> None:
        try:
            deliver = self._resolve(entry, is_excess)
            if deliver is None or not self._remove(entry):
                return
            deliver()
        except Exception as error:  # a fault of a consumer must not end the executor
            self._remove(entry)
            self._node.get_logger().error(
                f'accepted pose not processed: {type(error).__name__}: {error}',
                throttle_duration_sec=5.0,
            )

    def _remove(self, entry: _Waiting) -> bool:
        """Take an entry out; return whether it was still there."""
        with self._lock:
            kept = [other for other in self._queue if other is not entry]
            removed = len(kept) < len(self._queue)
            self._queue = kept
        return removed

    def _resolve(self, entry: _Waiting, is_excess: bool) -> Callable[[], None] | None:
        """Return the delivery of an entry; None if it waits on."""
        output, values = entry.output, self.values
        # By ticks: while the executor is busy, TF that has arrived is still to be read.
        age_s = max(0, self._ticks - entry.begin - 1) * EXPIRY_PERIOD_S
        if output.lacks_base:
            output = self._complete(output, is_excess or age_s >= values.tf_lookup_timeout)
            if output.lacks_base:
                return None
            if not output.localization.accepted:
                return partial(self._drop, output, output.localization.reason)
        fix = self._with_tf(output, is_last=is_excess or age_s >= values.odometry_timeout)
        return None if fix is None else partial(self._deliver, fix)

    def _with_tf(self, output: NodeOutput, is_last: bool) -> Fix | None:
        """Look up TF at the stamp of an output; None if it waits on."""
        odom_from_base, reason = None, ''
        try:
            odom_from_base = self._odometry.at(output)
        except TransformUnavailable as error:
            if error.may_come and not is_last:
                return None
            reason = str(error)
        tf_map_from_base = None
        if not self._is_own(output.stamp):
            try:
                tf_map_from_base = self._by_localizer(output)
            except TransformUnavailable as error:
                if error.may_come and not is_last:
                    return None
        return Fix(output, odom_from_base, tf_map_from_base, reason)

    def _by_localizer(self, output: NodeOutput) -> np.ndarray | None:
        """Return map_from_base (4, 4) by TF; None if nobody publishes it."""
        map_frame, base = self.values.map_frame, self._odometry.base(output)
        if self._transforms.edges.path(map_frame, base) is None:
            return None
        return self._transforms.lookup(map_frame, base, output.stamp, self._odometry.limits)

    def _deliver(self, fix: Fix) -> None:
        self._fix_problem = fix.reason
        if fix.reason:
            self.without_odometry += 1
            self._tell_odometry(fix.reason)
        else:
            self.with_odometry += 1
        self._on_fix(fix)

    def _tick(self) -> None:
        """Look at TF without a pose once a second, and serve those whose time is over."""
        self._ticks += 1
        if self._ticks % CHECK_TICKS == 0 and self.values.tf_mode in ('auto', 'map_odom'):
            before, self._tf_problem = self._tf_problem, self._odometry.problem
            if self._tf_problem:
                self._tell_odometry(self._tf_problem)
            elif before:
                self._fix_problem = ''
        self._serve()

    def _tell_odometry(self, reason: str) -> None:
        mode = self.values.tf_mode
        if mode != 'map_base':  # of robots without odometry
            useless = '' if mode == 'none' else f', tf_mode {mode} cannot publish map -> odom'
            self._tell(f'accepted poses have no odometry{useless}', reason)

    def _drop(self, output: NodeOutput, reason: str) -> None:
        self.dropped += 1
        if output.localization.accepted:  # the reason of another result is logged with it
            self._tell('an accepted pose was dropped', reason)
        self._on_dropped(output, reason)

    def _tell(self, effect: str, reason: str) -> None:
        """Log a line once for each cause: the first clause of its reason, but for numbers.

        The rest may change while the cause lasts, as the list of the frames that TF contains.
        """
        cause, now = NUMBER.sub('#', CLAUSE_END.split(reason)[0]), time.monotonic()
        logged_s, count = self._logged.get(cause, (-REPEAT_S, -1))
        if now - logged_s >= REPEAT_S and self.with_odometry > count:
            self._logged[cause] = now, self.with_odometry
            self._node.get_logger().warning(f'{effect}: {reason}')
