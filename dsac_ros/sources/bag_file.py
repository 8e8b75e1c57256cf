# SPDX-License-Identifier: Apache-2.0
"""A bag of either ROS as topics and messages; every failure to read it is one line."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

from dsac_ros.errors import SourceError
from dsac_ros.sources.bag_storage import METADATA, StorageFiles, is_bag_file
from dsac_ros.sources.message_types import Deserializer, MessageError

# What the libraries say, and what helps; the first that fits is taken.
CURES = (
    ('end is missing', '`mcap recover` keeps what was recorded'),
    ('not indexed', '`rosbag reindex` makes the index'),
    ('encryption', 'decrypt it where its key is'),
    (
        'no such table|missing tables',
        'it is a database, but not one of rosbag2: name another file',
    ),
    ('malformed|not a database', '`sqlite3 OLD .recover | sqlite3 NEW.db3` keeps what is left'),
    ('[Uu]nsupported|not supported|compressed by', 'convert it by `ros2 bag convert`'),
)
RECOVERY = {
    '.mcap': '`mcap recover`',
    '.bag': '`rosbag reindex`',
    '.db3': '`sqlite3 OLD .recover | sqlite3 NEW.db3`',
}
TellLeftOut = Callable[[str, str], None]


class Topic(NamedTuple):
    """Description of a topic in the index of a bag."""

    name: str
    type: str
    count: int  # type: ignore[assignment]  # hides the method of tuples


class Message(NamedTuple):
    """A message, its topic and when it was recorded [ns]."""

    topic: str
    log_ns: int
    content: Any


def is_bag(path: Path) -> bool:
    """Return True if a path is a bag: a file by its suffix, a folder by its contents."""
    if path.is_file():
        return is_bag_file(path) or path.name == METADATA
    return path.is_dir() and (
        (path / METADATA).is_file() or any(is_bag_file(file) for file in path.iterdir())
    )


class BagFile:
    """A bag whose passes do not disturb each other: each has readers for itself.

    Readers are kept for the next pass, because opening one parses the whole index.
    """

    def __init__(self, path: Path | str) -> None:
        """Takes a rosbag2 folder, a .mcap, a .db3 or a rosbag1 .bag and reads its index."""
        self.path = Path(path)
        self._files = StorageFiles(self.path)
        self._deserialize = Deserializer()
        self._idle: list[list[Any]] = []
        weakref.finalize(self, _close_all, self._idle, self._files)
        with self._open() as readers:
            counts: dict[tuple[str, str], int] = {}
            for connection in (c for reader in readers for c in reader.connections):
                key = (connection.topic, connection.msgtype)
                counts[key] = counts.get(key, 0) + connection.msgcount
        self.topics = {
            name: Topic(name, kind, count) for (name, kind), count in sorted(counts.items())
        }

    def of_type(self, *types: str) -> list[Topic]:
        """The topics of these types that have messages, e.g. 'sensor_msgs/msg/Image'."""
        return [topic for topic in self.topics.values() if topic.type in types and topic.count]

    def messages(
        self, topics: Collection[str], left_out: TellLeftOut | None = None
    ) -> Iterator[Message]:
        """The messages of these topics in the order of recording, one at a time.

        Args:
            topics: their names.
            left_out: is told topic and reason of a message that cannot be deserialized; without
                it such a message is an error.
        """
        for connection, log_ns, data in self._stored(topics):
            content = self._content(connection, data, left_out)
            if content is not None:
                yield Message(connection.topic, log_ns, content)

    def longest_message(self, topic: str, left_out: TellLeftOut | None = None) -> Any | None:
        """The message of a topic that has the most bytes, the last of equals; None for none."""
        longest = None
        for connection, _, data in self._stored([topic]):
            if longest is None or len(data) >= len(longest[1]):
                longest = connection, data
        return None if longest is None else self._content(*longest, left_out)

    def _stored(self, topics: Collection[str]) -> Iterator[tuple[Any, int, bytes]]:
        """Connection, time of recording [ns] and bytes of the messages of these topics."""
        with self._open() as readers:
            streams = []
            for reader in readers:
                wanted = [c for c in reader.connections if c.topic in topics]
                if wanted:
                    streams.append(reader.messages(wanted))
            stream = merge(*streams, key=lambda found: found[1])
            while True:
                with self._one_line():
                    found = next(stream, None)
                if found is None:
                    return
                yield found

    def _content(self, connection: Any, data: bytes, left_out: TellLeftOut | None) -> Any | None:
        """A message, or None when `left_out` was told that there is none in the bytes."""
        try:
            return self._deserialize(connection, data)
        except MessageError as error:
            if left_out is None:
                raise SourceError(f'{self.path}, {connection.topic}: {error}') from None
            left_out(connection.topic, str(error))
            return None

    @contextmanager
    def _open(self) -> Iterator[list[Any]]:
        if self._idle:
            readers = self._idle.pop()
        else:
            with self._one_line():
                readers = self._files.open()
        try:
            yield readers
        finally:
            self._idle.append(readers)

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except SourceError:
            raise
        except Exception as error:
            # A damaged file shows as whatever the bag library or its storage trips over.
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:160]
            cure = next((cure for pattern, cure in CURES if re.search(pattern, reason)), None)
            if cure is None:
                tool = RECOVERY.get(self.path.suffix, '`ros2 bag reindex`')
                cure = f'if it was cut short or damaged, {tool} may repair it'
            raise SourceError(f'{self.path} cannot be read as a bag ({reason}); {cure}') from None


def _close_all(idle: list[list[Any]], files: StorageFiles) -> None:
    for readers in idle:
        for reader in readers:
            reader.close()
    files.remove()
