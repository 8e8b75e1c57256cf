# SPDX-License-Identifier: Apache-2.0
"""Metrics of a run of localizations: never aligned, every frame counted, refusals too.

What counts how (`evaluate`):

- a frame without any estimate has an infinite error; it stands in the medians and fails every
  recall;
- a refused estimate (`Localization.accepted` is False) stands in the medians with its error, as
  the field reports them, but fails every recall: the robot would not have used it;
- the median is the element `n // 2` of the sorted errors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsac_ros.types import Localization, Result

#: (metres, degrees) of the recall table.
RECALL_LIMITS = ((0.02, 2.0), (0.05, 5.0), (0.10, 5.0), (0.25, 2.0), (0.50, 5.0))
#: An accepted pose further off than this is a false accept.
FALSE_ACCEPT_M, FALSE_ACCEPT_DEG = 0.5, 15.0
#: A pose within this is right: `Localization.confidence` is the probability of that.
CORRECT_M, CORRECT_DEG = 0.25, 5.0
#: Bounds of the bins that `confidence` is compared with the errors in.
CONFIDENCE_BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 1.0)
#: Squared Mahalanobis radius holding 68.27, 95.45, 99.73 % of a 6-dof Gaussian (chi-square).
SIGMA_RADII = {'1sigma': 7.0379, '2sigma': 12.8489, '3sigma': 20.0621}


def twist_error(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The perturbation that takes `estimate` to `reference`, in world axes (ROS order).

    Two (4, 4) world_from_camera -> (6,) = camera position [m], rotation vector [rad]: the
    quantity whose covariance is `Localization.covariance`.
    """
    rotation = reference[:3, :3] @ estimate[:3, :3].T
    return np.concatenate([reference[:3, 3] - estimate[:3, 3], _rotation_vector(rotation)])


