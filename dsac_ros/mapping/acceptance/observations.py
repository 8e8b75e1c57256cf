# SPDX-License-Identifier: Apache-2.0
"""Frames whose poses are known, as a map localized them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsac_ros.types import PoseStatistics


@dataclass(frozen=True)
class Observations:
    """Statistics of the poses of F frames, and their covariances (F, 6, 6) by the refinement."""

    statistics: Sequence[PoseStatistics]
    covariance: np.ndarray

    def __len__(self) -> int:
        return len(self.statistics)

    def column(self, name: str) -> np.ndarray:
        """Return one statistic of all frames (F,)."""
        return np.array([getattr(one, name) for one in self.statistics])


@dataclass(frozen=True)
class PoseErrors:
    """Errors of F poses: twists (F, 6), infinite without one, and covariances (F, 6, 6)."""

    twists: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Localized:
    """Observations of F frames and the errors of their poses, twists (F, 6), inf without one."""

    seen: Observations
    twists: np.ndarray

    def __len__(self) -> int:
        return len(self.seen)

    def where(self, mask: np.ndarray) -> Localized:
        """Return those of a mask (F,) alone."""
        statistics = list(itertools.compress(self.seen.statistics, mask))
        return Localized(Observations(statistics, self.seen.covariance[mask]), self.twists[mask])

    def and_also(self, other: Localized) -> Localized:
        """Return these and the others."""
        return Localized(
            Observations(
                [*self.seen.statistics, *other.seen.statistics],
                np.concatenate([self.seen.covariance, other.seen.covariance]),
            ),
            np.concatenate([self.twists, other.twists]),
        )

    @classmethod
    def nothing(cls) -> Localized:
        """Return those of no frame."""
        return cls(Observations([], np.zeros((0, 6, 6))), np.zeros((0, 6)))
