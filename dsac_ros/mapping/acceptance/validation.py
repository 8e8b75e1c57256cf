# SPDX-License-Identifier: Apache-2.0
"""Validation of a new map on held-out frames, and the acceptance model that follows from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.config import AcceptConfig
from dsac_ros.decision import in_world, judged
from dsac_ros.geometry.altered_frames import blurred, covered, mirrored, zoomed
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import Map
from dsac_ros.mapping.acceptance.coordinate_thresholds import coordinate_thresholds
from dsac_ros.mapping.acceptance.fit import (
    fit_acceptance,
    is_correct,
    nothing_ratio,
    without_held_out,
)
from dsac_ros.mapping.acceptance.observations import Localized, Observations, PoseErrors
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
FURTHER = 12  # frames, at most, that are shown altered, and left out of the landmarks
CORRECT_DEPTH = 0.1  # of the scene's depth: an error that leaves a pose right, in any unit


def validate(
    candidate: Map,
    learned: Sequence[PosedFrame],
    held_out: Sequence[PosedFrame],
    device: str,
    progress: Callable[[float], None] = lambda share: None,
    base_map: Map | None = None,
    left_out: Sequence[PosedFrame] = (),
    written: Map | None = None,
) -> dict[str, Any]:
    """Validate a map; return `held_out` (of `dsac evaluate`) and `acceptance` for its header.

    Args:
        candidate: map to validate.
        learned: frames that it was learned from; mirrored they are negatives.
        held_out: frames that it has not seen.
        device: cpu or cuda.
        progress: called with the share that is done.
        base_map: map that this one updates: with no frames held out its values stand.
        left_out: frames that only its network may have seen: their poses by landmarks and features
            have the errors of queries.
        written: the map with all landmarks and points, where the candidate lacks some: negatives
            find more in it.
    """
    if not held_out and base_map:
        return {name: base_map.header[name] for name in ('held_out', 'acceptance')}
    localizer = raw_localizer(candidate, device)
    complete = raw_localizer(written, device) if written else localizer
    shown = learned[:: math.ceil(len(learned) / MIRRORED)]
    others = [*altered(evenly([*held_out, *left_out])), *evenly(left_out)]
    steps = counting(progress, len(shown) + len(held_out) + len(others))
    negatives = [complete.localize(mirrored(posed.frame)) for posed in steps(shown)]
    traces = [localizer.trace(posed.frame) for posed in steps(held_out)]
    found = [trace.localization for trace in traces]
    alone = [by_coordinates(trace.estimate, candidate.origin) for trace in traces]
    further = [localizer.localize(posed.frame) for posed in steps(others)]
    correct_within = CORRECT_DEPTH * candidate.network.scale, CORRECT_DEG
    references = poses_of(held_out)
    more = Localized(
        observations(further),
        twists([one.world_from_camera for one in further], poses_of(others)),
    )
    if not held_out:
        model = without_held_out(
            candidate.network.scale, observations(negatives), more, correct_within
        )
        if not candidate.reference_images:
            model = replace(
                model, **learned_thresholds(localizer, shown, negatives, correct_within)
            )
        return {'held_out': None, 'acceptance': model.as_dict()}
    fitted = fit_acceptance(
        observations(found),
        twists([one.world_from_camera for one in found], references),
        observations(negatives),
        alone=PoseErrors(
            twists([pose for pose, _ in alone], references), np.stack([raw for _, raw in alone])
        ),
        further=more,
        correct_within=correct_within,
    )
    report = evaluate([judged(one, fitted) for one in found], references, device=device)
    return {'held_out': report.as_dict(), 'acceptance': fitted.as_dict()}


def raw_localizer(candidate: Map, device: str) -> Localizer:
    """Return a localizer that leaves poses and covariances as they are found."""
    return Localizer(
        replace(candidate, header={**candidate.header, 'acceptance': RAW}),
        device,
        accept=AcceptConfig(max_focal_error=0.0, max_position_sigma=0.0, refuse_twins=False),
    )


def evenly(frames: Sequence[PosedFrame]) -> Sequence[PosedFrame]:
    """Return FURTHER of the frames at most, of all the place."""
    return frames[:: math.ceil(len(frames) / FURTHER) or 1]


def altered(frames: Sequence[PosedFrame]) -> Iterator[PosedFrame]:
    """Yield each frame as queries may be: nearer or of another lens, half covered, blurred."""
    for posed in frames:
        near = zoomed(posed.frame)
        for frame in (near, covered(posed.frame), blurred(near)):
            yield replace(posed, frame=frame)


def counting(
    progress: Callable[[float], None], total: int
) -> Callable[[Sequence[PosedFrame]], Iterator[PosedFrame]]:
    """Return what passes frames on and tells the share of all that are done."""
    done = itertools.count(1)

    def passed_on(frames: Sequence[PosedFrame]) -> Iterator[PosedFrame]:
        for posed in frames:
            yield posed
            progress(next(done) / total)

    return passed_on


def poses_of(frames: Sequence[PosedFrame]) -> list[np.ndarray]:
    """Return world_from_camera (4, 4) of each frame."""
    return [posed.world_from_camera for posed in frames]


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
    ).reshape(-1, 6)


def observations(found: Sequence[Localization]) -> Observations:
    """Collect the statistics and covariances of localizations."""
    nothing = np.full((6, 6), np.nan)
    return Observations(
        [one.statistics for one in found],
        np.array([nothing if one.covariance is None else one.covariance for one in found]).reshape(
            -1, 6, 6
        ),
    )
