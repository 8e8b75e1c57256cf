# SPDX-License-Identifier: Apache-2.0
"""Reads MCAP files, with or without an index, as the bag library reads other bags.

Written from the MCAP format specification, version 0. A file is a row of records: an operation
code, a length of 64 bits and that many bytes. Messages lie among them, alone or in compressed
chunks; a summary at the end may repeat the channels and say where the chunks are. Recorders in a
hurry leave the index out, so that what the summary lacks is found by reading the records.
"""

from __future__ import annotations

import heapq
import struct
import sys
from collections import Counter, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b'\x89MCAP0\r\n'
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
CHUNK_INDEX, STATISTICS, DATA_END = 0x08, 0x0B, 0x0F
RECORD = struct.Struct('<BQ')
MESSAGE_HEAD = struct.Struct('<HIQQ')
CHUNK_HEAD = struct.Struct('<QQQI')
FOOTER_SIZE = RECORD.size + 20
# Records that are read; others, such as attachments, may be of any size.
READ = frozenset((SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, STATISTICS, DATA_END))
# Bytes of a record or of an unpacked chunk, and of messages that wait for earlier ones: recorders
# write chunks of some megabytes, and a few kilobytes can hold gigabytes of zeros.
MOST_RECORD, MOST_PENDING = 1 << 28, 1 << 30
FORMATS = {
    'ros1msg': MessageDefinitionFormat.MSG,
    'ros2msg': MessageDefinitionFormat.MSG,
    'ros2idl': MessageDefinitionFormat.IDL,
    'omgidl': MessageDefinitionFormat.IDL,
}


class McapError(Exception):
    """A file that breaks the format; the text says how."""


class Block(NamedTuple):
    """A chunk, or a message that lies in none: when it begins and where its record is.

    channels are those with messages in it; None where nothing says it.
    """

    start_ns: int
    offset: int
    channels: frozenset[int] | None


