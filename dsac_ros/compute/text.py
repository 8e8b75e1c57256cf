# SPDX-License-Identifier: Apache-2.0
"""Text of files in messages."""

from __future__ import annotations

QUOTED = 60  # characters of a line that a message quotes


def quoted(line: str) -> str:
    """Return the beginning of a line, for a message."""
    line = ' '.join(line.split())
    return repr(line if len(line) <= QUOTED else f'{line[:QUOTED]}...')
