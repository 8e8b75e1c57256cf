# SPDX-License-Identifier: Apache-2.0
"""The header that rmw_cyclonedds puts in front of requests and replies.

Inside the CDR stream, after its four bytes of encapsulation: uint64 id of the client's request
writer, int64 sequence number; then the fields of the request or the response.
"""
from __future__ import annotations

import struct

ENCAPSULATION = 4
HEADER = 16


def wrap(client_id: int, sequence: int, body_cdr: bytes) -> bytes:
    """Put the header in front of little-endian CDR bytes."""
    return (body_cdr[:ENCAPSULATION] + struct.pack('<Qq', client_id, sequence)
            + body_cdr[ENCAPSULATION:])


def unwrap(cdr: bytes) -> tuple[int, int, bytes]:
    """Client id, sequence number and the body as CDR bytes of its own."""
    little_endian = cdr[1] & 1
    client_id, sequence = struct.unpack_from('<Qq' if little_endian else '>Qq', cdr,
                                             ENCAPSULATION)
    return client_id, sequence, cdr[:ENCAPSULATION] + cdr[ENCAPSULATION + HEADER:]