@dataclass
class Contents:
    """Contents of a file: name, encoding, text per schema; schema, topic, encoding per channel.

    counts is None where the messages were not counted.
    """

    schemas: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    channels: dict[int, tuple[int, str, str]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    counts: Counter[int] | None = None


class McapReader:
    """Topics and messages of one file, in the order of recording whatever their order in it."""

    def __init__(self, path: Path) -> None:
        """Takes the file and reads its summary, or all of it where that does not say enough."""
        self._file = path.open('rb')
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(
        self,
        connections: Collection[Connection],
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time of recording [ns] and bytes of the messages of some connections."""
        wanted = {connection.id: connection for connection in connections}
        blocks = deque(
            sorted(
                block
                for block in self._contents.blocks
                if block.channels is None or block.channels & wanted.keys()
            )
        )
        pending: list[tuple[int, int, int, bytes]] = []
        number = 0  # keeps messages of one time in the order of the file
        waiting = 0  # bytes of those that are pending
        while blocks or pending:
            while blocks and (not pending or blocks[0].start_ns <= pending[0][0]):
                for channel, log_ns, data in self._messages_of(blocks.popleft()):
                    if channel in wanted:
                        heapq.heappush(pending, (log_ns, number, channel, bytes(data)))
                        number += 1
                        waiting += len(data)
                if waiting > MOST_PENDING:
                    raise McapError(
                        f'messages of over {MOST_PENDING} bytes lie in chunks of the same time'
                    )
            if pending:
                log_ns, _, channel, data = heapq.heappop(pending)
                waiting -= len(data)
                yield wanted[channel], log_ns, data

    def _open(self) -> None:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise McapError('it does not begin as an mcap does')
        if _read_record(self._file)[0] != HEADER:
            raise McapError('its first record is not a header')
        begin = self._file.tell()
        self._file.seek(0, 2)
        end = self._file.tell() - FOOTER_SIZE - len(MAGIC)
        self._file.seek(max(end, 0))
        footer = self._file.read()
        if end < begin or not footer.endswith(MAGIC) or footer[0] != FOOTER:
            raise McapError('its end is missing')
        summary = struct.unpack_from('<Q', footer, RECORD.size)[0]
        if summary and not begin <= summary <= end:
            raise McapError('its footer points outside of it')
        found = self._summary(summary, end) if summary else Contents()
        if not (found.channels and found.blocks and found.counts is not None):
            found = self._scan(begin, summary or end)
        self._contents = found
        self.connections = [self._connection(number) for number in found.channels]

    def _summary(self, begin: int, end: int) -> Contents:
        found = Contents()
        for _, code, data in self._records(begin, end):
            record = BytesIO(data)
            if code == CHUNK_INDEX:
                start_ns, _, offset, _ = _unpack(record, '<QQQQ')
                entries = _bytes(record)
                channels = frozenset(
                    struct.unpack_from('<H', entries, at)[0]
                    for at in range(0, len(entries) - 9, 10)
                )
                found.blocks.append(Block(start_ns, offset, channels or None))
            elif code == STATISTICS:
                record.seek(42)
                entries = _bytes(record)
                found.counts = Counter(
                    dict(
                        struct.unpack_from('<HQ', entries, at)
                        for at in range(0, len(entries) - 9, 10)
                    )
                )
            else:
                _note(found, code, record)
        return found

    def _scan(self, begin: int, end: int) -> Contents:
        """Everything that the records between two places hold."""
        counts: Counter[int] = Counter()
        found = Contents(counts=counts)
        for offset, code, data in self._records(begin, end):
            if code == DATA_END:
                break
            if code == MESSAGE:
                channel, _, log_ns, _ = _message_head(data)
                counts[channel] += 1
                found.blocks.append(Block(log_ns, offset, frozenset([channel])))
            elif code == CHUNK:
                inside: Counter[int] = Counter()
                starts = []
                for inner, part in _records_of(_unpacked(data)):
                    if inner == MESSAGE:
                        channel, _, log_ns, _ = _message_head(part)
                        inside[channel] += 1
                        starts.append(log_ns)
                    else:
                        _note(found, inner, BytesIO(part))
                counts.update(inside)
                if starts:
                    found.blocks.append(Block(min(starts), offset, frozenset(inside)))
            else:
                _note(found, code, BytesIO(data))
        return found

    def _records(self, begin: int, end: int) -> Iterator[tuple[int, int, bytes]]:
        """Offset, operation code and bytes of the records between two places."""
        offset = begin
        while offset < end:
            self._file.seek(offset)
            code, size = _record_head(self._file, end - offset)
            if code in READ:
                yield offset, code, _record_data(self._file, size)
            offset += RECORD.size + size

    def _messages_of(self, block: Block) -> Iterator[tuple[int, int, bytes | memoryview]]:
        """Channel, time of recording [ns] and bytes of the messages of a block."""
        self._file.seek(block.offset)
        code, data = _read_record(self._file)
        if code not in (CHUNK, MESSAGE):
            raise McapError('its index points to what is no chunk')
        for inner, part in _records_of(_unpacked(data)) if code == CHUNK else [(code, data)]:
            if inner == MESSAGE:
                channel, _, log_ns, _ = _message_head(part)
                yield channel, log_ns, part[MESSAGE_HEAD.size :]

    def _connection(self, number: int) -> Connection:
        schema, topic, encoding = self._contents.channels[number]
        counts = self._contents.counts
        name, written, text = self._contents.schemas.get(schema, ('', '', ''))
        if name.count('/') == 1:  # as ROS 1 names it
            name = name.replace('/', '/msg/')
        definition = MessageDefinition(FORMATS.get(written, MessageDefinitionFormat.NONE), text)
        return Connection(
            number,
            topic,
            name,
            definition,
            '',
            counts[number] if counts else 0,
            ConnectionExtRosbag2(encoding, []),
            self,
        )


def _note(found: Contents, code: int, record: BytesIO) -> None:
    """Keep a record if it is a schema or a channel."""
    if code == SCHEMA:
        (number,) = _unpack(record, '<H')
        found.schemas[number] = (_text(record), _text(record), _text(record))
    elif code == CHANNEL:
        number, schema = _unpack(record, '<HH')
        found.channels[number] = (schema, _text(record), _text(record))


def _read_record(file: BinaryIO) -> tuple[int, bytes]:
    """Operation code and bytes of the record that begins here."""
    code, size = _record_head(file)
    return code, _record_data(file, size)


def _record_data(file: BinaryIO, size: int) -> bytes:
    """Bytes of the record whose head was read."""
    if size > MOST_RECORD:
        raise McapError(f'a record has {size} bytes, expected at most {MOST_RECORD}')
    return file.read(size)


def _record_head(file: BinaryIO, most: int | None = None) -> tuple[int, int]:
    """Operation code and length of the record that begins here; `most` is all there can be."""
    code, size = _unpack(file, RECORD.format)
    place = file.tell()
    most = file.seek(0, 2) - place if most is None else most - RECORD.size
    file.seek(place)
    if size > most:
        raise McapError(
            f'a record at {place - RECORD.size} says that it has {size} bytes, of '
            f'which there are {max(most, 0)}'
        )
    return code, size


def _message_head(record: bytes | memoryview) -> tuple[int, int, int, int]:
    """Channel, number, time of recording and of sending [ns] of a message."""
    if len(record) < MESSAGE_HEAD.size:
        raise McapError('it ends within a record')
    return MESSAGE_HEAD.unpack_from(record)


def _records_of(chunk: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Operation code and bytes of the records in an unpacked chunk."""
    at = 0
    while at < len(chunk):
        if at + RECORD.size > len(chunk):
            raise McapError('a chunk ends within a record')
        code, size = RECORD.unpack_from(chunk, at)
        at += RECORD.size
        if at + size > len(chunk):
            raise McapError('a chunk ends within a record')
        yield code, chunk[at : at + size]
        at += size


def _unpacked(data: bytes) -> memoryview:
    """The records in a chunk, decompressed and compared with their checksum."""
    record = BytesIO(data)  # shares the bytes
    _, _, size, checksum = _unpack(record, CHUNK_HEAD.format)
    compression = _text(record)
    (packed_size,) = _unpack(record, '<Q')
    if size > MOST_RECORD:
        raise McapError(f'a chunk says that it has {size} bytes, expected at most {MOST_RECORD}')
    packed = memoryview(data)[record.tell() : record.tell() + packed_size]
    if compression == 'zstd':
        chunk = zstd.ZstdDecompressor().decompress(packed, max_length=size + 1)
    elif compression == 'lz4':
        chunk = LZ4FrameDecompressor().decompress(packed, max_length=size + 1)
    elif compression == '':
        chunk = packed
    else:
        raise McapError(f'its chunks are compressed by {compression!r}, expected zstd or lz4')
    if len(chunk) != size or (checksum and crc32(chunk) != checksum):
        raise McapError('a chunk is not what its size and checksum say')
    return memoryview(chunk)


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    """Numbers at the current place."""
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise McapError('it ends within a record')
    return struct.unpack(layout, data)


def _bytes(record: BytesIO) -> bytes:
    (size,) = _unpack(record, '<I')
    return record.read(size)


def _text(record: BytesIO) -> str:
    return _bytes(record).decode(errors='replace')
