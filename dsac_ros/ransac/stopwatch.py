# SPDX-License-Identifier: Apache-2.0
"""How long each stage takes."""
from __future__ import annotations

import time

import torch


class Stopwatch:
    """Milliseconds per stage; waits for the device so that each stage pays for its own work."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage; one that comes again adds to its time."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + (now - self.last) * 1e3
        self.last = now
