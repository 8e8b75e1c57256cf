# SPDX-License-Identifier: Apache-2.0
"""Leftovers of Fast DDS in shared memory, when tests end its processes."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path('/dev/shm')
# Beside a file in use lies one of these, which its owner has locked.
LOCKS = ('_el', '_sl')


@contextlib.contextmanager
def left_as_it_was(folder: Path = FOLDER) -> Iterator[None]:
    """Remove what comes into a folder of shared memory meanwhile and that no process uses."""
    before = set(_files(folder))
    try:
        yield
    finally:
        for name in {_of_whom(path.name) for path in set(_files(folder)) - before}:
            if not any(_is_locked(folder / f'{name}{lock}') for lock in LOCKS):
                for leftover in (name, *(f'{name}{lock}' for lock in LOCKS), f'sem.{name}_mutex'):
                    (folder / leftover).unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return [*folder.glob('fastrtps_*'), *folder.glob('sem.fastrtps_*')]


def _of_whom(name: str) -> str:
    """Return the name of the port or segment that a file belongs to."""
    name = name.removeprefix('sem.').removesuffix('_mutex')
    for lock in LOCKS:
        name = name.removesuffix(lock)
    return name


def _is_locked(path: Path) -> bool:
    try:
        with path.open('rb') as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
