# SPDX-License-Identifier: Apache-2.0
"""Frames whose poses are known, as a map localized them."""

from __future__ import annotations

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
