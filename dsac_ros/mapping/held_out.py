# SPDX-License-Identifier: Apache-2.0
"""What a new map can do on the frames it never saw, and the calibration that follows."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dsac_ros.calibration import Calibration
from dsac_ros.config import AcceptConfig
from dsac_ros.decision import in_world
from dsac_ros.geometry.altered_frames import blurred, mirrored, zoomed
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import Map
from dsac_ros.mapping.calibration import (
    Errors,
    Evidence,
    fit_calibration,
    is_correct,
    without_held_out,
)
from dsac_ros.metrics import CORRECT_DEG, evaluate, twist_error
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import Localization, PosedFrame

# leaves covariances as the refinement says them, and always asks the features
RAW = Calibration(covariance_scale=1.0, floor_m=0.0, floor_rad=0.0,
                  alone_scale=1.0, alone_floor_m=0.0, alone_floor_rad=0.0,
                  clear_ratio=math.inf).as_dict()
MIRRORED = 24  # learned frames, at most, that a map is shown mirrored: of all the place
CORRECT_DEPTH = 0.1  # of the scene's depth: an error that leaves a pose right, in any unit


def measure(candidate: Map, learned: Sequence[PosedFrame], held_out: Sequence[PosedFrame],
            device: str, progress: Callable[[float], None] = lambda share: None,
            known: Map | None = None) -> dict[str, Any]:
    """`held_out` (the numbers of `dsac evaluate`) and `calibration` for the map's header.

    Mirrored frames of those that the map learned from show what must not be accepted. With no
    frames held out, what was measured of a `known` map that this one goes on from stands.
    """
    if not held_out and known:
        return {name: known.header[name] for name in ('held_out', 'calibration')}
    localizer = Localizer(replace(candidate, header={**candidate.header, 'calibration': RAW}),
                          device, accept=AcceptConfig(max_focal_error=0.0, max_position_sigma=0.0))
    says_something = candidate.pictures or held_out  # without either there is nothing to calibrate
    shown = learned[::math.ceil(len(learned) / MIRRORED)] if says_something else []
    count = len(shown) + len(held_out)
    impostors = []
    for done, posed in enumerate(shown, 1):
        impostors.append(localizer.localize(mirrored(posed.frame)))
        progress(done / count)
    if not held_out:
        return {'held_out': None, 'calibration': without_held_out(
            candidate.network.scale, evidence(impostors)).as_dict()}
    correct_within = CORRECT_DEPTH * candidate.network.scale, CORRECT_DEG
    answers, alone, misled = [], [], []
    for done, posed in enumerate(held_out, len(shown) + 1):
        answer, _, estimate = localizer.localize_detailed(posed.frame)
        answers.append(answer)
        alone.append(of_coordinates(estimate, candidate.origin))
        misled += share_of_wrong(localizer.localize(blurred(zoomed(posed.frame))),
                                 posed.world_from_camera, correct_within)
        progress(done / count)
    references = [posed.world_from_camera for posed in held_out]
    fitted = fit_calibration(
        evidence(answers), twists([a.world_from_camera for a in answers], references),
        evidence(impostors), alone=Errors(twists([pose for pose, _ in alone], references),
                                          np.stack([raw for _, raw in alone])),
        misled=np.array(misled), correct_within=correct_within)
    report = evaluate([judged(a, fitted) for a in answers], references, device=device)
    return {'held_out': report.as_dict(), 'calibration': fitted.as_dict()}


def share_of_wrong(found: Localization, reference: np.ndarray,
                   correct_within: tuple[float, float]) -> list[float]:
    """Return the share of landmarks that a wrong pose shows where they alone decide, else nothing.

    correct_within: metres and degrees of a right pose.
    """
    usual = Calibration()
    if usual.agreeing(found.feature_matches) or not usual.convincing(found.landmark_share):
        return []
    right = is_correct(twists([found.world_from_camera], [reference]), correct_within)[0]
    return [] if right else [found.landmark_share]


def of_coordinates(estimate: PoseEstimate | None, origin: np.ndarray,
                   ) -> tuple[np.ndarray | None, np.ndarray]:
    """The pose that RANSAC found before any landmark was looked for, and its covariance (6, 6)."""
    if estimate is None or not bool(estimate.found[0]):
        return None, np.full((6, 6), np.nan)
    return in_world(estimate.world_from_camera[0], estimate.covariance[0], origin)


def twists(poses: Sequence[np.ndarray | None], references: Sequence[np.ndarray]) -> np.ndarray:
    """Errors (F, 6) of poses, infinite where there is none."""
    return np.array([np.full(6, np.inf) if pose is None else twist_error(pose, reference)
                     for pose, reference in zip(poses, references)])


def evidence(answers: Sequence[Localization]) -> Evidence:
    """The evidence behind all answers, as arrays."""
    nothing = np.full((6, 6), np.nan)
    return Evidence(
        inlier_ratio=np.array([a.inlier_ratio for a in answers]),
        inlier_count=np.array([a.inlier_count for a in answers]),
        spread=np.array([a.inlier_spread for a in answers]),
        agreement=np.array([a.hypothesis_agreement for a in answers]),
        share=np.array([a.landmark_share for a in answers]),
        matches=np.array([a.feature_matches for a in answers]),
        covariance=np.array([nothing if a.covariance is None else a.covariance for a in answers]))


def judged(found: Localization, calibration: Calibration) -> Localization:
    """The localization as the calibrated map would have given it."""
    if found.world_from_camera is None:
        return found
    shown = (found.inlier_spread, found.hypothesis_agreement, found.landmark_share,
             found.feature_matches)
    result, reason = calibration.verdict(found.inlier_ratio, found.inlier_count, *shown)
    covariance = None if found.covariance is None else calibration.covariance(
        found.covariance, found.landmark_share, found.feature_matches)
    return replace(found, result=result, reason=reason, covariance=covariance,
                   confidence=float(calibration.confidence(found.inlier_ratio, *shown)))
