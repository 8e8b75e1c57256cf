# SPDX-License-Identifier: Apache-2.0
"""Timing of the stages of an algorithm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Milliseconds per stage; synchronizes the device so that each stage includes its own work."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self._start = self.last = time.perf_counter()
        self._inner: tuple[float, ...] = ()  # time of the nested stages of each open stage

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; the time of a nested stage is not counted for the outer one."""
        self._wait()
        start, self._inner = time.perf_counter(), (*self._inner, 0.0)
        try:
            yield
        finally:
            self._wait()
            elapsed = time.perf_counter() - start
            *outer, inner = self._inner
            self.laps[name] = self.laps.get(name, 0.0) + (elapsed - inner) * 1e3
            self._inner = (*outer[:-1], outer[-1] + elapsed) if outer else ()

    def elapsed_ms(self) -> float:
        """Return the total time since construction."""
        return (time.perf_counter() - self._start) * 1e3

    def lap(self, stage: str) -> None:
        """End a stage; a repeated stage adds to its time."""
        self._wait()
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + (now - self.last) * 1e3
        self.last = now

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
