# SPDX-License-Identifier: Apache-2.0
"""A bag of either ROS as topics and messages; every failure to read it is one line."""
from __future__ import annotations

import re
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dsac_ros.errors import SourceError

# Messages of packages beyond ROS 2 itself, for sqlite3 bags, which may lack definitions.
_FFMPEG_PACKET = """std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data"""
VIDEO_MESSAGES = {
    'foxglove_msgs/msg/CompressedVideo': """builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format""",
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket': _FFMPEG_PACKET,
    'depthai_ros_msgs/msg/FFMPEGPacket': _FFMPEG_PACKET}
SUFFIXES = ('.mcap', '.db3', '.bag')


@cache
def message_types() -> Typestore:
    """The message types of ROS 2, for bags that do not bring their own and for writing."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VIDEO_MESSAGES.items():
        store.register(get_types_from_msg(text, name))
    return store


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
    """A bag whose passes do not disturb each other: each has a reader for itself.

    A reader is kept for the next pass, because opening one parses the whole index.
    """

    def __init__(self, path: Path | str) -> None:
        """Takes a rosbag2 folder, a .mcap, a .db3 or a rosbag1 .bag and reads its index."""
        self.path = Path(path)
        self._idle: list[AnyReader] = []
        weakref.finalize(self, _close_all, self._idle)
        with self._open() as reader:
            counts: dict[tuple[str, str], int] = {}
            for connection in reader.connections:
                key = (connection.topic, connection.msgtype)
                counts[key] = counts.get(key, 0) + connection.msgcount
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
        if self._idle:
            reader = self._idle.pop()
        else:
            paths = self._storage()
            with self._one_line():
                reader = AnyReader(paths, default_typestore=message_types())
                reader.open()
        try:
            yield reader
        finally:
            self._idle.append(reader)

    def _storage(self) -> list[Path]:
        """The path, or the storage files of a recording that was killed before its metadata."""
        if self.path.is_file() or (self.path / 'metadata.yaml').is_file():
            return [self.path]
        files = _files_in(self.path)
        if len({re.sub(r'(_\d+)?$', '', file.stem) + file.suffix for file in files}) > 1:
            raise SourceError(f'{self.path} holds several bags: name one of '
                              f'{", ".join(str(file) for file in files)}')
        return files

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


def _close_all(readers: list[AnyReader]) -> None:
    for reader in readers:
        reader.close()
