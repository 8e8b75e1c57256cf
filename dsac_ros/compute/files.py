# SPDX-License-Identifier: Apache-2.0
"""Files that are whole: the name of a file never shows half of its content."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Bytes of a file that is read as a whole: a sparse file of a terabyte costs its maker nothing.
MOST_BYTES = 1 << 30
LEFT_OVER_S = 600.0  # since a temporary file was written to, after which nobody needs it


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


def remove_left_over(path: Path) -> None:
    """Remove temporary files of `replacing` that killed processes left beside `path`.

    Each has the number of its process, which may be one of another machine: those that were
    written to of late stay.
    """
    pattern = re.compile(rf'\.{re.escape(path.name)}\.(\d+)\.partial')
    for file in path.parent.iterdir():
        found = pattern.fullmatch(file.name)
        if found and not _is_running(int(found[1])):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > LEFT_OVER_S:
                    file.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file so that its name never shows half of it."""
    with replacing(path) as partial:
        partial.write_bytes(data if isinstance(data, bytes) else data.encode())
