# SPDX-License-Identifier: Apache-2.0
"""Parts that several tables share: the frames, the recalls in a line, the memory."""

from __future__ import annotations

import argparse
import resource
import sys
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import share
from dsac_ros.cli.progress import counted
from dsac_ros.cli.source_options import open_named_source

if TYPE_CHECKING:
    from dsac_ros.types import PosedFrame

LIMITS = ('0.02m_2deg', '0.05m_5deg', '0.10m_5deg')

# what a table measures: for programs, and in lines for people
Table = tuple[dict[str, Any], list[str]]


def posed_frames(args: argparse.Namespace, what: str) -> list[PosedFrame]:
    """All frames of SOURCE that have a pose."""
    source = open_named_source(args)
    return list(counted(source.posed_frames(), len(source), what, args.progress))


def recalls(report: dict[str, Any]) -> str:
    """The shares within LIMITS of an evaluation, for people."""
    return ', '.join(f'{limit} {share(report["recall"][limit])}' for limit in LIMITS)


def peak_memory_mb() -> int:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == 'darwin' else 1e3))
