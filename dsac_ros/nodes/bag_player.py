# SPDX-License-Identifier: Apache-2.0
"""Replays a bag onto the graph: the recorded CDR bytes, at the recorded pace, on any rclpy."""

from __future__ import annotations

import importlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader
from rosbags.highlevel.anyreader import AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_typestore

from dsac_ros.errors import SourceError
from dsac_ros.nodes.runtime import register_messages

CLOCK_TOPIC = '/clock'
# Samples that a late subscriber of a latched topic gets; each broadcaster's /tf_static is one.
MAX_LATCHED = 1000
LATCHED_TOPICS = ('/tf_static', '/robot_description')
SUFFIXES = ('.mcap', '.db3')
FRAMES_ALONE = (
    '`dsac convert` reads more bags (packed, without an index) and writes '
    'their frames as one that can be played'
)


@dataclass(frozen=True)
class Pace:
    """Settings of a replay: speed, start [s], /clock rate [Hz] (0: no /clock)."""

    rate: float = 1.0
    start_s: float = 0.0
    clock_hz: float = 0.0


class Recorded(NamedTuple):
    """One message of the bag."""

    topic: str
    log_ns: int
    cdr: bytes


class BagPlayer:
    """Publishers for the topics of a bag, and the loop that feeds them."""

    def __init__(
        self,
        path: Path,
        node: Any,
        topics: Collection[str] | None = None,
        remappings: Mapping[str, str] | None = None,
    ) -> None:
        """Open the bag and offer its topics.

        Args:
            path: a rosbag2 folder, .mcap or .db3.
            node: publishes.
            topics: what to play; None is everything.
            remappings: topic of the bag -> name under which it is published.
        """
        self._path, self._node = path, node
        self._remappings = dict(remappings or {})
        self.skipped: dict[str, str] = {}
        files = _files(path)
        self._reader = self._guarded(
            lambda: AnyReader(files, default_typestore=get_typestore(Stores.ROS2_JAZZY))
        )
        self._guarded(self._reader.open)
        if not self._reader.is2:
            raise SourceError(
                f'{path} is a rosbag1, expected a rosbag2; `dsac convert {path} '
                'NAME.mcap` makes one of it'
            )
        self._connections = self._chosen(topics)
        self._check_remappings()
        self.publishers = {
            topic: publisher
            for topic, connections in self._by_topic().items()
            if (publisher := self._publisher(topic, connections)) is not None
        }
        self._clock: Any = None

    def __len__(self) -> int:
        return sum(c.msgcount for c in self._connections if c.topic in self.publishers)

    def play(self, pace: Pace) -> Iterator[Recorded]:
        """Publish everything once, yielding each message after it was sent."""
        connections = [c for c in self._connections if c.topic in self.publishers]
        start_ns = self._reader.start_time + int(pace.start_s * 1e9)
        if start_ns > self._reader.end_time:
            raise SourceError(
                f'{self._path} is {self._reader.duration / 1e9:.1f} s long, it '
                f'cannot start at {pace.start_s:.1f} s'
            )
        timing = _Timing(start_ns, pace, self._tick if pace.clock_hz > 0 else None)
        stream = self._reader.messages(connections=connections)
        while (found := self._guarded(lambda: next(stream, None))) is not None:
            connection, log_ns, data = found
            # What is latched holds from then on, so a later start needs it too.
            if log_ns < start_ns and not _is_latched(connection):
                continue
            timing.wait_until(max(log_ns, start_ns))
            self.publishers[connection.topic].publish(bytes(data))
            yield Recorded(connection.topic, log_ns, data)

    def wait_for_subscriber(self, topic: str, timeout_s: float = float('inf')) -> bool:
        """Wait until somebody listens to a topic."""
        end = time.monotonic() + timeout_s
        while not self.publishers[topic].get_subscription_count():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def close(self) -> None:
        """Let the last messages arrive, then leave."""
        from rclpy.duration import Duration

        for publisher in self.publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=2))
        self._reader.close()

    def _tick(self, now_ns: int) -> None:
        from builtin_interfaces.msg import Time
        from rosgraph_msgs.msg import Clock

        if self._clock is None:
            self._clock = self._node.create_publisher(Clock, CLOCK_TOPIC, 10)
        seconds, nanoseconds = divmod(now_ns, 10**9)
        self._clock.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))

    def _chosen(self, topics: Collection[str] | None) -> list[Connection]:
        known = sorted({c.topic for c in self._reader.connections})
        missing = sorted(set(topics or ()) - set(known))
        if missing or not known:
            raise SourceError(
                f'{self._path} has no topic {", ".join(missing)}; it has '
                f'{", ".join(known) or "none"}'
            )
        return [c for c in self._reader.connections if topics is None or c.topic in topics]

    def _check_remappings(self) -> None:
        played = sorted({c.topic for c in self._connections})
        for topic in self._remappings:
            if topic not in played:
                raise SourceError(
                    f'--remap {topic}: not played from {self._path}, which has {", ".join(played)}'
                )

    def _by_topic(self) -> dict[str, list[Connection]]:
        groups: dict[str, list[Connection]] = {}
        for connection in self._connections:
            groups.setdefault(connection.topic, []).append(connection)
        return groups

    def _publisher(self, topic: str, connections: list[Connection]) -> Any:
        type_name = connections[0].msgtype
        package, _, name = type_name.split('/')
        try:
            self._learn(type_name)
            cls = getattr(importlib.import_module(f'{package}.msg'), name)
        except (ImportError, AttributeError):
            self.skipped[topic] = f'no message type {type_name} here'
            return None
        name = self._remappings.get(topic, topic)
        return self._node.create_publisher(cls, name, _profile(topic, connections))

    def _learn(self, type_name: str) -> None:
        """Let the embedded runtime take over a type that only the bag knows."""
        text, _ = self._reader.typestore.generate_msgdef(type_name, ros_version=2)
        register_messages({type_name: text})

    def _guarded(self, read: Any) -> Any:
        try:
            return read()
        except (AnyReaderError, ReaderError, OSError, ValueError) as error:
            raise SourceError(
                f'{self._path} cannot be read as a bag: '
                f'{" ".join(str(error).split())[:160]}; {FRAMES_ALONE}'
            ) from None


