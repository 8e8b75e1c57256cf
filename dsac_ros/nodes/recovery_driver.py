# SPDX-License-Identifier: Apache-2.0
"""Feeds the recovery with what the node knows, and carries out its decisions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from dsac_ros.nodes.fix_queue import Fix
from dsac_ros.nodes.relocalization import BAD_FRAME, NodeOutput
from dsac_ros.nodes.relocalizer_parameters import (
    RelocalizerParameters,
    recovery_config,
    seed_config,
)
from dsac_ros.nodes.seeding import TOPIC, Seeder
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable
from dsac_ros.recovery.agreement import contradicts
from dsac_ros.recovery.events import (
    Decision,
    Event,
    GiveUp,
    Refusal,
    Request,
    Reset,
    Seed,
    Tick,
    Verified,
    VisualFix,
    Withdrawal,
)
from dsac_ros.recovery.reducer import advance
from dsac_ros.recovery.state import Condition, Policy, State
from dsac_ros.types import Result

TICK_PERIOD_S = 0.1
INACTIVE = 'the relocalizer is not active: configure and activate it'


@dataclass(eq=False)
class PendingRequest:
    """Somebody who waits for a verified pose; times of a steady clock.

    The outcome is (success, one sentence). A patient one hears of failure at the deadline only.
    """

    future: Future
    deadline_s: float
    timeout_s: float
    is_patient: bool = False
    images: int = 0
    accepted: int = 0


class RecoveryDriver:
    """One for each activation; its methods may be called from any thread."""

    def __init__(
        self,
        node: Node,
        values: RelocalizerParameters,
        transforms: Transforms,
        owns_transform: Callable[[], bool],
        input_problem: Callable[[], str],
        on_condition: Callable[[Condition], None],
    ) -> None:
        self._node, self._transforms = node, transforms
        self._owns_transform, self._input_problem = owns_transform, input_problem
        self._on_condition = on_condition
        self._lock = threading.RLock()
        self._requests: list[PendingRequest] = []
        self._outcome: tuple[bool, str] | None = None
        self._seeder = Seeder(node, transforms)
        self.state = State()
        self.apply(values)
        # A steady clock: a request is answered in time even where simulated time stands still.
        self._timer = node.create_timer(
            TICK_PERIOD_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def apply(self, values: RelocalizerParameters) -> None:
        """Go on with changed parameters."""
        with self._lock:
            self._values = values
            self.config, self._seeds = recovery_config(values), seed_config(values)
            self.state = replace(self.state, policy=Policy(values.publish_initialpose))

    def close(self) -> None:
        """Stop; whoever waits is told."""
        self._node.destroy_timer(self._timer)
        with self._lock:
            for request in list(self._requests):
                self._finish(request, False, 'the relocalizer was deactivated')
            self._seeder.close()

    @property
    def condition(self) -> Condition:
        """The state to publish."""
        return self.state.condition(self.config)

    def is_expected(self, output: NodeOutput) -> bool:
        """Return True if TF, as far as it is known now, has the robot where an accepted pose is.

        Without TF: if fixes before agreed. Only what is not expected needs to be the one place of
        the map that fits.
        """
        if output.map_from_base is None:
            return False
        values = self._values
        try:
            _, by_tf = self._transforms.newest(values.map_frame, values.base_frame)
        except TransformUnavailable:
            return self.condition is Condition.LOCALIZED
        fix = VisualFix(0.0, output.map_from_base, output.covariance, None, by_tf)
        return not contradicts(fix, self.config)

    def on_fix(self, fix: Fix) -> None:
        """Take an accepted pose as evidence."""
        output = fix.output
        with self._lock:
            for request in self._requests:
                request.images += 1
                request.accepted += 1
            self._advance(
                VisualFix(
                    output.stamp * 1e-9,
                    output.map_from_base,
                    output.covariance,
                    fix.odom_from_base,
                    fix.tf_map_from_base,
                )
            )

    def on_rig(self, fix: VisualFix) -> None:
        """Take a pose of several images together as evidence."""
        if not self._owns_transform():
            values, stamp = self._values, round(fix.stamp_s * 1e9)
            try:
                by_localizer = self._transforms.lookup(values.map_frame, values.base_frame, stamp)
                fix = replace(fix, localizer_map_from_base=by_localizer)
            except TransformUnavailable:
                pass
        with self._lock:
            self._advance(fix)

    def on_refused(self, output: NodeOutput) -> None:
        """Take note of an image without an accepted pose."""
        found = output.localization
        with self._lock:
            for request in self._requests:
                request.images += 1
            self._advance(
                Refusal(
                    f'{found.result.name}: {found.reason}',
                    is_usable=found.result not in BAD_FRAME,
                    is_ambiguous=found.result is Result.AMBIGUOUS,
                )
            )

    def reset(self, reason: str) -> None:
        """Void all evidence."""
        with self._lock:
            self._advance(Reset(reason))

    def request(
        self, timeout_s: float, future: Future, *, is_patient: bool = False
    ) -> PendingRequest:
        """Ask for a verified pose; the future gets (success, one sentence)."""
        with self._lock:
            deadline = time.monotonic() + timeout_s
            request = PendingRequest(future, deadline, timeout_s, is_patient)
            self._requests.append(request)
            self._advance(Request())
            return request

    def withdraw(self, request: PendingRequest) -> None:
        """End a request that was cancelled."""
        with self._lock:
            if request in self._requests:
                self._finish(request, False, 'cancelled')

    def _tick(self) -> None:
        """Let time pass: answer requests that are decided or too old."""
        with self._lock:
            owned = self._owns_transform()
            self._advance(
                Tick(
                    has_localizer=not owned and self._has_localizer(),
                    listeners=0 if owned else self._seeder.listeners,
                )
            )
            if self._outcome is not None:
                self._settle(*self._outcome)
                self._outcome = None
            for request in [r for r in self._requests if time.monotonic() >= r.deadline_s]:
                self._finish(request, False, self._reason_of_failure(request))

    def _advance(self, event: Event) -> None:
        before = self.condition
        self.state, decisions = advance(
            self.state, event, self._node.get_clock().now().nanoseconds * 1e-9, self.config
        )
        for decision in decisions:
            self._carry_out(decision)
        after = self.condition
        if after is not before:
            self._node.get_logger().info(f'{after.name}: {self.state.reason}')
            self._on_condition(after)

    def _carry_out(self, decision: Decision) -> None:
        logger = self._node.get_logger()
        match decision:
            case Seed():
                values = self._values
                message = self._seeder.send(
                    decision.fix,
                    (values.map_frame, values.odom_frame, values.base_frame),
                    self._seeds,
                    values.two_d_mode,
                )
                position = message.pose.pose.position
                logger.warning(
                    f'seed {self.state.attempts} of {self.config.max_attempts} on {TOPIC}: '
                    f'x {position.x:.2f} m, y {position.y:.2f} m, since {decision.reason}'
                )
            case Verified():
                x, y = decision.fix.map_from_base[:2, 3]
                self._outcome = (True, f'x {x:.2f} m, y {y:.2f} m: {decision.reason}')
                logger.info(f'verified: {decision.reason}')
            case GiveUp():
                self._outcome = (False, decision.reason)
                logger.error(f'given up: {decision.reason}')

    def _has_localizer(self) -> bool:
        """Return True if TF holds a fresh pose of the robot in the map."""
        values = self._values
        try:
            stamp, _ = self._transforms.newest(values.map_frame, values.base_frame)
        except TransformUnavailable:
            return False
        age = self._node.get_clock().now().nanoseconds - stamp
        return bool(age <= values.localizer_timeout * 1e9)

    def _settle(self, success: bool, reason: str) -> None:
        for request in [r for r in self._requests if success or not r.is_patient]:
            self._finish(request, success, reason)

    def _finish(self, request: PendingRequest, success: bool, reason: str) -> None:
        """Answer a request; the last one ends the wish for a pose."""
        self._requests.remove(request)
        if not request.future.done():
            request.future.set_result((success, reason))
        if not self._requests and self.state.is_wanted:
            self._advance(Withdrawal())

    def _reason_of_failure(self, request: PendingRequest) -> str:
        found = (
            f'not verified within {request.timeout_s:g} s: {request.accepted} of '
            f'{request.images} images accepted'
        )
        parts = [self._input_problem(), self.state.reason]
        if request.images > request.accepted and self.state.last_refusal:
            parts.append(f'the last refusal: {self.state.last_refusal}')
        return '; '.join([found, *filter(None, parts)])
