# SPDX-License-Identifier: Apache-2.0
"""Fit a map's `Calibration` on frames it has not learned from.

The held-out frames show how far off right poses are and how much evidence stands behind them.
Hardly any of them is wrong, so the other side comes from altered ones (`geometry.altered_frames`).
Mirrored mapping frames are impostors: their patches look as real as ever, but no camera in this
scene can have taken them. Zoomed and blurred frames have few features, and the coarse landmarks
that remain agree on wrong positions where what they show is far away.
"""
from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from dsac_ros.calibration import LEAST_RATIO, Calibration, widened
from dsac_ros.metrics import CORRECT_DEG, CORRECT_M, SIGMA_RADII

#: Fewer right frames than this say nothing about a covariance.
FEWEST_FRAMES = 8
#: Shares of the held-out frames wanted inside 1 sigma (at least, at most) and inside 3 sigma.
ONE_SIGMA_SHARES, THREE_SIGMA_SHARE = (0.683, 0.76), 0.975
#: No floor is below these, of what counts as right (a thousandth of the scene's depth) and [rad]:
#: reference poses are no better, and other drives look from further away than held-out frames.
LEAST_M, LEAST_RAD = 0.01, 0.001
#: Poses of scene coordinates alone may be off by so many times what counts as right: those that
#: are must be in their covariance.
COARSER = 3.0
#: What is asked of the share of landmarks: so many times what impostors show, but no less than
#: what wrong poses in the right room may (of zoomed and of blurred images 0.33 has been seen, a
#: quarter of the depth off), and no more than what most right ones reach anywhere.
SHARE_MARGIN, SHARES = 1.5, (0.35, 0.5)
#: The same where wrong poses of zoomed and blurred frames show a share, up to so much: then
#: landmarks alone hardly ever decide in this place.
MOST_ASKED = 0.7
#: Features are asked first where scene coordinates alone are right for a smaller share of frames:
#: a network's pose and its alignment take about half of the time of features and theirs.
MOST_RIGHT = 0.45
#: So many times as many features are asked as impostors show. In ten places mirrored and flipped
#: images show 5 to 22, two in each part of the image; on one half of them up to 1.14 times as many
#: as on the other.
MATCHES_MARGIN = 1.25
#: No more than half of all that can count: a place of symmetries, a facade, shows as much of its
#: mirror image, and features then cannot tell which of the two it is.
MOST_MATCHES = 48
#: Of the held-out frames above the threshold at most this share may be wrong; above the last of
#: those that are, by so much.
MOST_WRONG, ABOVE_WRONG = 0.05, 1.2


@dataclass(frozen=True)
class Evidence:
    """What the estimator says of F frames, before any calibration.

    inlier_ratio, inlier_count, spread, agreement, share, matches (F,); covariance (F, 6, 6) raw.
    """

    inlier_ratio: np.ndarray
    inlier_count: np.ndarray
    spread: np.ndarray
    agreement: np.ndarray
    share: np.ndarray
    matches: np.ndarray
    covariance: np.ndarray

    def __len__(self) -> int:
        return len(self.inlier_ratio)

    def features(self) -> np.ndarray:
        """What the confidence is made of: log inlier ratio, spread, agreement, share (F, 4)."""
        ratio = np.log(np.maximum(self.inlier_ratio, LEAST_RATIO))
        return np.stack([ratio, self.spread, self.agreement, self.share], axis=1)


@dataclass(frozen=True)
class Errors:
    """Of F poses: twists (F, 6), infinite without a pose, and raw covariances (F, 6, 6)."""

    twists: np.ndarray
    covariance: np.ndarray