def _rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Axis times angle of a (3, 3) rotation; near pi the axis comes from the symmetric part."""
    skew = (
        np.array(
            [
                rotation[2, 1] - rotation[1, 2],
                rotation[0, 2] - rotation[2, 0],
                rotation[1, 0] - rotation[0, 1],
            ]
        )
        / 2
    )
    sine, cosine = float(np.linalg.norm(skew)), (np.trace(rotation) - 1) / 2
    angle = math.atan2(sine, cosine)
    if sine > 1e-6:
        return skew * (angle / sine)
    if cosine > 0:
        return skew
    values, vectors = np.linalg.eigh((rotation + rotation.T) / 2)
    return vectors[:, int(np.argmax(values))] * angle


def mahalanobis_squared(twist: np.ndarray, covariance: np.ndarray) -> float:
    """Squared distance of an error (D,) under a covariance (D, D); inf if that is not one.

    Of an estimate it is the NEES, the normalized estimation error squared (Bar-Shalom, Li and
    Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, section 5.4).
    """
    try:
        factor = np.linalg.cholesky(covariance)
        distance = float(np.sum(np.linalg.solve(factor, twist) ** 2))
    except np.linalg.LinAlgError:
        return math.inf
    return distance if math.isfinite(distance) else math.inf


def field_median(values: np.ndarray) -> float:
    """Element `n // 2` of the sorted values; NaN of none."""
    return float(np.sort(values)[len(values) // 2]) if len(values) else math.nan


def roc_auc(scores: np.ndarray, correct: np.ndarray) -> float:
    """Probability that a correct frame has the higher score; NaN when all are of one kind."""
    good, bad = scores[correct], scores[~correct]
    if not len(good) or not len(bad):
        return math.nan
    bad = np.sort(bad)
    # A wrong frame of the same score counts half, as one of both sides does.
    lower = sum(np.searchsorted(bad, good, side).mean() for side in ('left', 'right')) / 2
    return float(lower / len(bad))


@dataclass(frozen=True)
class Reliability:
    """Comparison of confidences with how many poses are right.

    Attributes:
        brier: mean squared difference of a confidence from 1 (right) or 0; NaN of none.
        auc: probability that a right pose has the higher confidence; NaN if all are of one kind.
        bins: for each of CONFIDENCE_BINS that is not empty its lower bound, the number of frames,
            their mean confidence and the share that is right.
    """

    brier: float
    auc: float
    bins: tuple[tuple[float, int, float, float], ...]

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray) -> Reliability:
        """Compare confidences (F,) in [0, 1] with which poses are right (F,) bool."""
        index = np.digitize(confidence, CONFIDENCE_BINS[1:-1])
        bins = tuple(
            (low, int(held.sum()), float(confidence[held].mean()), float(right[held].mean()))
            for low, held in ((low, index == k) for k, low in enumerate(CONFIDENCE_BINS[:-1]))
            if held.any()
        )
        brier = float(np.mean((confidence - right) ** 2)) if len(right) else math.nan
        return cls(brier, roc_auc(confidence, right), bins)

    def as_dict(self) -> dict[str, Any]:
        """Return the object of `dsac evaluate --json`."""
        names = ('from', 'frames', 'predicted', 'observed')
        return {'brier': self.brier, 'bins': [dict(zip(names, row)) for row in self.bins]}


def recall_key(limit_m: float, limit_deg: float) -> str:
    """Name of a recall in the JSON: '0.05m_5deg'."""
    metres = f'{limit_m:.2f}' if round(limit_m, 2) == limit_m else f'{limit_m:g}'
    return f'{metres}m_{limit_deg:g}deg'


@dataclass(frozen=True)
class Limits:
    """Limits that poses are judged by.

    Attributes:
        recall: name in the JSON -> metres and degrees.
        false_accept: metres and degrees; an accepted pose beyond one of them is a false accept.
        depth: median depth of the scene [m], of which limits may be shares; NaN if unknown.
    """

    recall: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {recall_key(*limit): limit for limit in RECALL_LIMITS}
    )
    false_accept: tuple[float, float] = (FALSE_ACCEPT_M, FALSE_ACCEPT_DEG)
    depth: float = math.nan


@dataclass(frozen=True)
class Report:
    """Errors of every frame, in order, and what they amount to.

    translation_m, rotation_deg (F,) with inf where there is no estimate; accepted (F,) bool;
    mahalanobis (F,) squared, of the pose, and position_mahalanobis (F,) of its position alone, NaN
    without a covariance; sigma_m (F,) predicted error of the position, sqrt(trace) of its
    covariance; confidence (F,); latency_ms: stage -> milliseconds of the frames that reached it.
    """

    names: tuple[str, ...]
    translation_m: np.ndarray
    rotation_deg: np.ndarray
    accepted: np.ndarray
    mahalanobis: np.ndarray
    position_mahalanobis: np.ndarray
    sigma_m: np.ndarray
    confidence: np.ndarray
    latency_ms: dict[str, np.ndarray]
    results: tuple[Result, ...]
    map_bytes: int = 0
    device: str = ''
    extra: dict[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def within(self, limit_m: float, limit_deg: float) -> np.ndarray:
        """(F,) bool: error below both limits, accepted or not."""
        return (self.translation_m < limit_m) & (self.rotation_deg < limit_deg)

    def recall(self, limit_m: float, limit_deg: float) -> float:
        """Share of ALL frames that were accepted and are within the limits."""
        if not len(self.accepted):
            return 0.0
        return float((self.within(limit_m, limit_deg) & self.accepted).mean())

    def false_accepts(self) -> np.ndarray:
        """(F,) bool: accepted, and further off than the limits of a false accept."""
        limit_m, limit_deg = self.limits.false_accept
        return self.accepted & ~(
            (self.translation_m <= limit_m) & (self.rotation_deg <= limit_deg)
        )

    def coverage(self) -> dict[str, float]:
        """Share of accepted frames whose error lies inside the predicted 1, 2, 3 sigma."""
        distances = self.mahalanobis[self.accepted & ~np.isnan(self.mahalanobis)]
        return {
            name: float((distances <= radius).mean()) if len(distances) else math.nan
            for name, radius in SIGMA_RADII.items()
        }

    def reliability(self) -> Reliability:
        """Compare the confidence of every frame, refused ones too, with its error."""
        return Reliability.of(self.confidence, self.within(CORRECT_M, CORRECT_DEG))

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `dsac evaluate --json`; what is infinite or undefined is None."""
        chosen = self.accepted
        values = {
            'frames': len(self.names),
            'accepted': int(chosen.sum()),
            'estimated': int(np.isfinite(self.translation_m).sum()),
            'median_translation_m': field_median(self.translation_m),
            'median_rotation_deg': field_median(self.rotation_deg),
            'median_translation_accepted_m': field_median(self.translation_m[chosen]),
            'median_rotation_accepted_deg': field_median(self.rotation_deg[chosen]),
            'recall': {name: self.recall(*limit) for name, limit in self.limits.recall.items()},
            'false_accepts': int(self.false_accepts().sum()),
            'coverage': self.coverage(),
            'confidence_auc': self.reliability().auc,
            'confidence': self.reliability().as_dict(),
            'results': dict(sorted(Counter(r.name for r in self.results).items())),
            'latency_ms': {stage: percentiles(times) for stage, times in self.latency_ms.items()},
            'map_bytes': self.map_bytes,
            'device': self.device,
            **self.extra,
        }
        return dict(json_ready(values))


