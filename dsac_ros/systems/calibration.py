# SPDX-License-Identifier: Apache-2.0
"""Calibration of a system on held-out frames: threshold, covariance, probability.

Mirrored mapping frames are negatives: their patches are as real as ever, and no camera in this
scene can have taken them, so whatever pose a system has for them is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dsac_ros.acceptance import UNMEASURED_SHARE
from dsac_ros.geometry.altered_frames import mirrored
from dsac_ros.mapping.acceptance.coordinate_thresholds import FEWEST_RIGHT
from dsac_ros.mapping.acceptance.fit import fit_covariance, is_correct
from dsac_ros.metrics import CORRECT_DEG, CORRECT_M, FALSE_ACCEPT_DEG, evaluate, twist_error
from dsac_ros.systems.evidence import LEAST_EVIDENCE, EvidenceModel
from dsac_ros.systems.system import TOWARDS_RIGHT, Estimate, EvidenceSystem
from dsac_ros.types import PosedFrame

NEGATIVES = 24  # mapping frames, at most, that are shown mirrored
#: Of the scene's depth: a pose that is further off is wrong, in any unit.
WRONG_DEPTH = 0.15
#: A wrong pose that is accepted weighs as much as so many right ones that are refused.
WRONG_COST = 10.0
RIDGE = 0.1  # of the logistic regression's slope, over standardised evidence
NEWTON_STEPS = 30


def calibrate(
    system: EvidenceSystem,
    learned: Sequence[PosedFrame],
    held_out: Sequence[PosedFrame],
    progress: Callable[[float], None] = lambda share: None,
    further: Sequence[tuple[Estimate, np.ndarray]] = (),
) -> dict[str, Any]:
    """Fit the system's evidence model; return `held_out` and `acceptance` for its map's header.

    `held_out` is what `dsac evaluate` reports; without held-out frames it is None.

    Args:
        system: of the map; it has the model afterwards.
        learned: frames that it was learned from.
        held_out: frames that it was not.
        progress: takes the share done.
        further: estimates and poses (4, 4) of frames from further away than the held-out ones.
            They take part in the fit, not in the report.
    """
    if not held_out:
        floor_m = UNMEASURED_SHARE * system.depth
        system.acceptance = replace(system.UNMEASURED, floor_m=floor_m)
        return {'held_out': None, 'acceptance': system.acceptance.as_dict()}
    shown = [mirrored(one.frame) for one in learned[:: math.ceil(len(learned) / NEGATIVES)]]
    estimates: list[Estimate] = []
    for frame in (*shown, *(one.frame for one in held_out)):
        estimates.append(system.raw_estimate(system.query(frame)))
        progress(len(estimates) / (len(shown) + len(held_out)))
    negatives, found = estimates[: len(shown)], estimates[len(shown) :]
    references = [one.world_from_camera for one in held_out]
    model = fit_evidence(
        [*found, *(one for one, _ in further)],
        [*references, *(pose for _, pose in further)],
        [one.evidence for one in negatives],
        system.depth,
        system.TOWARDS_RIGHT,
    )
    if system.UNMEASURED.accepts:
        model = replace(model, threshold=max(model.threshold, system.UNMEASURED.threshold))
    system.acceptance = model
    answers = [system.judged(one, posed.frame) for one, posed in zip(found, held_out)]
    report = evaluate(answers, references, device=str(system.device))
    return {'held_out': report.as_dict(), 'acceptance': model.as_dict()}


def fit_evidence(
    estimates: Sequence[Estimate],
    references: Sequence[np.ndarray],
    negatives: Sequence[float],
    depth: float,
    towards_right: float = TOWARDS_RIGHT,
) -> EvidenceModel:
    """Fit the model of a map.

    Args:
        estimates: of held-out frames.
        references: their poses (4, 4).
        negatives: evidence of estimates that are all wrong.
        depth: median depth of the scene [m].
        towards_right: see `cheapest_threshold`.
    """
    twists = np.array(
        [
            np.full(6, np.inf)
            if one.world_from_camera is None
            else twist_error(one.world_from_camera, reference)
            for one, reference in zip(estimates, references)
        ]
    )
    within = WRONG_DEPTH * depth, FALSE_ACCEPT_DEG
    right = is_correct(twists, within)
    evidence = np.array([one.evidence for one in estimates])
    every = np.concatenate([evidence, negatives])
    labels = np.concatenate([right, np.zeros(len(negatives), bool)])
    threshold = cheapest_threshold(every, labels, towards_right)
    raw = np.array(
        [np.zeros((6, 6)) if one.covariance is None else one.covariance for one in estimates]
    )
    scale, floor_m, floor_rad = fit_covariance(twists[right], raw[right], within)
    near = is_correct(twists, (max(CORRECT_M, 0.1 * depth), CORRECT_DEG))
    offset, slope = logistic(
        np.log(np.maximum(every, LEAST_EVIDENCE)),
        np.concatenate([near, np.zeros(len(negatives), bool)]),
    )
    return EvidenceModel(
        threshold=0.0 if threshold is None else threshold,
        accepts=threshold is not None,
        held_out=len(estimates),
        right=int(right.sum()),
        covariance_scale=scale,
        floor_m=floor_m,
        floor_rad=floor_rad,
        logit_offset=offset,
        logit_slope=slope,
    )


def cheapest_threshold(
    evidence: np.ndarray, right: np.ndarray, towards_right: float = TOWARDS_RIGHT
) -> float | None:
    """Return the threshold on evidence (F,) of least cost; None if refusing all is cheaper.

    A wrong pose that is accepted costs WRONG_COST, a right one (F,) bool that is refused 1. Of the
    way from the last refused to the first accepted evidence the threshold lies at this share, less
    than half since queries come from further away than held-out frames; evidence counts as its
    logarithm.
    """
    order = np.argsort(-evidence, kind='stable')
    evidence, right = evidence[order], right[order]
    cost = WRONG_COST * np.cumsum(~right) + right.sum() - np.cumsum(right)
    # Equal evidence is accepted together.
    last = np.append(evidence[1:] < evidence[:-1], True)
    usable = last & (np.cumsum(right) >= FEWEST_RIGHT)
    if not usable.any():
        return None
    best = int(np.where(usable, cost, np.inf).argmin())
    if cost[best] >= right.sum():
        return None
    below = evidence[best + 1] if best + 1 < len(evidence) else evidence[best]
    accepted, refused = np.maximum((evidence[best], below), LEAST_EVIDENCE)
    return float(accepted**towards_right * refused ** (1 - towards_right))


def logistic(values: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Fit the log-odds of right (F,) bool as offset + slope * x (F,), slope >= 0.

    Newton's method with a ridge on the slope; one right and one wrong frame at the middle are
    added, so that all-right or all-wrong data promise no certainty.
    """
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    x = np.append((values - centre) / spread, [0.0, 0.0])
    y = np.append(right.astype(float), [1.0, 0.0])
    design = np.column_stack([np.ones_like(x), x])
    ridge = np.diag([0.0, RIDGE])
    weights = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + ridge + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (y - p) - ridge @ weights)
        weights = weights + np.clip(step, -2.0, 2.0)
    offset, slope = float(weights[0]), float(max(0.0, weights[1]))
    if slope == 0.0:
        share = float(y.mean())
        offset = math.log(share / (1 - share))
    return offset - slope * centre / spread, slope / spread
