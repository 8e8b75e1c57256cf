# SPDX-License-Identifier: Apache-2.0
"""Files that are whole: the name of a file never shows half of its content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
