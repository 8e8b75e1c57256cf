# SPDX-License-Identifier: Apache-2.0
"""What a new map can do on the frames it never saw, and the calibration that follows."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsac_ros.calibration import Calibration
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import Map
from dsac_ros.mapping.calibration import Evidence, fit_calibration, mirrored
from dsac_ros.metrics import evaluate, twist_error
from dsac_ros.types import Frame, Localization, PosedFrame

ENOUGH = 8  # frames below which the held-out block says too little to calibrate on


@dataclass(frozen=True)
class Answer:
    """One localization with the evidence behind it, raw."""

    found: Localization
    spread: float
    covariance: np.ndarray


def measure(candidate: Map, held_out: Sequence[PosedFrame], device: str,
            progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """`held_out` (the numbers of `dsac evaluate`) and `calibration` for the map's header."""
    if len(held_out) < ENOUGH:
        return {'held_out': None, 'calibration': Calibration().as_dict()}
    localizer = Localizer(candidate, device)
    answers, impostors = [], []
    for done, posed in enumerate(held_out, 1):
        answers.append(answer(localizer, posed.frame))
        impostors.append(answer(localizer, mirrored(posed.frame)))
        progress(done / len(held_out))
    references = [posed.world_from_camera for posed in held_out]
    twists = np.array([
        np.full(6, np.inf) if a.found.world_from_camera is None
        else twist_error(a.found.world_from_camera, reference)
        for a, reference in zip(answers, references)])
    fitted = fit_calibration(evidence(answers), twists, evidence(impostors))
    report = evaluate([judged(a, fitted) for a in answers], references, device=device)
    return {'held_out': report.as_dict(), 'calibration': fitted.as_dict()}


def answer(localizer: Localizer, frame: Frame) -> Answer:
    """What the localizer finds, before any calibration."""
    found, _, estimate = localizer.localize_detailed(frame)
    if estimate is None or found.world_from_camera is None:
        return Answer(found, 0.0, np.full((6, 6), np.nan))
    return Answer(found, float(estimate.spread[0]),
                  estimate.covariance[0].cpu().double().numpy())


def evidence(answers: Sequence[Answer]) -> Evidence:
    """The evidence of all answers, as arrays."""
    return Evidence(
        inlier_ratio=np.array([a.found.inlier_ratio for a in answers]),
        inlier_count=np.array([a.found.inlier_count for a in answers]),
        spread=np.array([a.spread for a in answers]),
        agreement=np.array([a.found.hypothesis_agreement for a in answers]),
        covariance=np.stack([a.covariance for a in answers]))


def judged(one: Answer, calibration: Calibration) -> Localization:
    """The localization as the calibrated map would have given it."""
    found = one.found
    if found.world_from_camera is None:
        return found
    shown = (found.inlier_ratio, one.spread, found.hypothesis_agreement)
    result, reason = calibration.verdict(shown[0], found.inlier_count, *shown[1:])
    return replace(found, result=result, reason=reason,
                   covariance=calibration.covariance(one.covariance),
                   confidence=float(calibration.confidence(*shown)))