class _Timing:
    """Bag time against wall time, with ticks of /clock in between."""

    def __init__(self, start_ns: int, pace: Pace, tick: Any) -> None:
        self._start_ns, self._rate, self._tick = start_ns, pace.rate, tick
        self._wall_start = time.monotonic()
        self._period_ns = int(1e9 * pace.rate / pace.clock_hz) if tick else 0
        self._next_tick_ns = start_ns

    def wait_until(self, bag_ns: int) -> None:
        while self._tick and self._next_tick_ns <= bag_ns:
            self._sleep(self._next_tick_ns)
            self._tick(self._next_tick_ns)
            self._next_tick_ns += self._period_ns
        self._sleep(bag_ns)

    def _sleep(self, bag_ns: int) -> None:
        due = self._wall_start + (bag_ns - self._start_ns) / 1e9 / self._rate
        left = due - time.monotonic()
        if left > 0:
            time.sleep(left)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise SourceError(f'{path} does not exist, expected a rosbag2 folder, .mcap or .db3')
    if path.is_dir() and not (path / 'metadata.yaml').is_file():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
        if not files:
            raise SourceError(
                f'{path} is no bag, expected a folder with metadata.yaml, .mcap or .db3'
            )
        return files
    if path.name == 'metadata.yaml':
        return [path.parent]
    if path.is_file() and path.suffix not in (*SUFFIXES, '.bag'):
        raise SourceError(
            f'{path} cannot be played, expected a rosbag2 folder, .mcap or .db3; {FRAMES_ALONE}'
        )
    return [path]


def _offered(connection: Connection) -> list[Any]:
    return list(getattr(connection.ext, 'offered_qos_profiles', ()))


def _is_latched(connection: Connection) -> bool:
    return connection.topic in LATCHED_TOPICS or any(
        qos.durability.name == 'TRANSIENT_LOCAL' for qos in _offered(connection)
    )


def _profile(topic: str, connections: list[Connection]) -> Any:
    """The strongest QoS that a recorded publisher offered: then every subscriber matches."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    offered = [qos for connection in connections for qos in _offered(connection)]
    best_effort = bool(offered) and all(q.reliability.name == 'BEST_EFFORT' for q in offered)
    latched = any(_is_latched(connection) for connection in connections)
    count = sum(c.msgcount for c in connections)
    depth = max([10, *(qos.depth for qos in offered)])
    return QoSProfile(
        depth=min(MAX_LATCHED, max(depth, count)) if latched else min(depth, MAX_LATCHED),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
