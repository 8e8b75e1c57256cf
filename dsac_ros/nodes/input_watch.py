# SPDX-License-Identifier: Apache-2.0
"""Says what a node waits for: inputs that bring nothing, and why, from the ROS graph."""
from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from dsac_ros.nodes.missing_inputs import Input, Publisher, explain, incompatible, mixed

#: Looks at the inputs within one timeout; all but one ask the graph only for what is missing.
LOOKS = 5
ROS_NAME = re.compile(r'(/[A-Za-z_]\w*)+', re.ASCII)
#: Timeouts until the same thing is said again.
REPEAT = 6


class Feed:
    """One input and when it last brought something."""

    def __init__(self, wanted: Input, *, once: bool = False, optional: bool = False) -> None:
        """Expect an input from now on.

        Args:
            wanted: the input.
            once: one message is enough: later ones come when they must, or are missed elsewhere.
            optional: it may stay silent, but not be out of reach.
        """
        self.wanted, self.optional, self._once = wanted, optional, once or optional
        self._count, self._last = 0, time.monotonic()
        self._complaint = ''

    def arrived(self) -> None:
        """Note a message; callable from any thread."""
        self._count += 1
        self._last = time.monotonic()
        self._complaint = ''

    @property
    def complaint(self) -> str:
        """The fault found at the last look, one sentence; '' for none."""
        return self._complaint

    @property
    def reason(self) -> str:
        """Why there is nothing yet, one sentence; '' once there is."""
        if self._complaint or self._count:
            return self._complaint
        return f'no {self.wanted.what} on {self.wanted.topic} yet'

    def is_overdue(self, timeout_s: float) -> bool:
        """Return whether something should have come by now."""
        enough = self._count and self._once
        return not enough and time.monotonic() - self._last >= timeout_s

    def look(self, publishers: Iterable[Publisher], timeout_s: float) -> str:
        """Find out what is wrong; the cause alone, '' where there is nothing to say."""
        cause = ''
        if self.is_overdue(timeout_s):
            cause = (incompatible if self.optional else explain)(self.wanted, publishers)
        self._complaint = cause and (
            f'no {self.wanted.what} on {self.wanted.topic} for '
            f'{time.monotonic() - self._last:.0f} s: {cause}')
        return cause


class InputWatch:
    """Looks at the inputs of a node by a steady clock and logs what it waits for."""

    def __init__(self, node: Any, timeout_s: float) -> None:
        """Watch over inputs; with a timeout of 0 nothing is ever missed."""
        self._node, self._timeout_s = node, timeout_s
        self._feeds: list[Feed] = []
        self._said: dict[str, tuple[str, float]] = {}
        self._no_time = ''
        self._looks = 0
        self._begin = self._last_look = time.monotonic()
        # Not of the node's clock: simulated time may not have begun.
        self._timer = node.create_timer(
            timeout_s / LOOKS, self._look,
            clock=Clock(clock_type=ClockType.STEADY_TIME)) if timeout_s else None

    def expect(self, wanted: Input, *, once: bool = False, optional: bool = False) -> Feed:
        """Watch over one more input."""
        self._feeds.append(Feed(wanted, once=once, optional=optional))
        return self._feeds[-1]

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._feeds.clear()

    @property
    def reason(self) -> str:
        """All that the node waits for; '' for nothing."""
        return '; '.join(filter(None, [self._no_time,
                                       *(feed.complaint for feed in self._feeds)]))

    def _look(self) -> None:
        now, before = time.monotonic(), self._last_look
        self._last_look, self._looks = now, self._looks + 1
        if now - before > self._timeout_s:
            return  # the executor was busy, and what arrived meanwhile still waits its turn
        self._no_time = self._reason_without_time()
        self._say('/clock', self._no_time, self._no_time, 'time has begun on /clock')
        missing = any(feed.is_overdue(self._timeout_s) for feed in self._feeds
                      if not feed.optional)
        if not missing and self._looks % LOOKS:
            return
        known = publishers_on_graph(self._node, [feed.wanted for feed in self._feeds])
        for feed in self._feeds:
            wanted = feed.wanted
            others = {other.wanted.topic for other in self._feeds if other is not feed}
            cause = feed.look([p for p in known if p.topic not in others], self._timeout_s)
            self._say(wanted.topic, cause, feed.complaint,
                      f'{wanted.what} arrive on {wanted.topic}')
            several = '' if wanted.shared else mixed(wanted, known)
            self._say(f'{wanted.topic} mixed', several, several,
                      f'one publisher is left on {wanted.topic}')

    def _reason_without_time(self) -> str:
        """The fault of simulated time; '' where it runs or is not used."""
        if (not self._node.get_parameter('use_sim_time').value
                or time.monotonic() - self._begin < self._timeout_s
                or self._node.get_clock().now().nanoseconds):
            return ''
        return ('use_sim_time is true and there is no time on /clock: '
                + ('its publisher sends nothing; is the simulation or the bag paused?'
                   if self._node.count_publishers('/clock') else
                   'start the simulation, or `ros2 bag play --clock`, or set '
                   'use_sim_time:=false'))

    def _say(self, key: str, cause: str, line: str, end: str) -> None:
        """Log a complaint when its cause is new, and again while it lasts; and its end."""
        now = time.monotonic()
        before, told = self._said.get(key, ('', 0.0))
        if cause and (cause != before or now - told >= REPEAT * self._timeout_s):
            self._node.get_logger().warning(line)
            self._said[key] = (cause, now)
        elif before and not cause:
            self._node.get_logger().info(end)
            del self._said[key]


def publishers_on_graph(node: Any, inputs: Iterable[Input]) -> list[Publisher]:
    """The publishers of the inputs' topics, of their types and of the topics below them."""
    inputs = list(inputs)
    topics = {wanted.topic for wanted in inputs}
    kinds = {kind for wanted in inputs for kind in wanted.kinds}
    found = []
    for topic, types in node.get_topic_names_and_types():
        if (topic in topics or not kinds.isdisjoint(types)
                or any(topic.startswith(f'{above}/') for above in topics)):
            found += publishers_of(node, topic, types)
    return found


def publishers_of(node: Any, topic: str, types: Iterable[str] = ()) -> list[Publisher]:
    """The publishers of a topic, by its full name; types are those that are known of it."""
    if not ROS_NAME.fullmatch(topic) or node.resolve_topic_name(topic) != topic:
        # A DDS program need not keep to ROS names, of which alone the graph may be asked; and for
        # one that is remapped it would answer for the other.
        return [Publisher('', topic, kind) for kind in types]
    own = (node.get_name(), node.get_namespace())
    return [Publisher(f'{info.node_namespace.rstrip("/")}/{info.node_name}', topic,
                      info.topic_type,
                      info.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT,
                      info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL)
            for info in node.get_publishers_info_by_topic(topic)
            if (info.node_name, info.node_namespace) != own]
