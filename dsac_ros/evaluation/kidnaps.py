# SPDX-License-Identifier: Apache-2.0
"""Kidnap simulation: how long after a random start a robot has its pose, and whether it is right.

A start is a frame of the drive, drawn uniformly; from there on the frames follow as they were
taken. Every frame is localized without a prior, so that a wrong one needs no simulation. Times are
differences of the frames' stamps. Where the drive ends first, the time is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Kidnaps:
    """Outcome of N simulated kidnaps.

    Attributes:
        starts: (N,) index of the first frame in the order of time.
        right_s: (N,) time until the first accepted pose that is right [s]; inf for none.
        wrong_s: (N,) time until the first accepted pose that is wrong [s]; inf for none.
    """

    starts: np.ndarray
    right_s: np.ndarray
    wrong_s: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers of the JSON; what is lost counts as infinite in quantiles."""
        found = np.sort(self.right_s)
        count = len(found)
        return {
            'starts': count,
            'relocalized': int(np.isfinite(found).sum()),
            'wrong_first': int((self.wrong_s < self.right_s).sum()),
            'seconds_until_right': {
                name: float(found[min(count - 1, int(share * count))])
                for name, share in (('p50', 0.5), ('p90', 0.9), ('max', 1.0))
            },
            'ever_wrong': int(np.isfinite(self.wrong_s).sum()),
            'seconds_until_wrong': {'least': float(self.wrong_s.min())},
        }


def simulate(
    stamps_ns: np.ndarray, right: np.ndarray, wrong: np.ndarray, count: int, seed: int
) -> Kidnaps:
    """Start at random frames, and wait for accepted poses.

    Args:
        stamps_ns: (F,) of the frames, in any order.
        right: (F,) bool, accepted and right.
        wrong: (F,) bool, accepted and wrong.
        count: number of starts N.
        seed: of the starts.
    """
    order = np.argsort(stamps_ns, kind='stable')
    stamps = np.asarray(stamps_ns, dtype=np.int64)[order]
    starts = np.random.default_rng(seed).integers(0, len(stamps), count)
    return Kidnaps(
        starts,
        seconds_until(stamps, right[order])[starts],
        seconds_until(stamps, wrong[order])[starts],
    )


def seconds_until(stamps_ns: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return the time [s] from each frame (F,) to the first event (F,) at or after it, or inf."""
    index = np.where(event, np.arange(len(event)), len(event))
    following = np.minimum.accumulate(index[::-1])[::-1]
    seconds = np.full(len(event), np.inf)
    found = following < len(event)
    seconds[found] = (stamps_ns[following[found]] - stamps_ns[found]) / 1e9
    return seconds
