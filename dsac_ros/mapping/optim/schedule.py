# SPDX-License-Identifier: Apache-2.0
"""Schedule of a training from its start (0) to its end (1), and the learning rate there."""

from __future__ import annotations

import math
import time
from typing import Any

from dsac_ros.config import MappingConfig

WARM_UP = 0.04  # share of the schedule in which the learning rate rises
COOL_DOWN = 0.15  # share of the steps that an early stop still takes
STEADY_STEPS = 100  # steps over which the early-stop criterion must hold


class Schedule:
    """Progress of the training in [0, 1], by steps or by time, whichever is further.

    When the early stop fires, what is left is driven to 1 within the cool-down's steps. The first
    step prepares kernels as well: its time says nothing of the pace, and would make the same
    settings learn another map each time.
    """

    def __init__(self, config: MappingConfig) -> None:
        self.config = config
        self.start = time.monotonic()
        self.first_step_s = 0.0
        self.progress = 0.0
        self.cooling: tuple[float, int] | None = None
        self.steady_since = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {
            'seconds': self.seconds(),
            'first_step_s': self.first_step_s,
            'progress': self.progress,
            'cooling': self.cooling,
            'steady_since': self.steady_since,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where an interrupted training stood."""
        self.start = time.monotonic() - state['seconds']
        self.first_step_s = state['first_step_s']
        self.progress, self.cooling = state['progress'], state['cooling']
        self.steady_since = state['steady_since']

    def seconds(self) -> float:
        """Training time so far, earlier runs of a resumed training included."""
        return time.monotonic() - self.start

    def at(self, step: int) -> float:
        """Progress when `step` steps are done."""
        if step <= 1:
            self.first_step_s = self.seconds()
        by_time = (self.seconds() - self.first_step_s) / (60.0 * self.config.minutes)
        progress = max(self.progress, step / self.config.steps, by_time)
        if self.cooling:
            began, first = self.cooling
            share = (step - first) / (COOL_DOWN * self.config.steps)
            progress = max(progress, began + (1.0 - began) * share)
        self.progress = min(1.0, progress)
        return self.progress

    def observe(self, near: float, step: int) -> None:
        """Start to cool down when enough patches have long been near enough (ACE0, 3.3)."""
        if near < self.config.early_stop:
            self.steady_since = step
        elif step - self.steady_since >= STEADY_STEPS and not self.cooling:
            self.cooling = (self.progress, step)


def learning_rate(progress: float, peak: float) -> float:
    """One cycle: up from peak/25 by a cosine, down to nothing by another."""
    if progress < WARM_UP:
        return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * progress / WARM_UP)) / 2)
    share = (progress - WARM_UP) / (1 - WARM_UP)
    return peak * (1e-4 + (1 + math.cos(math.pi * share)) / 2)
