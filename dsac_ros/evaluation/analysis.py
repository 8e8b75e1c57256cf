# SPDX-License-Identifier: Apache-2.0
"""Everything that an evaluation tells, as the JSON object of `dsac evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsac_ros.evaluation.consistency import consistency
from dsac_ros.evaluation.extrapolation import by_distance, distances
from dsac_ros.evaluation.kidnaps import Kidnaps, simulate
from dsac_ros.evaluation.places import ErrorGrid, error_grid
from dsac_ros.evaluation.worst import worst_frames
from dsac_ros.metrics import Report, json_ready, roc_auc
from dsac_ros.types import Localization

#: Keys of the JSON object that tell about the run and not about the poses: never the same twice.
OF_THE_RUN = ('latency_ms', 'machine')


@dataclass(frozen=True)
class KidnapOptions:
    """Number of simulated kidnaps, 0 for none, and the seed of their starts."""

    count: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Analysis:
    """An evaluation: answers, true poses, errors, and what they amount to.

    Attributes:
        localizations: of F frames.
        references: true world_from_camera (F, 4, 4).
        report: errors.
        mapping: world_from_camera (K, 4, 4) of mapping frames; K is 0 if unknown.
        distance: (F,) to the nearest mapping frame [m]; None if unknown.
        grid: errors by place.
        kidnaps: the simulation; None if not wanted.
    """

    localizations: Sequence[Localization]
    references: np.ndarray
    report: Report
    mapping: np.ndarray
    distance: np.ndarray | None
    grid: ErrorGrid
    kidnaps: Kidnaps | None = None

    @classmethod
    def of(
        cls,
        localizations: Sequence[Localization],
        references: Sequence[np.ndarray],
        report: Report,
        mapping: np.ndarray | None = None,
        kidnap: KidnapOptions = KidnapOptions(),
    ) -> Analysis:
        """Analyse the answers to frames, at least one, whose true poses are known."""
        truth = np.array(references, dtype=float).reshape(-1, 4, 4)
        known = np.zeros((0, 4, 4)) if mapping is None else np.asarray(mapping)
        wrong = report.false_accepts()
        return cls(
            localizations,
            truth,
            report,
            known,
            distances(list(truth), list(known)) if len(known) else None,
            error_grid(truth, report),
            simulate(
                np.array([found.stamp_ns for found in localizations], dtype=np.int64),
                report.accepted & ~wrong,
                wrong,
                kidnap.count,
                kidnap.seed,
            )
            if kidnap.count
            else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object; what is infinite or undefined is None."""
        values: dict[str, Any] = {
            **self.report.as_dict(),
            'scene_depth_m': self.report.limits.depth,
            'false_accept_limits': dict(
                zip(('metres', 'degrees'), self.report.limits.false_accept)
            ),
            'accepted_errors': accepted_errors(self.report),
            'auc_within': auc_within(self.report),
            'consistency': consistency(self.report),
            'places': self.grid.as_dict(),
            'worst': worst_frames(self.localizations, self.report, self.distance),
        }
        if self.distance is not None:
            values['mapping_distance'] = by_distance(self.distance, self.report)
        if self.kidnaps is not None:
            values['kidnap'] = self.kidnaps.as_dict()
        ready: dict[str, Any] = json_ready(values)
        return ready


def accepted_errors(report: Report) -> dict[str, dict[str, float]]:
    """Return mean and 90th percentile of the errors of accepted poses; NaN of none."""
    chosen = report.accepted
    return {
        name: {
            'mean': float(errors[chosen].mean()) if chosen.any() else np.nan,
            'p90': float(np.percentile(errors[chosen], 90)) if chosen.any() else np.nan,
        }
        for name, errors in (
            ('translation_m', report.translation_m),
            ('rotation_deg', report.rotation_deg),
        )
    }


def auc_within(report: Report) -> dict[str, float]:
    """Return for each recall the AUC of the confidence as a predictor of it.

    Of every frame, refused ones too: the probability that a pose within the limits has the higher
    confidence; NaN where all are within them, or none.
    """
    return {
        name: roc_auc(report.confidence, report.within(*limit))
        for name, limit in report.limits.recall.items()
    }
