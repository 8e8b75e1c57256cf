# SPDX-License-Identifier: Apache-2.0
"""When to trust the pose of a system whose evidence is one number.

Fitted by `systems.calibration` on frames that the map has not learned from.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from dsac_ros.acceptance import widened
from dsac_ros.confidence import probability_within
from dsac_ros.decision import position_verdict, refused
from dsac_ros.metrics import CORRECT_DEG, CORRECT_M
from dsac_ros.types import Localization, Result

#: Evidence is positive; less than this is none.
LEAST_EVIDENCE = 1e-6


@dataclass(frozen=True)
class EvidenceModel:
    """Threshold on the evidence, covariance and probability of a right pose.

    accepts: False for a map that accepts nothing, since too few of its held-out frames were right.
    held_out, right: number of held-out frames, and of those that were right. covariance =
    covariance_scale * (that of the refinement) + diag(floor_m^2, floor_rad^2). The logarithm of
    the odds that a pose is right is logit_offset + logit_slope * log(evidence).
    """

    threshold: float = 0.0
    accepts: bool = False
    held_out: int = 0
    right: int = 0
    covariance_scale: float = 1.0
    floor_m: float = 0.0
    floor_rad: float = 0.0
    logit_offset: float = 0.0
    logit_slope: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> EvidenceModel:
        """Invert `as_dict`; names that this version does not know are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in (values or {}).items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the map's header."""
        return asdict(self)

    def covariance(self, raw: np.ndarray | None) -> np.ndarray:
        """Return the covariance (6, 6) [m, rad] of real errors, from that of the refinement."""
        usable = raw is not None and bool(np.isfinite(raw).all())
        shape = raw if raw is not None and usable else np.zeros((6, 6))
        return widened(shape, self.covariance_scale, self.floor_m, self.floor_rad)

    def probability_right(self, evidence: float) -> float:
        """Return the probability that a pose with this evidence is right."""
        logit = self.logit_offset + self.logit_slope * math.log(max(evidence, LEAST_EVIDENCE))
        return 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))


def judge(
    found: Localization,
    evidence: float,
    model: EvidenceModel,
    evidence_name: str,
    *,
    max_sigma_m: float = 0.0,
) -> Localization:
    """Accept a localization with a pose, or refuse it with a reason.

    Args:
        found: its covariance is that of the refinement, or None; its result is that of a refusal.
        evidence: number that the model judges.
        model: of the map.
        evidence_name: the evidence in words.
        max_sigma_m: largest standard deviation of the position; 0: not tested.
    """
    pose = found.world_from_camera
    assert pose is not None
    covariance = model.covariance(found.covariance)
    within = probability_within(covariance, CORRECT_M, math.radians(CORRECT_DEG))
    found = replace(
        found,
        covariance=covariance,
        refinement_covariance=found.covariance,
        confidence=model.probability_right(evidence) * within,
    )
    if not model.accepts:
        return refused(found, found.result, nothing_accepted(model))
    if evidence < model.threshold:
        reason = (
            f'{in_digits(evidence)} {evidence_name}, '
            f'expected at least {in_digits(model.threshold)}'
        )
        return refused(found, found.result, reason)
    result, reason = position_verdict(pose, covariance, max_sigma_m)
    if result is not Result.ACCEPTED:
        return refused(found, result, reason)
    return replace(found, result=Result.ACCEPTED, reason='')


def in_digits(value: float) -> str:
    """Write a number with three digits, a large one in full."""
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


def nothing_accepted(model: EvidenceModel) -> str:
    """Return why a map accepts nothing."""
    if not model.held_out:
        return (
            'this map was learned from too few frames to hold any out, so nobody knows when it is '
            'right: it accepts nothing; record more of the place'
        )
    return (
        f'{model.right} of {model.held_out} held-out frames were right in this map, and nothing '
        'tells those from the others: it accepts nothing'
    )