def fit_calibration(held_out: Evidence, twists: np.ndarray, impostors: Evidence | None = None, *,
                    alone: Errors | None = None, misled: np.ndarray = np.zeros(0),
                    correct_within: tuple[float, float] = (CORRECT_M, CORRECT_DEG),
                    ) -> Calibration:
    """The calibration of a map.

    Args:
        held_out: evidence of F frames whose poses are known.
        twists: their errors (F, 6) as `metrics.twist_error` gives them, inf without an estimate.
        impostors: evidence of frames that show no place of this map.
        alone: errors of the poses of the F frames by scene coordinates alone; those of `twists`,
            where landmarks had no part in them.
        misled: shares of the landmarks (W,) at wrong poses of zoomed and blurred frames.
        correct_within: metres and degrees of what counts as right; for a scene whose unit is
            arbitrary give metres as a share of its size.
    """
    alone = alone or Errors(twists, held_out.covariance)
    correct = is_correct(twists, correct_within)
    usable = is_correct(alone.twists, tuple(COARSER * limit for limit in correct_within))
    scale, floor_m, floor_rad = fit_covariance(twists[correct], held_out.covariance[correct],
                                               correct_within)
    alone_scale, alone_floor_m, alone_floor_rad = fit_covariance(
        alone.twists[usable], alone.covariance[usable], correct_within)
    positive, negative = held_out.features()[correct], held_out.features()[~correct]
    # Without impostors: what a search over a thousand random poses finds in nothing at all.
    nothing = (impostors.features() if impostors is not None and len(impostors)
               else np.array([[np.log(ratio), 0.2, 0.1, 0.05] for ratio in (0.01, 0.02, 0.04)]))
    bias, *weights = fit_confidence(positive, np.concatenate([negative, nothing]))
    return Calibration(
        covariance_scale=scale, floor_m=floor_m, floor_rad=floor_rad, alone_scale=alone_scale,
        alone_floor_m=alone_floor_m, alone_floor_rad=alone_floor_rad, confidence_bias=bias,
        weight_log_ratio=weights[0], weight_spread=weights[1], weight_agreement=weights[2],
        weight_share=weights[3],
        min_landmark_share=share_asked(nothing[:, 3], misled),
        min_matches=matches_asked(impostors),
        clear_ratio=clear_ratio(held_out.matches[correct], matches_asked(impostors)),
        features_first=int(is_correct(alone.twists, correct_within).sum()) < MOST_RIGHT * len(
            alone.twists),
        **thresholds(held_out, is_correct(alone.twists, correct_within),
                     float(np.exp(nothing[:, 0].max()))))


def without_held_out(depth: float, impostors: Evidence) -> Calibration:
    """Of a map too small to hold frames out, of a scene seen from about `depth` [m].

    Nothing is known of its errors; but in a place of symmetries and repeated patterns impostors
    show more landmarks than elsewhere, and then more is asked.
    """
    usual = Calibration.unmeasured(depth)
    asked = share_asked(impostors.share) if len(impostors) else 0.0
    return replace(usual, min_landmark_share=max(usual.min_landmark_share, asked),
                   min_matches=matches_asked(impostors))


def share_asked(impostors: np.ndarray, misled: np.ndarray = np.zeros(0)) -> float:
    """Return the share of landmarks that confirms a pose.

    By the shares (I,) that impostors show, and those (W,) of wrong poses of blurred frames.
    """
    shown = float(np.clip(SHARE_MARGIN * impostors.max(), *SHARES))
    return max(shown, min(MOST_ASKED, SHARE_MARGIN * float(misled.max(initial=0.0))))


def matches_asked(impostors: Evidence | None) -> int:
    """How many features confirm a pose, where impostors show as many as these."""
    shown = impostors.matches.max() if impostors is not None and len(impostors) else 0
    return int(np.clip(math.ceil(MATCHES_MARGIN * shown), Calibration.min_matches, MOST_MATCHES))


def clear_ratio(matches: np.ndarray, asked: int) -> float:
    """Return the share of landmarks in view from which on no feature is asked.

    0 where half of the right frames have fewer matches (F,) than are asked: features cost their
    time there and tell nothing more.
    """
    return 0.0 if len(matches) and np.median(matches) < asked else Calibration.clear_ratio


def is_correct(twists: np.ndarray, within: tuple[float, float]) -> np.ndarray:
    """Which errors (F, 6) are within metres and degrees (F,)."""
    return ((np.linalg.norm(twists[:, :3], axis=1) < within[0])
            & (np.linalg.norm(twists[:, 3:], axis=1) < np.radians(within[1])))


def fit_covariance(twists: np.ndarray, raw: np.ndarray,
                   correct_within: tuple[float, float]) -> tuple[float, float, float]:
    """Scale and floors [m], [rad] that make errors (F, 6) look like draws from s C + floor.

    The most likely ones under a Gaussian (so that frames with a large C keep a large error
    bound), then stretched together until the wanted shares lie inside 1 and 3 sigma. The floors
    never fall below LEAST_M and LEAST_RAD.
    """
    usable = np.isfinite(raw).all(axis=(1, 2))
    twists, raw = twists[usable], raw[usable]
    if len(twists) < FEWEST_FRAMES:
        return (Calibration.covariance_scale, 0.2 * correct_within[0],
                0.2 * np.radians(correct_within[1]))
    # Work where both halves of a twist have errors of about one.
    units = np.repeat([np.sqrt((twists[:, half] ** 2).mean()) + 1e-12
                       for half in (slice(0, 3), slice(3, 6))], 3)
    errors = twists / units
    shapes = raw / np.outer(units, units)
    typical = np.median(np.trace(shapes, axis1=1, axis2=2)) / 6 + 1e-30
    best, width = np.log([1 / typical, 0.3, 0.3]), np.log(100.0)
    for _ in range(6):
        steps = itertools.product(np.linspace(-width, width, 7), repeat=3)
        candidates = best + np.array(list(steps))
        candidates[:, 1:] = np.clip(candidates[:, 1:], np.log(0.05), None)
        best = min(candidates, key=lambda logs: surprise(errors, shapes, *np.exp(logs)))
        width /= 2.5
    scale, *floors = np.exp(best)
    distances = np.sort(mahalanobis(errors, widened(shapes, scale, *floors)))
    low, high = (np.quantile(distances, share) / SIGMA_RADII['1sigma']
                 for share in ONE_SIGMA_SHARES)
    tail = np.quantile(distances, THREE_SIGMA_SHARE) / SIGMA_RADII['3sigma']
    stretch = float(np.clip(tail, low, high))
    floor_m, floor_rad = np.sqrt(stretch) * np.array(floors) * units[[0, 3]]
    return (float(scale * stretch), max(float(floor_m), LEAST_M * correct_within[0]),
            max(float(floor_rad), LEAST_RAD))


