# SPDX-License-Identifier: Apache-2.0
"""Fit the acceptance model of a map on frames that it has not learned from.

Held-out frames show the errors of right poses and the evidence for them, and so do frames that its
landmarks and points do not know, intact and altered as queries may be (`geometry.altered_frames`).
Hardly any pose of intact ones is wrong, so negatives are mirrored mapping frames: they have
patches as real as ever, but no camera in this scene can have taken them. Zoomed and blurred frames
have few features, and the coarse landmarks that remain agree on wrong positions where what they
show is far away.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from dsac_ros.acceptance import NEVER, AcceptanceModel, widened
from dsac_ros.mapping.acceptance.coordinate_thresholds import (
    LEAST_RATIO,
    MARGIN,
    coordinate_thresholds,
)
from dsac_ros.mapping.acceptance.observations import Localized, Observations, PoseErrors
from dsac_ros.metrics import CORRECT_DEG, CORRECT_M, SIGMA_RADII
from dsac_ros.types import Result

#: Inlier ratios of scene coordinates and of landmarks that a search over a thousand random poses
#: finds in nothing at all, for a map without negatives.
NOTHING_RATIO, NOTHING_VISIBLE = 0.04, 0.05
#: Right frames that are added to those accepted when their share is estimated.
SURE_FRAMES = 20
#: Fewer right frames than this say nothing about a covariance.
FEWEST_FRAMES = 8
#: Shares of the held-out frames wanted inside 1 sigma (at least, at most) and inside 3 sigma.
ONE_SIGMA_SHARES, THREE_SIGMA_SHARE = (0.683, 0.8), 0.975
#: No floor is below these, of what counts as right (a thousandth of the scene's depth) and [rad]:
#: reference poses are no better, and those of another drive differ from this one's. Of nine
#: places the errors of other drives ask for up to 1.2 mrad.
LEAST_M, LEAST_RAD = 0.01, 0.0015
#: Poses of scene coordinates alone may be off by so many times what counts as right: those that
#: are must be in their covariance.
COARSER = 3.0
#: Visible inlier ratio that verifies a pose: so many times that of negatives, but no less than
#: wrong poses in the right room may have (zoomed and blurred images had 0.33, a quarter of the
#: depth off), and no more than most right ones have anywhere.
RATIO_MARGIN, RATIOS = 1.5, (0.35, 0.5)
#: The same where wrong poses of altered frames have a ratio, up to so much: then landmarks alone
#: hardly ever verify a pose in this place. Where negatives ask for more, it is its own mirror
#: image, and landmarks alone verify nothing.
MOST_RATIO = 0.7
#: Features are matched first where scene coordinates alone are right for a smaller share of
#: frames: a pose by them and its alignment take half of the time of one by features.
MOST_RIGHT = 0.45
#: Feature inliers that verify a pose: so many times those of negatives. In ten places mirrored and
#: flipped images have 5 to 22, two in each grid bin of the image; one half of them up to 1.14
#: times as many as the other.
FEATURE_MARGIN = 1.25
#: Evidence of landmarks and features together: so many times that of negatives and of wrong poses
#: of altered frames, from what of 312 negatives of fourteen places none had (0.96) to what both
#: have that decide alone.
JOINT_MARGIN, JOINT = 1.25, (1.2, 2.0)
#: No more than half of all that can count: a symmetric place, a facade, fits its mirror image as
#: well, and features cannot tell the two apart.
MOST_FEATURES = 48


def fit_acceptance(
    held_out: Observations,
    twists: np.ndarray,
    negatives: Observations | None = None,
    *,
    alone: PoseErrors | None = None,
    further: Localized = Localized.nothing(),
    correct_within: tuple[float, float] = (CORRECT_M, CORRECT_DEG),
) -> AcceptanceModel:
    """Fit the acceptance model of a map.

    Args:
        held_out: of F frames whose poses are known.
        twists: their errors (F, 6) as `metrics.twist_error` gives them, inf without an estimate.
        negatives: of frames that show no place of this map.
        alone: errors of the poses of the F frames by scene coordinates alone; those of `twists`,
            where landmarks had no part in them.
        further: altered frames, and others that landmarks and points do not know.
        correct_within: metres and degrees of what counts as right; for a scene whose unit is
            arbitrary give metres as a share of its size.
    """
    alone = alone or PoseErrors(twists, held_out.covariance)
    correct = is_correct(twists, correct_within)
    usable = is_correct(alone.twists, (COARSER * correct_within[0], COARSER * correct_within[1]))
    alone_scale, alone_floor_m, alone_floor_rad = fit_covariance(
        alone.twists[usable], alone.covariance[usable], correct_within
    )
    asked = AcceptanceModel(
        alone_scale=alone_scale,
        alone_floor_m=alone_floor_m,
        alone_floor_rad=alone_floor_rad,
        min_visible_inlier_ratio=ratio_threshold(negatives, misled(further, correct_within)),
        min_feature_inliers=feature_threshold(negatives),
        clear_ratio=clear_ratio(
            held_out.column('feature_inliers')[correct], feature_threshold(negatives)
        ),
        features_first=int(is_correct(alone.twists, correct_within).sum())
        < MOST_RIGHT * len(alone.twists),
        **coordinate_thresholds(
            held_out, is_correct(alone.twists, correct_within), nothing_ratio(negatives)
        ),
    )
    asked = with_joint_threshold(asked, negatives, further, correct_within)
    model = with_covariance(asked, Localized(held_out, twists).and_also(further), correct_within)
    right = is_correct(twists, (max(CORRECT_M, correct_within[0]), correct_within[1]))
    return replace(model, right_share=share_of_right(held_out, right, model))


def without_held_out(
    depth: float,
    negatives: Observations,
    further: Localized = Localized.nothing(),
    correct_within: tuple[float, float] = (CORRECT_M, CORRECT_DEG),
) -> AcceptanceModel:
    """Return the model of a map too small to hold frames out of its training.

    In a place of symmetries and repeated patterns negatives have more inliers than elsewhere, and
    then more is asked.

    Args:
        depth: of the scene [m].
        negatives: of frames that show no place of this map.
        further: frames that landmarks and points do not know: they tell the covariance.
        correct_within: metres and degrees of what counts as right.
    """
    usual = AcceptanceModel.unmeasured(depth)
    asked = replace(
        usual,
        min_visible_inlier_ratio=ratio_threshold(negatives, misled(further, correct_within)),
        min_feature_inliers=feature_threshold(negatives),
        min_inlier_ratio=max(usual.min_inlier_ratio, MARGIN * nothing_ratio(negatives)),
    )
    asked = with_joint_threshold(asked, negatives, further, correct_within)
    return with_covariance(asked, further, correct_within)


def with_joint_threshold(
    asked: AcceptanceModel,
    negatives: Observations | None,
    shown: Localized,
    correct_within: tuple[float, float],
) -> AcceptanceModel:
    """Return a model that asks for more joint evidence than negatives and wrong poses have."""
    wrong = shown.where(~is_correct(shown.twists, correct_within)).seen.statistics
    told = [*(negatives.statistics if negatives else ()), *wrong]
    most = max((asked.joint_evidence(one) for one in told), default=0.0)
    return replace(asked, min_joint_evidence=float(np.clip(JOINT_MARGIN * most, *JOINT)))


def with_covariance(
    asked: AcceptanceModel, shown: Localized, correct_within: tuple[float, float]
) -> AcceptanceModel:
    """Return a model with the covariance of the right poses that landmarks or features verify.

    Of those of scene coordinates alone where too few are, as in a map without landmarks; as it is
    where these are too few as well.
    """
    right = is_correct(shown.twists, correct_within)
    verified = right & np.array([asked.verified(one) for one in shown.seen.statistics], bool)
    some = shown.where(verified if verified.sum() >= FEWEST_FRAMES else right)
    if len(some) < FEWEST_FRAMES and not asked.is_measured:
        return asked
    scale, floor_m, floor_rad = fit_covariance(some.twists, some.seen.covariance, correct_within)
    return replace(
        asked,
        covariance_scale=scale,
        floor_m=floor_m,
        floor_rad=floor_rad,
        is_measured=len(some) >= FEWEST_FRAMES,
    )


def misled(shown: Localized, correct_within: tuple[float, float]) -> np.ndarray:
    """Return the visible inlier ratios (W,) of wrong poses that landmarks alone would verify."""
    usual = AcceptanceModel()
    wrong = ~is_correct(shown.twists, correct_within)
    return np.array(
        [
            one.visible_inlier_ratio
            for one in itertools.compress(shown.seen.statistics, wrong)
            if usual.accepted_by_landmarks(one) and not usual.accepted_by_features(one)
        ]
    )


def nothing_ratio(negatives: Observations | None) -> float:
    """Return the largest inlier ratio of frames that show no place of the map."""
    if negatives is None or not len(negatives):
        return NOTHING_RATIO
    return max(LEAST_RATIO, float(negatives.column('inlier_ratio').max()))


def ratio_threshold(negatives: Observations | None, misled: np.ndarray = np.zeros(0)) -> float:
    """Return the visible inlier ratio that verifies a pose.

    From those of negatives and of wrong poses of altered frames (W,).
    """
    most = NOTHING_VISIBLE
    if negatives is not None and len(negatives):
        most = float(negatives.column('visible_inlier_ratio').max())
    if RATIO_MARGIN * most > MOST_RATIO:
        return NEVER
    shown = float(np.clip(RATIO_MARGIN * most, *RATIOS))
    return max(shown, min(MOST_RATIO, RATIO_MARGIN * float(misled.max(initial=0.0))))


def feature_threshold(negatives: Observations | None) -> int:
    """Return the number of feature inliers that verifies a pose, from those of negatives."""
    most = (
        negatives.column('feature_inliers').max()
        if negatives is not None and len(negatives)
        else 0
    )
    return int(
        np.clip(
            math.ceil(FEATURE_MARGIN * most), AcceptanceModel.min_feature_inliers, MOST_FEATURES
        )
    )


def clear_ratio(matches: np.ndarray, asked: int) -> float:
    """Return the inlier ratio of landmarks from which on features are not matched.

    0 where half of the right frames have fewer feature inliers (F,) than `asked`: features cost
    their time there and verify nothing.
    """
    return 0.0 if len(matches) and np.median(matches) < asked else AcceptanceModel.clear_ratio


def is_correct(twists: np.ndarray, within: tuple[float, float]) -> np.ndarray:
    """Return which errors (F, 6) are within metres and degrees (F,)."""
    return (np.linalg.norm(twists[:, :3], axis=1) < within[0]) & (
        np.linalg.norm(twists[:, 3:], axis=1) < np.radians(within[1])
    )


def fit_covariance(
    twists: np.ndarray, raw: np.ndarray, correct_within: tuple[float, float]
) -> tuple[float, float, float]:
    """Fit scale and floors [m], [rad] so that errors (F, 6) are draws from s C + floor.

    The most likely ones under a Gaussian (so that frames with a large C keep a large error
    bound), then stretched together until the wanted shares lie inside 1 and 3 sigma. The floors
    never fall below LEAST_M and LEAST_RAD.
    """
    usable = np.isfinite(raw).all(axis=(1, 2))
    twists, raw = twists[usable], raw[usable]
    if len(twists) < FEWEST_FRAMES:
        return (
            AcceptanceModel.covariance_scale,
            0.2 * correct_within[0],
            0.2 * np.radians(correct_within[1]),
        )
    # Work where both halves of a twist have errors of about one.
    units = np.repeat(
        [np.sqrt((twists[:, half] ** 2).mean()) + 1e-12 for half in (slice(0, 3), slice(3, 6))], 3
    )
    errors = twists / units
    shapes = raw / np.outer(units, units)
    typical = np.median(np.trace(shapes, axis1=1, axis2=2)) / 6 + 1e-30
    best, width = np.log([1 / typical, 0.3, 0.3]), np.log(100.0)
    for _ in range(6):
        steps = itertools.product(np.linspace(-width, width, 7), repeat=3)
        candidates = best + np.array(list(steps))
        candidates[:, 1:] = np.clip(candidates[:, 1:], np.log(0.05), None)
        best = min(
            candidates, key=lambda logs: negative_log_likelihood(errors, shapes, *np.exp(logs))
        )
        width /= 2.5
    scale, *floors = np.exp(best)
    distances = np.sort(mahalanobis(errors, widened(shapes, scale, *floors)))
    low, high = (
        np.quantile(distances, share) / SIGMA_RADII['1sigma'] for share in ONE_SIGMA_SHARES
    )
    tail = np.quantile(distances, THREE_SIGMA_SHARE) / SIGMA_RADII['3sigma']
    stretch = float(np.clip(tail, low, high))
    floor_m, floor_rad = np.sqrt(stretch) * np.array(floors) * units[[0, 3]]
    return (
        float(scale * stretch),
        max(float(floor_m), LEAST_M * correct_within[0]),
        max(float(floor_rad), LEAST_RAD),
    )


def mahalanobis(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Return squared Mahalanobis distances (F,) of errors (F, 6), covariances (F, 6, 6)."""
    return np.einsum('fi,fi->f', errors, np.linalg.solve(covariances, errors[..., None])[..., 0])


def negative_log_likelihood(
    errors: np.ndarray, raw: np.ndarray, scale: float, floor_m: float, floor_rad: float
) -> float:
    """Return the negative log-likelihood of the errors without the worst twentieth."""
    covariances = widened(raw, scale, floor_m, floor_rad)
    terms = mahalanobis(errors, covariances) + np.linalg.slogdet(covariances)[1]
    return float(np.sort(terms)[: max(1, int(0.95 * len(terms)))].sum())


def share_of_right(held_out: Observations, right: np.ndarray, model: AcceptanceModel) -> float:
    """Return how many of the held-out frames that a model accepts are right (F,) bool.

    As if SURE_FRAMES more had been right: a few frames do not tell a per cent.
    """
    accepted = np.array(
        [model.verdict(one)[0] is Result.ACCEPTED for one in held_out.statistics], bool
    )
    return float(((accepted & right).sum() + SURE_FRAMES) / (accepted.sum() + SURE_FRAMES))
