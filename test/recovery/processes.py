# SPDX-License-Identifier: Apache-2.0
"""Memory and threads of a process, read from Linux."""

from __future__ import annotations

from pathlib import Path


def memory_mb(pid: int) -> float:
    """Memory that a process holds [MB]."""
    return int(_of(pid, 'VmRSS').split()[0]) / 1024


def thread_count(pid: int) -> int:
    """Number of its threads."""
    return int(_of(pid, 'Threads'))


def _of(pid: int, name: str) -> str:
    lines = Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines()
    return next(line.split(':', 1)[1] for line in lines if line.startswith(f'{name}:'))