def mahalanobis(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Squared distances (F,) of errors (F, 6) under covariances (F, 6, 6)."""
    return np.einsum('fi,fi->f', errors, np.linalg.solve(covariances, errors[..., None])[..., 0])


def surprise(errors: np.ndarray, raw: np.ndarray, scale: float, floor_m: float,
             floor_rad: float) -> float:
    """Negative log-likelihood of the errors, the worst twentieth of them left out."""
    covariances = widened(raw, scale, floor_m, floor_rad)
    terms = mahalanobis(errors, covariances) + np.linalg.slogdet(covariances)[1]
    return float(np.sort(terms)[:max(1, int(0.95 * len(terms)))].sum())


def fit_confidence(positive: np.ndarray, negative: np.ndarray,
                   steps: int = 3000) -> tuple[float, ...]:
    """Bias and non-negative weights of a logistic in features (P, 4) and (Q, 4).

    Targets as in Platt (1999), (P + 1) / (P + 2) and 1 / (Q + 2): thirty right frames in a row do
    not prove that the next one is.
    """
    features = np.concatenate([positive, negative])
    centre, width = features.mean(axis=0), features.std(axis=0) + 1e-2
    inputs = (features - centre) / width
    targets = np.repeat([(len(positive) + 1) / (len(positive) + 2), 1 / (len(negative) + 2)],
                        [len(positive), len(negative)])
    # Both kinds weigh the same however many impostors were shown.
    balance = np.repeat([0.5 / max(len(positive), 1), 0.5 / max(len(negative), 1)],
                        [len(positive), len(negative)])
    bias, weights = 0.0, np.zeros(features.shape[1])
    for _ in range(steps):
        slope = balance * (1 / (1 + np.exp(-(bias + inputs @ weights))) - targets)
        bias -= 2.0 * float(slope.sum())
        weights = np.maximum(weights - 2.0 * (inputs.T @ slope + 1e-3 * weights), 0)
    weights = weights / width
    return (float(bias - centre @ weights), *(float(weight) for weight in weights))


def thresholds(held_out: Evidence, correct: np.ndarray, nothing: float) -> dict[str, float]:
    """What a frame must show to be accepted, between right frames and an inlier ratio `nothing`.

    correct (F,): whose pose by scene coordinates alone is right, since these are what is judged.
    Nearer to the impostors than to the right frames: queries come from further away than a
    held-out block does. Where the two overlap, a refusal is the smaller harm: a map that answers
    no held-out frame rightly accepts nothing that looks like its answers.
    """
    if not correct.any():
        return {'min_inlier_ratio': above_the_wrong(nothing, held_out.inlier_ratio, correct)}
    lowest = float(np.quantile(held_out.inlier_ratio[correct], 0.01))
    if nothing < lowest:
        ratio = nothing ** (2 / 3) * lowest ** (1 / 3)
    else:
        ratio = min(1.05 * nothing, float(np.median(held_out.inlier_ratio[correct])))
    ratio = above_the_wrong(ratio, held_out.inlier_ratio, correct)
    cells = np.median(held_out.inlier_count[correct]
                      / np.maximum(held_out.inlier_ratio[correct], LEAST_RATIO))
    halves = {name: float(np.quantile(values[correct], 0.01) / 2)
              for name, values in (('spread', held_out.spread),
                                   ('agreement', held_out.agreement))}
    return {'min_inlier_ratio': float(ratio),
            'min_inliers': int(max(20, 0.5 * ratio * cells)),
            'min_spread': min(0.25, halves['spread']),
            'min_agreement': min(0.5, halves['agreement'])}


def above_the_wrong(threshold: float, ratio: np.ndarray, correct: np.ndarray) -> float:
    """The threshold, raised until hardly any frame (F,) that passes it is wrong."""
    for limit in (threshold, *np.sort(ABOVE_WRONG * ratio[~correct])):
        passing = ratio >= limit
        if limit >= threshold and (1.0 - correct[passing]).sum() <= MOST_WRONG * passing.sum():
            return float(min(limit, 1.0))
    return 1.0
