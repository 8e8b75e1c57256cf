# SPDX-License-Identifier: Apache-2.0
"""Confidence: calibrated probability that a pose is within 0.25 m and 5 deg of the truth.

A product of two probabilities: that the pose shows the right view, by how much more evidence there
is than the map asks for; and that such a pose is that exact, by its covariance. The thresholds and
the covariance are the map's own, so that one number means the same in every map.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import torch

from dsac_ros.acceptance import CONTRADICTION, AcceptanceModel
from dsac_ros.metrics import CORRECT_DEG, CORRECT_M
from dsac_ros.types import PoseStatistics

#: No refused pose has a higher confidence, whatever refused it.
REFUSED_MOST = 0.5
#: Logarithm of the odds that a pose is right which has just the evidence that its map asks for,
#: and its slopes over the logarithm of the strength, above and below. The likeliest ones of 1417
#: queries of twelve places, intact, altered and of other places; without any one of these places
#: they are 1.7 to 2.8, 2.9 to 4.9 and 8 to 12.
ACCEPTED_LOGIT, ACCEPTED_SLOPE, REFUSED_SLOPE = 2.0, 3.5, 9.0
#: Standard deviations of a map whose errors were not measured, as multiples of what it takes for
#: safety: quantiles of a log-normal distribution. Of eleven places the multiples are 0.02 to 1,
#: 0.12 in the middle.
TYPICAL, SPREAD, QUANTILES = 0.12, 1.1, 9
UNMEASURED_FACTORS = tuple(
    TYPICAL * math.exp(SPREAD * NormalDist().inv_cdf((k + 0.5) / QUANTILES))
    for k in range(QUANTILES)
)
#: Evidence more than so many times the threshold says no more.
MOST_STRENGTH = 10.0


def confidence(
    statistics: PoseStatistics, covariance: np.ndarray | None, model: AcceptanceModel
) -> float:
    """Return the probability in [0, 1] that a pose is within CORRECT_M and CORRECT_DEG.

    Args:
        statistics: evidence for the pose.
        covariance: calibrated one (6, 6) of the pose [m, rad]; None if unknown, and then nothing
            is promised.
        model: acceptance model of the map. Thresholds that the user set in their place do not
            count.
    """
    if covariance is None:
        return 0.0
    is_right = model.right_share * probability_right(strength(statistics, model.fitted or model))
    factors = (1.0,) if model.is_measured else UNMEASURED_FACTORS
    within = (
        probability_within(factor**2 * covariance, CORRECT_M, math.radians(CORRECT_DEG))
        for factor in factors
    )
    return is_right * sum(within) / len(factors)


def strength(statistics: PoseStatistics, model: AcceptanceModel) -> float:
    """Return the evidence for a pose as a multiple of what the model asks for.

    The strongest of the four ways to accept a pose counts: 1 or more if and only if the verdict
    is ACCEPTED. What was not computed, since another way had decided, takes nothing away.
    """
    s, m = statistics, model
    landmarks, features = (
        _times(value, threshold) if value > 0 else 0.0
        for value, threshold in (
            (s.visible_inlier_ratio, m.min_visible_inlier_ratio),
            (s.feature_inliers, m.min_feature_inliers),
        )
    )
    cells = min(
        _times(s.inlier_ratio, m.min_inlier_ratio),
        _times(s.inlier_count, m.min_inliers),
        _times(s.inlier_spread, m.min_spread),
        _times(s.hypothesis_agreement, m.min_agreement),
    )
    if s.contradicted and max(landmarks, features) >= 1:
        return features / CONTRADICTION  # one of the two is wrong, and cells take no side
    both = _times(m.joint_evidence(s), m.min_joint_evidence)
    return max(landmarks, features, both, cells)


def probability_right(strength: float) -> float:
    """Return the probability that a pose of this strength shows the right view."""
    ratio = math.log(max(strength, 1e-3))
    above = ACCEPTED_LOGIT + ACCEPTED_SLOPE * ratio
    logit = above if strength >= 1 else REFUSED_SLOPE * ratio
    return 1 / (1 + math.exp(-max(logit, -50.0)))


def probability_within(covariance: np.ndarray, metres: float, radians: float) -> float:
    """Return the probability that a Gaussian error (6, 6) is within both limits.

    The squared length of each half is taken as a gamma variable of the same mean and variance
    (Satterthwaite 1946), and the two as independent.
    """
    probability = 1.0
    for block, limit in ((covariance[:3, :3], metres), (covariance[3:, 3:], radians)):
        total, square = float(np.trace(block)), float((block * block.T).sum())
        if not (math.isfinite(total) and math.isfinite(square)):
            return 0.0
        if square <= 0 or total <= 0:
            continue  # without any error it is within every limit
        shape, scale = total**2 / (2 * square), 2 * square / total
        argument = torch.tensor([shape, limit**2 / scale], dtype=torch.float64)
        probability *= float(torch.special.gammainc(argument[0], argument[1]))
    return probability


def _times(value: float, threshold: float) -> float:
    """Return the value as a multiple of its threshold; one that asks for nothing is met."""
    return min(MOST_STRENGTH, value / threshold) if threshold > 0 else MOST_STRENGTH
