# SPDX-License-Identifier: Apache-2.0
"""What a map knows of its own errors: when to trust a pose, how sure it is, how far off it is.

Learned on frames held out of the mapping, and on the same frames mirrored: a mirrored room looks
like the room in every texture and is nowhere in it, so what RANSAC finds there is chance.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dsac_ros.config import AcceptConfig
from dsac_ros.types import Result

ONE_SIGMA_RADIUS = 7.0379  # squared Mahalanobis radius that holds 68.27 % of a 6-dof Gaussian
LEAST_INLIERS = 12
CLEAR_OF_CHANCE = 1.5      # how far above chance the acceptance starts
STEEPEST, FLATTEST = 20.0, 2.0


@dataclass(frozen=True)
class Evidence:
    """What speaks for a pose: shares in [0, 1], inlier_count cells, error [px]."""

    inlier_ratio: float
    inlier_count: int
    spread: float
    agreement: float
    reprojection_error_px: float


@dataclass(frozen=True)
class Calibration:
    """Thresholds, confidence and covariance of one map; the defaults serve where a map was too
    small to hold frames out.

    confidence = sigmoid(slope * log(inlier_ratio / middle)).
    """

    min_inlier_ratio: float = 0.08
    min_inliers: int = LEAST_INLIERS
    min_spread: float = 0.08
    min_agreement: float = 0.0
    middle: float = 0.12
    slope: float = 4.0
    covariance_scale: float = 4.0
    measured: bool = field(default=False)

    @classmethod
    def from_header(cls, stored: dict[str, Any] | None, accept: AcceptConfig) -> Calibration:
        """The map's calibration; settings that are not negative stand above it."""
        values = dict(stored or {})
        values |= {name: value for name, value in asdict(accept).items() if value >= 0}
        return cls(**values)

    def covariance(self, raw: np.ndarray) -> np.ndarray | None:
        """The refinement's covariance (6, 6), scaled to the errors seen; None if it is none."""
        if not np.isfinite(raw).all():
            return None
        return self.covariance_scale * (raw + raw.T) / 2

    def confidence(self, evidence: Evidence) -> float:
        """How surely the pose is right, in [0, 1]."""
        if evidence.inlier_ratio <= 0:
            return 0.0
        exponent = self.slope * math.log(evidence.inlier_ratio / self.middle)
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, exponent))))

    def verdict(self, evidence: Evidence) -> tuple[Result, str]:
        """ACCEPTED, or the first condition that fails, with its numbers."""
        ratio, count = evidence.inlier_ratio, evidence.inlier_count
        if ratio < self.min_inlier_ratio or count < self.min_inliers:
            return Result.LOW_INLIERS, (
                f'{count} inliers ({ratio:.1%} of the cells), expected at least '
                f'{self.min_inliers} and {self.min_inlier_ratio:.1%}')
        if evidence.spread < self.min_spread:
            return Result.LOW_SPREAD, (f'the inliers cover {evidence.spread:.1%} of the image, '
                                       f'expected at least {self.min_spread:.1%}')
        if evidence.agreement < self.min_agreement:
            return Result.AMBIGUOUS, (
                f'{evidence.agreement:.0%} of the refined hypotheses agree with the best, '
                f'expected at least {self.min_agreement:.0%}')
        return Result.ACCEPTED, ''


def fit(seen: Sequence[Evidence], chance: Sequence[Evidence],
        mahalanobis_squared: np.ndarray) -> Calibration:
    """Calibrate on held-out frames that were found (`seen`), on what was found where nothing is
    (`chance`), and on the squared Mahalanobis distances (F,) of the errors of `seen`."""
    lucky = max([e.inlier_ratio for e in chance], default=0.0)
    # one frame in twenty may be hard; the middle lies between it and chance, in log ratio
    weak = float(np.quantile([e.inlier_ratio for e in seen], 0.05))
    floor = max(0.02, CLEAR_OF_CHANCE * lucky)
    threshold = min(floor, max(0.9 * weak, 1.05 * lucky, 0.02))
    middle = math.sqrt(max(threshold, 1e-3) * max(weak, threshold))
    gap = math.log(max(weak, 1.1 * middle) / middle)
    finite = mahalanobis_squared[np.isfinite(mahalanobis_squared)]
    scale = float(np.quantile(finite, 0.6827)) / ONE_SIGMA_RADIUS if len(finite) else 4.0
    return Calibration(
        min_inlier_ratio=round(threshold, 4), middle=round(middle, 4),
        slope=round(min(STEEPEST, max(FLATTEST, math.log(99.0) / gap)), 3),
        covariance_scale=round(max(1.0, scale), 4), measured=True)
