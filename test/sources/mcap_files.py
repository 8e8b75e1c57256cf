# SPDX-License-Identifier: Apache-2.0
"""MCAP files written record by record, as recorders in a hurry and converters write them."""

from __future__ import annotations

import struct
import sys
from zlib import crc32

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b'\x89MCAP0\r\n'
COMPRESSORS = {'': bytes, 'zstd': zstd.compress, 'lz4': lz4.frame.compress}


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack('<I', len(data)) + data


def record(code, data):
    return struct.pack('<BQ', code, len(data)) + data


def mcap_bytes(
    messages,
    *,
    chunk=0,
    compression='',
    summary=True,
    chunk_index=True,
    message_index=True,
    statistics=True,
    profile='ros2',
    encoding='cdr',
    extra_channels=(),
):
    """A file of messages (topic, type, stamp, bytes), `chunk` of them in each chunk, 0 for none.

    Types have no definition. extra_channels (topic, type, schema encoding, encoding) are empty.
    """
    types = list(dict.fromkeys((topic, kind) for topic, kind, _, _ in messages))
    names = [(topic, kind, '', encoding) for topic, kind in types] + list(extra_channels)
    heads = b''.join(
        record(3, struct.pack('<H', i + 1) + text(kind) + text(written) + text(b''))
        + record(4, struct.pack('<HH', i, i + 1) + text(topic) + text(how) + text(b''))
        for i, (topic, kind, written, how) in enumerate(names)
    )
    bodies = [
        record(5, struct.pack('<HIQQ', types.index((topic, kind)), 0, ns, ns) + bytes(data))
        for topic, kind, ns, data in messages
    ]
    out = MAGIC + record(1, text(profile) + text('by hand'))
    index = b''
    if not chunk:
        out += heads + b''.join(bodies)
    for first in range(0, len(bodies) if chunk else 0, chunk or 1):
        part = messages[first : first + chunk]
        inside = (b'' if first else heads) + b''.join(bodies[first : first + chunk])
        packed = COMPRESSORS[compression](inside)
        times = [ns for _, _, ns, _ in part]
        offset = len(out)
        out += record(
            6,
            struct.pack('<QQQI', min(times), max(times), len(inside), crc32(inside))
            + text(compression)
            + struct.pack('<Q', len(packed))
            + packed,
        )
        used = {types.index((topic, kind)) for topic, kind, _, _ in part}
        where = b''.join(struct.pack('<HQ', i, len(out)) for i in used) if message_index else b''
        index += record(
            8,
            struct.pack('<QQQQ', min(times), max(times), offset, len(out) - offset)
            + text(where)
            + struct.pack('<Q', 0)
            + text(compression)
            + struct.pack('<QQ', len(packed), len(inside)),
        )
    out += record(15, struct.pack('<I', 0))
    start = len(out) if summary else 0
    if summary:
        counts = b''.join(
            struct.pack('<HQ', i, sum(m[:2] == kind for m in messages))
            for i, kind in enumerate(types)
        )
        times = [ns for _, _, ns, _ in messages]
        out += heads + (index if chunk_index else b'')
        if statistics:
            out += record(
                11,
                struct.pack(
                    '<QHIIIIQQ',
                    len(messages),
                    len(names),
                    len(names),
                    0,
                    0,
                    0,
                    min(times),
                    max(times),
                )
                + text(counts),
            )
    return out + record(2, struct.pack('<QQI', start, 0, 0)) + MAGIC


def stored_messages(bag):
    """The messages (topic, type, stamp, bytes) of a BagFile."""
    return [
        (connection.topic, connection.msgtype, log_ns, bytes(data))
        for connection, log_ns, data in bag._stored(list(bag.topics))
    ]