def percentiles(times_ms: np.ndarray) -> dict[str, float]:
    """The 50th, 95th and 99th percentile of durations."""
    if not len(times_ms):
        return dict.fromkeys(('p50', 'p95', 'p99'), math.nan)
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99))
    return {'p50': float(p50), 'p95': float(p95), 'p99': float(p99)}


def json_ready(value: Any) -> Any:
    """`value` with numbers rounded to 6 digits after the point and None for inf and NaN."""
    if isinstance(value, dict):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def evaluate(
    localizations: Sequence[Localization],
    references: Sequence[np.ndarray],
    map_bytes: int = 0,
    device: str = '',
    extra: dict[str, Any] | None = None,
    limits: Limits = Limits(),
) -> Report:
    """Compare each localization with its reference world_from_camera (4, 4), in order."""
    if len(localizations) != len(references):
        raise ValueError(f'{len(localizations)} localizations for {len(references)} references')
    twists = np.full((len(references), 6), np.inf)
    distances, near, sigma = np.full((3, len(references)), np.nan)
    for row, (found, reference) in enumerate(zip(localizations, references)):
        if found.world_from_camera is None or not np.isfinite(found.world_from_camera).all():
            continue
        twists[row] = twist_error(found.world_from_camera, reference)
        if found.covariance is not None:
            position = found.covariance[:3, :3]
            distances[row] = mahalanobis_squared(twists[row], found.covariance)
            near[row] = mahalanobis_squared(twists[row, :3], position)
            sigma[row] = math.sqrt(max(0.0, float(np.trace(position))))
    stages = dict.fromkeys(stage for found in localizations for stage in found.timings_ms)
    latency = {
        stage: np.array(
            [found.timings_ms[stage] for found in localizations if stage in found.timings_ms]
        )
        for stage in stages
    }
    if latency and 'total' not in latency:
        latency['total'] = np.array([sum(found.timings_ms.values()) for found in localizations])
    return Report(
        names=tuple(found.name or str(found.stamp_ns) for found in localizations),
        translation_m=np.linalg.norm(twists[:, :3], axis=1),
        rotation_deg=np.degrees(np.linalg.norm(twists[:, 3:], axis=1)),
        accepted=np.array([found.accepted for found in localizations], dtype=bool),
        mahalanobis=distances,
        position_mahalanobis=near,
        sigma_m=sigma,
        confidence=np.array([found.confidence for found in localizations], dtype=float),
        latency_ms=latency,
        results=tuple(found.result for found in localizations),
        map_bytes=map_bytes,
        device=device,
        extra=extra or {},
        limits=limits,
    )
