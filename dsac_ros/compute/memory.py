# SPDX-License-Identifier: Apache-2.0
"""Memory that is available: of the machine, and of the container or service."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

# file of the limit, file of what is taken, the word in memory.stat for cache that can be dropped
FILES_V2 = 'memory.max', 'memory.current', 'inactive_file'
FILES_V1 = 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'


def available_memory(root: Path = Path('/')) -> float:
    """Bytes that this process may still take, the disk's cache included; inf where nothing tells.

    The least of what the machine has and of what every control group around this process leaves
    (Linux's cgroups, version 1 and 2): in a container /proc/meminfo tells of the host alone.
    """
    left = [_left_in_group(folder, files) for folder, files in _groups(root)]
    return min([_left_of_machine(root), *left])


def _left_of_machine(root: Path) -> float:
    kilobytes = _numbers(root / 'proc/meminfo').get('MemAvailable:')
    return math.inf if kilobytes is None else 1024.0 * kilobytes


def _left_in_group(folder: Path, files: tuple[str, str, str]) -> float:
    limit, taken, cache = files
    try:
        most, used = (float((folder / name).read_text()) for name in (limit, taken))
    except (OSError, ValueError):  # no such group here, or its limit is the word 'max'
        return math.inf
    return max(0.0, most - used + _numbers(folder / 'memory.stat').get(cache, 0.0))


def _groups(root: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the folders of this process's group and of those above it, with their files' names.

    A container often sees its own group as the topmost folder while /proc tells the host's path:
    folders that do not exist are the caller's to skip.
    """
    try:
        lines = (root / 'proc/self/cgroup').read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(':', 2) for line in lines):
        if controllers == '':
            top, files = root / 'sys/fs/cgroup', FILES_V2
        elif 'memory' in controllers.split(','):
            top, files = root / 'sys/fs/cgroup/memory', FILES_V1
        else:
            continue
        own = Path(path.lstrip('/'))
        yield from ((top / folder, files) for folder in (own, *own.parents))


def _numbers(path: Path) -> dict[str, float]:
    """Return the second word of every line of a file by its first; empty where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {words[0]: float(words[1]) for words in map(str.split, lines) if len(words) > 1}
