# SPDX-License-Identifier: Apache-2.0
"""A training goes on until its schedule ends; an interruption costs it nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from dsac_ros.errors import MappingError
from dsac_ros.mapping.losses.curriculum import LossTerms
from dsac_ros.mapping.optim.checkpoint import TrainingState
from dsac_ros.mapping.optim.progress import Progress, ProgressCallback
from dsac_ros.mapping.optim.schedule import Schedule

LOOK = 10  # steps between two looks at the terms, which make a GPU wait


def train(
    state: TrainingState,
    schedule: Schedule,
    step: Callable[[float], LossTerms],
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Take steps from where the training stands; returns what the map's header says of it.

    step takes the schedule's progress in [0, 1). Raises MappingError where it ends in NaN.
    """
    terms = None
    try:
        while (done := schedule.at(state.step)) < 1.0:
            terms = step(done)
            state.step += 1
            if state.step % LOOK == 0:
                schedule.observe(terms.near.item(), state.step)
                progress(progress_of(schedule, terms))
            if state.due:
                state.save(summary(state.step, schedule, terms))
    except KeyboardInterrupt:
        state.save(summary(state.step, schedule, terms))
        raise
    if terms and not torch.isfinite(terms.total):
        raise MappingError(
            'the training diverged; check that poses are camera-to-world in the '
            'optical frame (x right, y down, z forward) and intrinsics in pixels'
        )
    state.save(summary(state.step, schedule, terms))  # for Ctrl-C while the map is measured
    return state.metadata


def summary(step: int, schedule: Schedule, terms: LossTerms | None) -> dict[str, Any]:
    """Summarise the training so far for the map's header; empty before its first step."""
    if terms is None:
        return {}
    return {
        'steps': step,
        'seconds': round(schedule.seconds(), 1),
        'valid': round(terms.valid.item(), 4),
        'near': round(terms.near.item(), 4),
        'stopped_early': schedule.cooling is not None,
    }


def progress_of(schedule: Schedule, terms: LossTerms) -> Progress:
    """The progress to show: time left from the pace so far."""
    done = schedule.progress
    left = schedule.seconds() * (1 - done) / done if done > 0.01 else math.nan
    return Progress('training', done, left, terms.total.item(), terms.valid.item())
