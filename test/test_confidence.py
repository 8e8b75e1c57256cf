# SPDX-License-Identifier: Apache-2.0
"""confidence.py: one number that means the same at every threshold and in every map."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.confidence import (
    confidence,
    probability_right,
    probability_within,
    strength,
)
from dsac_ros.config import AcceptConfig
from dsac_ros.types import PoseStatistics, Result

PRECISE = np.diag([1e-4] * 3 + [1e-5] * 3)
MODEL = AcceptanceModel(
    min_inlier_ratio=0.1,
    min_inliers=40,
    min_spread=0.2,
    min_agreement=0.3,
    min_visible_inlier_ratio=0.5,
    min_feature_inliers=20,
)
SHARES = st.floats(0.0, 1.0)
STATISTICS = st.builds(
    PoseStatistics, SHARES, st.integers(0, 200), SHARES, SHARES, SHARES, st.integers(0, 60),
).flatmap(
    lambda one: st.sampled_from(
        [one, replace(one, agreeing=True), replace(one, contradicted=True)]
    )
)  # fmt: skip


@given(STATISTICS)
def test_strength_is_one_where_the_verdict_changes(statistics):
    accepted = MODEL.verdict(statistics)[0] is Result.ACCEPTED
    assert (strength(statistics, MODEL) >= 1) == accepted


@given(STATISTICS, st.sampled_from([
    'inlier_ratio', 'inlier_count', 'inlier_spread', 'hypothesis_agreement',
    'visible_inlier_ratio', 'feature_inliers']), SHARES)  # fmt: skip
@settings(max_examples=300)
def test_more_evidence_never_lowers_the_confidence(statistics, name, more):
    statistics = replace(statistics, contradicted=False)
    value = getattr(statistics, name)
    raised = replace(statistics, **{name: value + (more if isinstance(value, float) else 7)})
    assert confidence(raised, PRECISE, MODEL) >= confidence(statistics, PRECISE, MODEL)


def test_skipped_evidence_takes_nothing_away():
    """A pose by features alone, which needed no network, is as sure as with it."""
    alone = PoseStatistics(feature_inliers=60)
    all_of_it = PoseStatistics(0.05, 30, 0.1, 0.2, 0.3, 60)
    assert confidence(alone, PRECISE, MODEL) == confidence(all_of_it, PRECISE, MODEL) > 0.99


@pytest.mark.parametrize('factor', [0.3, 1.0, 2.0])
def test_maps_with_other_thresholds_mean_the_same(factor):
    other = replace(MODEL, min_visible_inlier_ratio=factor * 0.25, min_feature_inliers=200)
    one, two = (
        PoseStatistics(visible_inlier_ratio=1.2 * threshold)
        for threshold in (MODEL.min_visible_inlier_ratio, other.min_visible_inlier_ratio)
    )
    assert confidence(one, PRECISE, MODEL) == pytest.approx(confidence(two, PRECISE, other))


def test_a_threshold_of_the_user_does_not_change_it():
    statistics = PoseStatistics(visible_inlier_ratio=0.4, feature_inliers=15)
    for asked in (0.0, 0.3, 0.9):
        model = MODEL.overridden(AcceptConfig(min_visible_inlier_ratio=asked, min_inliers=0))
        model = model.overridden(AcceptConfig(min_spread=0.0))
        assert confidence(statistics, PRECISE, model) == confidence(statistics, PRECISE, MODEL)


def test_contradiction_is_no_confidence():
    statistics = PoseStatistics(0.5, 900, 1.0, 1.0, visible_inlier_ratio=0.9, feature_inliers=12)
    assert confidence(statistics, PRECISE, MODEL) > 0.9
    assert confidence(replace(statistics, contradicted=True), PRECISE, MODEL) < 0.1


def test_a_coarse_pose_is_hardly_within_the_limits():
    sure = PoseStatistics(visible_inlier_ratio=0.9)
    shares = [
        confidence(sure, np.diag([sigma**2] * 3 + [1e-6] * 3), MODEL)
        for sigma in (0.01, 0.1, 0.2, 0.5, 2.0)
    ]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.97 and shares[-1] < 0.01
    turned = np.diag([1e-6] * 3 + [math.radians(20.0) ** 2] * 3)
    assert confidence(sure, turned, MODEL) < 0.05


@pytest.mark.parametrize('covariance', [None, np.full((6, 6), np.nan), np.diag([np.inf] * 6)])
def test_an_unknown_error_promises_nothing(covariance):
    assert confidence(PoseStatistics(visible_inlier_ratio=0.9), covariance, MODEL) == 0.0


def test_a_map_with_wrong_held_out_poses_promises_less():
    statistics = PoseStatistics(visible_inlier_ratio=0.9)
    worse = replace(MODEL, right_share=0.8)
    expected = 0.8 * confidence(statistics, PRECISE, MODEL)
    assert confidence(statistics, PRECISE, worse) == pytest.approx(expected)


@pytest.mark.parametrize('seed', range(6))
def test_share_within_is_that_of_drawn_errors(seed):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    sigmas = rng.uniform(0.03, 0.25, 3)
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = axes @ np.diag(sigmas**2) @ axes.T
    covariance[3:, 3:] = np.diag(rng.uniform(0.01, 0.06, 3) ** 2)
    errors = rng.multivariate_normal(np.zeros(6), covariance, 200_000)
    drawn = (np.linalg.norm(errors[:, :3], axis=1) < 0.25) & (
        np.linalg.norm(errors[:, 3:], axis=1) < math.radians(5.0)
    )
    assert probability_within(covariance, 0.25, math.radians(5.0)) == pytest.approx(
        drawn.mean(), abs=0.015
    )


def test_an_exact_pose_is_within_every_limit():
    assert probability_within(np.zeros((6, 6)), 0.25, 0.1) == 1.0


def test_the_odds_rise_with_the_strength():
    odds = [probability_right(value) for value in np.geomspace(0.01, 10, 50)]
    assert (np.diff(odds) >= 0).all() and odds[0] < 1e-6 and odds[-1] > 0.999
    assert probability_right(0.999) < 0.5 < probability_right(1.0)


def test_an_unmeasured_map_promises_what_is_usual():
    """Its covariance is one that errors hardly exceed, so that poses are usually better."""
    sure = PoseStatistics(visible_inlier_ratio=0.9)
    shares = {
        depth: confidence(sure, np.diag([(0.01 * depth) ** 2] * 3 + [1e-4] * 3), model)
        for depth, model in ((d, AcceptanceModel.unmeasured(d)) for d in (5.0, 35.0, 500.0))
    }
    assert shares[5.0] > 0.97 > shares[35.0] > 0.8 > 0.5 > shares[500.0] > 0.05


def test_a_map_says_whether_its_errors_were_measured():
    for model in (AcceptanceModel(), AcceptanceModel.unmeasured(2.0)):
        assert AcceptanceModel.of_header({'acceptance': model.as_dict()}) == model
    assert not AcceptanceModel.of_header({}).is_measured
