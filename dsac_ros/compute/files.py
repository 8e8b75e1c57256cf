# SPDX-License-Identifier: Apache-2.0
"""Files that are whole: the name of a file never shows half of its content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Bytes of a file that is read as a whole: a sparse file of a terabyte costs its maker nothing.
MOST_BYTES = 1 << 30


def read_whole(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read all bytes of a file.

    Raises:
        OSError: the file cannot be read, or has more bytes than `most`.
    """
    with path.open('rb') as file:
        status = os.fstat(file.fileno())
        # a pipe or a device does not say its size
        is_regular = stat.S_ISREG(status.st_mode)
        data = b'' if status.st_size > most else file.read(-1 if is_regular else most + 1)
    found = max(status.st_size, len(data))
    if found > most:
        raise OSError(f'it has {"" if is_regular else "over "}{found} bytes, expected {most}')
    return data


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place when the block has ended.

    What was written is on the disk before that. If the block raises, the temporary file is removed
    and what stood at `path` is unchanged. Raises OSError where it cannot be written.
    """
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        yield partial
        with partial.open('rb+') as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file so that its name never shows half of it."""
    with replacing(path) as partial:
        partial.write_bytes(data if isinstance(data, bytes) else data.encode())
