# SPDX-License-Identifier: Apache-2.0
"""The header that rmw_cyclonedds puts in front of requests and replies.

Inside the CDR stream, after its four bytes of encapsulation: uint64 id of the client's request
writer, int64 sequence number; then the fields of the request or the response.
"""

from __future__ import annotations

import struct

ENCAPSULATION = 4
HEADER = 16
# Identifiers of plain CDR, big and little endian (RTPS 2.3, table 10.3).
PLAIN_CDR = (b'\0\0', b'\0\1')


def wrap(client_id: int, sequence: int, body_cdr: bytes) -> bytes:
    """Put the header in front of little-endian CDR bytes."""
    return (
        body_cdr[:ENCAPSULATION]
        + struct.pack('<Qq', client_id, sequence)
        + body_cdr[ENCAPSULATION:]
    )


def unwrap(cdr: bytes) -> tuple[int, int, bytes]:
    """Take the header off; ValueError where there is none.

    Returns:
        Client id, sequence number and the body as CDR bytes of its own.
    """
    if len(cdr) < ENCAPSULATION + HEADER or cdr[:2] not in PLAIN_CDR:
        raise ValueError(f'{len(cdr)} bytes without the header of rmw_cyclonedds')
    client_id, sequence = struct.unpack_from('<Qq' if cdr[1] else '>Qq', cdr, ENCAPSULATION)
    return client_id, sequence, cdr[:ENCAPSULATION] + cdr[ENCAPSULATION + HEADER :]
