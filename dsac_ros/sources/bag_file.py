# SPDX-License-Identifier: Apache-2.0
"""A bag of either ROS as topics and messages; every failure to read it is one line."""
from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from dsac_ros.errors import SourceError

SUFFIXES = ('.mcap', '.db3', '.bag')


class Topic(NamedTuple):
    """What a bag knows of a topic without reading its messages."""

    name: str
    type: str
    count: int


class Message(NamedTuple):
    """A message, its topic and when it was recorded [ns]."""

    topic: str
    log_ns: int
    content: Any


def is_bag(path: Path) -> bool:
    """Whether a path is a bag: a file by its suffix, a folder by what it holds."""
    if path.is_file():
        return path.suffix in SUFFIXES
    return path.is_dir() and ((path / 'metadata.yaml').is_file() or bool(_files_in(path)))


def _files_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES)


class BagFile:
    """A bag that is opened anew for every pass, so that passes do not disturb each other."""

    def __init__(self, path: Path | str) -> None:
        """Takes a rosbag2 folder, a .mcap, a .db3 or a rosbag1 .bag and reads its index."""
        self.path = Path(path)
        with self._open() as reader:
            counts: dict[tuple[str, str], int] = {}
            for connection in reader.connections:
                key = (connection.topic, connection.msgtype)
                counts[key] = counts.get(key, 0) + connection.msgcount
            self.start_ns = reader.start_time if reader.message_count else 0
        self.topics = {name: Topic(name, kind, count)
                       for (name, kind), count in sorted(counts.items())}

    def of_type(self, *types: str) -> list[Topic]:
        """The topics of these types that have messages, e.g. 'sensor_msgs/msg/Image'."""
        return [topic for topic in self.topics.values() if topic.type in types and topic.count]

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """The messages of these topics in the order of recording, one at a time."""
        with self._open() as reader:
            connections = [c for c in reader.connections if c.topic in topics]
            if not connections:
                return
            stream = reader.messages(connections=connections)
            while True:
                with self._one_line():
                    found = next(stream, None)
                    if found is None:
                        return
                    connection, log_ns, data = found
                    content = reader.deserialize(data, connection.msgtype)
                yield Message(connection.topic, log_ns, content)

    @contextmanager
    def _open(self) -> Iterator[AnyReader]:
        paths = [self.path]
        if self.path.is_dir() and not (self.path / 'metadata.yaml').is_file():
            # A recording that was killed has no metadata yet, only its storage files.
            paths = _files_in(self.path)
        with self._one_line():
            reader = AnyReader(paths, default_typestore=get_typestore(Stores.ROS2_JAZZY))
            reader.open()
        try:
            yield reader
        finally:
            reader.close()

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # A cut file shows as whatever the bag library or its storage trips over.
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:160]
            hint = {'.mcap': '`mcap recover`', '.bag': '`rosbag reindex`'}.get(
                self.path.suffix, '`ros2 bag reindex`')
            raise SourceError(f'{self.path} cannot be read as a bag ({reason}); if it was cut '
                              f'short, {hint} may repair it') from None
