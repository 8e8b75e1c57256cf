# SPDX-License-Identifier: Apache-2.0
"""What a new map can do on the frames it never saw, and the calibration that follows."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from dsac_ros import calibration
from dsac_ros.calibration import Calibration, Evidence
from dsac_ros.config import AcceptConfig
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import Map
from dsac_ros.metrics import evaluate, mahalanobis_squared, twist_error
from dsac_ros.types import Frame, Localization, PosedFrame

ENOUGH = 8  # frames below which the held-out block says too little to calibrate on


def measure(candidate: Map, held_out: Sequence[PosedFrame], device: str,
            progress: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
    """`held_out` (the numbers of `dsac evaluate`) and `calibration` for the map's header."""
    if len(held_out) < ENOUGH:
        return {'held_out': None, 'calibration': asdict(Calibration())}
    raw = Localizer(candidate, device, accept=AcceptConfig(0.0, 0, 0.0, 0.0))
    found, chance = [], []
    for done, posed in enumerate(held_out, 1):
        found.append(raw.localize(posed.frame))
        chance.append(raw.localize(mirrored(posed.frame)))
        progress(done / len(held_out))
    fitted = fit_to(found, chance, held_out)
    judge = Calibration.from_header(asdict(fitted), AcceptConfig())
    judged = [rejudged(one, judge) for one in found]
    report = evaluate(judged, [posed.world_from_camera for posed in held_out], device=device)
    return {'held_out': report.as_dict(), 'calibration': asdict(fitted)}


def mirrored(frame: Frame) -> Frame:
    """The frame as a mirror shows it: a place with the same textures that does not exist."""
    return replace(frame, image=np.ascontiguousarray(frame.image[:, ::-1]))


def evidence_of(one: Localization) -> Evidence:
    """What spoke for a localization; how its inliers spread is not kept."""
    return Evidence(one.inlier_ratio, one.inlier_count, 1.0, one.hypothesis_agreement,
                    one.reprojection_error_px)


def fit_to(found: Sequence[Localization], chance: Sequence[Localization],
           held_out: Sequence[PosedFrame]) -> Calibration:
    """The calibration that these answers call for."""
    known = [(one, posed) for one, posed in zip(found, held_out)
             if one.world_from_camera is not None and one.covariance is not None]
    if len(known) < ENOUGH:
        return Calibration()
    scale = Calibration().covariance_scale
    distances = np.array([
        mahalanobis_squared(twist_error(one.world_from_camera, posed.world_from_camera),
                            one.covariance / scale) for one, posed in known])
    return calibration.fit([evidence_of(one) for one, _ in known],
                           [evidence_of(one) for one in chance], distances)


def rejudged(one: Localization, judge: Calibration) -> Localization:
    """The localization as the calibrated map would have given it."""
    if one.world_from_camera is None:
        return one
    evidence = evidence_of(one)
    result, reason = judge.verdict(evidence)
    scale = judge.covariance_scale / Calibration().covariance_scale
    covariance = None if one.covariance is None else one.covariance * scale
    return replace(one, result=result, reason=reason, covariance=covariance,
                   confidence=judge.confidence(evidence))
