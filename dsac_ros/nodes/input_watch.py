# SPDX-License-Identifier: Apache-2.0
"""Monitoring of a node's inputs: logs which are missing, and why, from the ROS graph."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from dsac_ros.nodes.missing_inputs import Input, Publisher, explain, incompatible, mixed

#: Checks per timeout; all but one query the graph only if an input is missing.
CHECKS_PER_TIMEOUT = 5
ROS_NAME = re.compile(r'(/[A-Za-z_]\w*)+', re.ASCII)
#: Number of timeouts after which the same fault is logged again.
REPEAT = 6


class Feed:
    """One input and the time of its last message."""

    def __init__(self, wanted: Input, *, once: bool = False, optional: bool = False) -> None:
        """Start to expect an input.

        Args:
            wanted: the input.
            once: a single message is sufficient; later gaps are no fault or are detected
                elsewhere.
            optional: no message is required, but the QoS of the publisher must be compatible.
        """
        self.wanted, self.optional, self._once = wanted, optional, once or optional
        self._count, self._last = 0, time.monotonic()
        self._problem = ''

    def arrived(self) -> None:
        """Record the arrival of a message; thread-safe."""
        self._count += 1
        self._last = time.monotonic()
        self._problem = ''

    @property
    def problem(self) -> str:
        """The fault found by the last check, one sentence; '' for none."""
        return self._problem

    @property
    def reason(self) -> str:
        """The reason why no message has arrived yet, one sentence; '' once one has."""
        if self._problem or self._count:
            return self._problem
        return f'no {self.wanted.what} on {self.wanted.topic} yet'

    def is_overdue(self, timeout_s: float) -> bool:
        """Return whether a message should have arrived by now."""
        enough = self._count and self._once
        return not enough and time.monotonic() - self._last >= timeout_s

    def check(self, publishers: Iterable[Publisher], timeout_s: float) -> str:
        """Check the input and return the cause of a fault; '' for none."""
        cause = ''
        if self.is_overdue(timeout_s):
            cause = (incompatible if self.optional else explain)(self.wanted, publishers)
        self._problem = cause and (
            f'no {self.wanted.what} on {self.wanted.topic} for '
            f'{time.monotonic() - self._last:.0f} s: {cause}'
        )
        return cause


class InputWatch:
    """Checks the inputs of a node periodically, by a steady clock, and logs missing ones."""

    def __init__(self, node: Node, timeout_s: float) -> None:
        """Start the checks; a timeout of 0 disables them."""
        self._node, self._timeout_s = node, timeout_s
        self._feeds: list[Feed] = []
        self._logged: dict[str, tuple[str, float]] = {}
        self._clock_problem = ''
        self._checks = 0
        self._begin = self._last_check = time.monotonic()
        # A steady clock: simulated time may not have started.
        self._timer = (
            node.create_timer(
                timeout_s / CHECKS_PER_TIMEOUT,
                self._check_inputs,
                clock=Clock(clock_type=ClockType.STEADY_TIME),
            )
            if timeout_s
            else None
        )

    def expect(self, wanted: Input, *, once: bool = False, optional: bool = False) -> Feed:
        """Add an input."""
        self._feeds.append(Feed(wanted, once=once, optional=optional))
        return self._feeds[-1]

    def close(self) -> None:
        """Stop the checks."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._feeds.clear()

    @property
    def reason(self) -> str:
        """All current faults, joined; '' for none."""
        return '; '.join(
            filter(None, [self._clock_problem, *(feed.problem for feed in self._feeds)])
        )

    def _check_inputs(self) -> None:
        now, before = time.monotonic(), self._last_check
        self._last_check, self._checks = now, self._checks + 1
        if now - before > self._timeout_s:
            return  # the executor was busy; messages that arrived meanwhile are still queued
        self._clock_problem = self._reason_without_time()
        self._log_change(
            '/clock', self._clock_problem, self._clock_problem, 'time has begun on /clock'
        )
        missing = any(
            feed.is_overdue(self._timeout_s) for feed in self._feeds if not feed.optional
        )
        if not missing and self._checks % CHECKS_PER_TIMEOUT:
            return
        known = publishers_on_graph(self._node, [feed.wanted for feed in self._feeds])
        for feed in self._feeds:
            wanted = feed.wanted
            others = {other.wanted.topic for other in self._feeds if other is not feed}
            cause = feed.check([p for p in known if p.topic not in others], self._timeout_s)
            self._log_change(
                wanted.topic, cause, feed.problem, f'{wanted.what} arrive on {wanted.topic}'
            )
            several = '' if wanted.shared else mixed(wanted, known)
            self._log_change(
                f'{wanted.topic} mixed',
                several,
                several,
                f'one publisher is left on {wanted.topic}',
            )

    def _reason_without_time(self) -> str:
        """Return the fault of simulated time; '' if it runs or is not used."""
        if (
            not self._node.get_parameter('use_sim_time').value
            or time.monotonic() - self._begin < self._timeout_s
            or self._node.get_clock().now().nanoseconds
        ):
            return ''
        return 'use_sim_time is true and there is no time on /clock: ' + (
            'its publisher sends nothing; is the simulation or the bag paused?'
            if self._node.count_publishers('/clock')
            else 'start the simulation, or `ros2 bag play --clock`, or set use_sim_time:=false'
        )

    def _log_change(self, key: str, cause: str, line: str, end: str) -> None:
        """Log a fault when its cause is new, repeat it while it lasts, and log its end."""
        now = time.monotonic()
        before, logged_at = self._logged.get(key, ('', 0.0))
        if cause and (cause != before or now - logged_at >= REPEAT * self._timeout_s):
            self._node.get_logger().warning(line)
            self._logged[key] = (cause, now)
        elif before and not cause:
            self._node.get_logger().info(end)
            del self._logged[key]


def publishers_on_graph(node: Node, inputs: Iterable[Input]) -> list[Publisher]:
    """Return publishers of the inputs' topics, of their types, and of topics below them."""
    inputs = list(inputs)
    topics = {wanted.topic for wanted in inputs}
    kinds = {kind for wanted in inputs for kind in wanted.kinds}
    found = []
    for topic, types in node.get_topic_names_and_types():
        if (
            topic in topics
            or not kinds.isdisjoint(types)
            or any(topic.startswith(f'{above}/') for above in topics)
        ):
            found += publishers_of(node, topic, types)
    return found


def publishers_of(node: Node, topic: str, types: Iterable[str] = ()) -> list[Publisher]:
    """Return the publishers of a topic, given by its full name.

    Args:
        node: asks the graph.
        topic: full name.
        types: known message types, used for topics that rclpy cannot look up.
    """
    if not ROS_NAME.fullmatch(topic) or node.resolve_topic_name(topic) != topic:
        # rclpy rejects topic names of plain DDS programs, and it would apply the node's remappings
        # to a remapped name.
        return [Publisher('', topic, kind) for kind in types]
    own = (node.get_name(), node.get_namespace())
    return [
        Publisher(
            f'{info.node_namespace.rstrip("/")}/{info.node_name}',
            topic,
            info.topic_type,
            info.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT,
            info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
        )
        for info in node.get_publishers_info_by_topic(topic)
        if (info.node_name, info.node_namespace) != own
    ]
