# SPDX-License-Identifier: Apache-2.0
"""Progress of a mapping and the times of its stages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    fraction is of the stage; seconds_left of the whole, NaN if not known yet; loss and valid
    (share of patches with a valid coordinate) only while training.
    """

    stage: str
    fraction: float
    seconds_left: float = math.nan
    loss: float = math.nan
    valid: float = math.nan


ProgressCallback = Callable[[Progress], None]


class Stages:
    """Seconds per stage of the mapping, and their progress passed on."""

    def __init__(self, progress: ProgressCallback) -> None:
        self.progress = progress
        self.starts: list[tuple[str, float]] = [('start', time.monotonic())]

    def stage(self, name: str) -> Callable[[float], None]:
        """Begin a stage; the answer takes its share done."""
        self.starts.append((name, time.monotonic()))
        return lambda share: self.progress(Progress(name, share))

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage begun so far."""
        ends = [*(when for _, when in self.starts[1:]), time.monotonic()]
        return {name: round(end - when, 1) for (name, when), end in zip(self.starts[1:], ends[1:])}

    def total(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.starts[0][1], 1)
