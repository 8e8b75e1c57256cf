# SPDX-License-Identifier: Apache-2.0
"""Validation of a new map on held-out frames, and the acceptance model that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.config import AcceptConfig
from dsac_ros.decision import in_world, judged
from dsac_ros.geometry.altered_frames import blurred, mirrored, zoomed
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import Map
from dsac_ros.mapping.acceptance.coordinate_thresholds import coordinate_thresholds
from dsac_ros.mapping.acceptance.fit import (
    fit_acceptance,
    is_correct,
    nothing_ratio,
    without_held_out,
)
from dsac_ros.mapping.acceptance.observations import Observations, PoseErrors
from dsac_ros.metrics import CORRECT_DEG, evaluate, twist_error
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import Localization, PosedFrame

# Leaves covariances as the refinement gives them, and always matches features.
RAW = AcceptanceModel(
    covariance_scale=1.0,
    floor_m=0.0,
    floor_rad=0.0,
    alone_scale=1.0,
    alone_floor_m=0.0,
    alone_floor_rad=0.0,
    clear_ratio=math.inf,
).as_dict()
MIRRORED = 24  # mapping frames, at most, that are shown mirrored: of all the place
CORRECT_DEPTH = 0.1  # of the scene's depth: an error that leaves a pose right, in any unit


def validate(
    candidate: Map,
    learned: Sequence[PosedFrame],
    held_out: Sequence[PosedFrame],
    device: str,
    progress: Callable[[float], None] = lambda share: None,
    base_map: Map | None = None,
) -> dict[str, Any]:
    """Validate a map; return `held_out` (of `dsac evaluate`) and `acceptance` for its header.

    Args:
        candidate: map to validate.
        learned: frames that it was learned from; mirrored they are negatives.
        held_out: frames that it has not seen.
        device: cpu or cuda.
        progress: called with the share that is done.
        base_map: map that this one updates: with no frames held out its values stand.
    """
    if not held_out and base_map:
        return {name: base_map.header[name] for name in ('held_out', 'acceptance')}
    localizer = Localizer(
        replace(candidate, header={**candidate.header, 'acceptance': RAW}),
        device,
        accept=AcceptConfig(max_focal_error=0.0, max_position_sigma=0.0),
    )
    shown = learned[:: math.ceil(len(learned) / MIRRORED)]
    count = len(shown) + len(held_out)
    negatives = []
    for done, posed in enumerate(shown, 1):
        negatives.append(localizer.localize(mirrored(posed.frame)))
        progress(done / count)
    correct_within = CORRECT_DEPTH * candidate.network.scale, CORRECT_DEG
    if not held_out:
        model = without_held_out(candidate.network.scale, observations(negatives))
        if not candidate.reference_images:
            model = replace(
                model, **learned_thresholds(localizer, shown, negatives, correct_within)
            )
        return {'held_out': None, 'acceptance': model.as_dict()}
    found: list[Localization] = []
    alone: list[tuple[np.ndarray | None, np.ndarray]] = []
    misled: list[float] = []
    for done, posed in enumerate(held_out, len(shown) + 1):
        trace = localizer.trace(posed.frame)
        found.append(trace.localization)
        alone.append(by_coordinates(trace.estimate, candidate.origin))
        misled += ratio_if_wrong(
            localizer.localize(blurred(zoomed(posed.frame))),
            posed.world_from_camera,
            correct_within,
        )
        progress(done / count)
    references = [posed.world_from_camera for posed in held_out]
    fitted = fit_acceptance(
        observations(found),
        twists([one.world_from_camera for one in found], references),
        observations(negatives),
        alone=PoseErrors(
            twists([pose for pose, _ in alone], references), np.stack([raw for _, raw in alone])
        ),
        misled=np.array(misled),
        correct_within=correct_within,
    )
    report = evaluate([judged(one, fitted) for one in found], references, device=device)
    return {'held_out': report.as_dict(), 'acceptance': fitted.as_dict()}


def learned_thresholds(
    localizer: Localizer,
    learned: Sequence[PosedFrame],
    negatives: Sequence[Localization],
    correct_within: tuple[float, float],
) -> dict[str, Any]:
    """Return thresholds of a map of scene coordinates alone, from frames that it has learned.

    It knows these better than any other frame, so that more is asked than of held-out frames; and
    where it is wrong about them, it is right about nothing.
    """
    found = [localizer.localize(posed.frame) for posed in learned]
    errors = twists(
        [one.world_from_camera for one in found], [posed.world_from_camera for posed in learned]
    )
    return coordinate_thresholds(
        observations(found),
        is_correct(errors, correct_within),
        nothing_ratio(observations(negatives)),
    )


def ratio_if_wrong(
    found: Localization, reference: np.ndarray, correct_within: tuple[float, float]
) -> list[float]:
    """Return the visible inlier ratio of a wrong pose that landmarks alone verify, else nothing.

    correct_within: metres and degrees of a right pose.
    """
    usual = AcceptanceModel()
    if usual.accepted_by_features(found.statistics) or not usual.accepted_by_landmarks(
        found.statistics
    ):
        return []
    right = is_correct(twists([found.world_from_camera], [reference]), correct_within)[0]
    return [] if right else [found.statistics.visible_inlier_ratio]


def by_coordinates(
    estimate: PoseEstimate | None,
    origin: np.ndarray,
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the pose by scene coordinates alone in the world, and its covariance (6, 6)."""
    if estimate is None or not bool(estimate.found[0]):
        return None, np.full((6, 6), np.nan)
    return in_world(estimate.world_from_camera[0], estimate.covariance[0], origin)


def twists(poses: Sequence[np.ndarray | None], references: Sequence[np.ndarray]) -> np.ndarray:
    """Return the errors (F, 6) of poses, infinite where there is none."""
    return np.array(
        [
            np.full(6, np.inf) if pose is None else twist_error(pose, reference)
            for pose, reference in zip(poses, references)
        ]
    )


def observations(found: Sequence[Localization]) -> Observations:
    """Collect the statistics and covariances of localizations."""
    nothing = np.full((6, 6), np.nan)
    return Observations(
        [one.statistics for one in found],
        np.array([nothing if one.covariance is None else one.covariance for one in found]),
    )
