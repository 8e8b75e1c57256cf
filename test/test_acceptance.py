# SPDX-License-Identifier: Apache-2.0
"""acceptance.py: thresholds and covariance of an acceptance model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.config import AcceptConfig
from dsac_ros.types import PoseStatistics, Result


def cells(ratio, spread, agreement, count=1000, **others):
    return PoseStatistics(ratio, count, spread, agreement, **others)


def test_json_round_trip_ignores_unknown_keys():
    model = AcceptanceModel(floor_m=0.01, min_inliers=77)
    values = json.loads(json.dumps({**model.as_dict(), 'from_the_future': 1}))
    assert AcceptanceModel.from_dict(values) == model
    assert AcceptanceModel.from_dict(None) == AcceptanceModel()
    older = AcceptanceModel.from_dict({'covariance_scale': 3.0, 'floor_m': 20.0})
    assert (older.alone_scale, older.alone_floor_m) == (3.0, 20.0)
    assert older.alone_floor_rad == AcceptanceModel.alone_floor_rad


def test_a_threshold_of_the_user_stands_above_the_map():
    model = AcceptanceModel(min_inliers=77, min_spread=0.3).overridden(AcceptConfig(min_inliers=5))
    assert (model.min_inliers, model.min_spread) == (5, 0.3)
    assert (
        AcceptanceModel(min_visible_inlier_ratio=0.3)
        .overridden(AcceptConfig(min_visible_inlier_ratio=0.5))
        .min_visible_inlier_ratio
        == 0.5
    )


def test_coordinates_never_right_verify_nothing():
    model = AcceptanceModel(accepts_alone=False, checked=28, right_alone=0)
    found, reason = model.verdict(cells(1.0, 1.0, 1.0))
    assert found == Result.LOW_INLIERS and 'right in 0 of 28 frames' in reason
    assert model.verdict(cells(0.0, 0.0, 0.0, feature_inliers=50))[0] == Result.ACCEPTED
    assert model.verdict(cells(0.0, 0.0, 0.0, visible_inlier_ratio=0.9))[0] == Result.ACCEPTED
    own = model.overridden(AcceptConfig(min_inlier_ratio=0.9))
    assert own.verdict(cells(1.0, 1.0, 1.0))[0] == Result.ACCEPTED
    assert not model.overridden(AcceptConfig(min_inliers=5)).accepts_alone


@pytest.mark.parametrize(
    ('ratio', 'threshold', 'result'),
    [
        (0.3, 0.25, Result.ACCEPTED),
        (0.3, 0.35, Result.LOW_INLIERS),
        (0.9, 1.0, Result.LOW_INLIERS),
        (0.0, 0.0, Result.LOW_INLIERS),
    ],
)
def test_landmarks_alone_verify_a_pose(ratio, threshold, result):
    model = AcceptanceModel(min_visible_inlier_ratio=threshold)
    found, reason = model.verdict(PoseStatistics(visible_inlier_ratio=ratio))
    assert found == result
    assert result == Result.ACCEPTED or f'{ratio:.0%} of the landmarks' in reason
    # and the scene coordinates do without them
    assert model.verdict(cells(0.5, 1.0, 1.0, visible_inlier_ratio=ratio))[0] == Result.ACCEPTED


@pytest.mark.parametrize(
    ('inliers', 'threshold', 'result'),
    [(20, 20, Result.ACCEPTED), (19, 20, Result.LOW_INLIERS), (0, 0, Result.LOW_INLIERS)],
)
def test_features_alone_verify_a_pose(inliers, threshold, result):
    model = AcceptanceModel(min_feature_inliers=threshold)
    found, reason = model.verdict(
        PoseStatistics(visible_inlier_ratio=0.1, feature_inliers=inliers)
    )
    assert found == result
    assert result == Result.ACCEPTED or f'{inliers} features' in reason


def test_features_may_contradict_landmarks():
    told = PoseStatistics(visible_inlier_ratio=0.4, feature_inliers=10, contradicted=True)
    found, reason = AcceptanceModel().verdict(told)
    assert found is Result.AMBIGUOUS and '40% of the landmarks' in reason and '10' in reason
    few, many = (replace(told, feature_inliers=count) for count in (20, 21))
    assert AcceptanceModel().verdict(few)[0] is Result.AMBIGUOUS
    assert AcceptanceModel().verdict(many)[0] is Result.ACCEPTED
    assert AcceptanceModel().verdict(replace(few, contradicted=False))[0] is Result.ACCEPTED


def test_features_without_their_landmarks_must_be_many():
    told = PoseStatistics(feature_inliers=20, contradicted=True)
    found, reason = AcceptanceModel().verdict(told)
    assert found is Result.AMBIGUOUS and '20 features agree, expected 21' in reason
    assert AcceptanceModel().verdict(replace(told, feature_inliers=21))[0] is Result.ACCEPTED


@pytest.mark.parametrize(
    ('ratio', 'inliers', 'agreeing', 'result'),
    [
        (0.3, 8, True, Result.ACCEPTED),  # 0.6 + 0.67
        (0.3, 8, False, Result.LOW_INLIERS),
        (0.2, 9, True, Result.LOW_INLIERS),  # 0.4 + 0.75
        (0.4, 10, False, Result.LOW_INLIERS),
    ],
)
def test_landmarks_and_features_add_up(ratio, inliers, agreeing, result):
    model = AcceptanceModel(min_visible_inlier_ratio=0.5)
    told = PoseStatistics(visible_inlier_ratio=ratio, feature_inliers=inliers, agreeing=agreeing)
    assert model.verdict(told)[0] is result
    raw = np.eye(6)
    verified = model.covariance(raw, told)[0, 0] == 10.0 + model.floor_m**2
    assert verified or result is not Result.ACCEPTED


def test_landmarks_of_a_mirrored_place_add_nothing():
    told = PoseStatistics(visible_inlier_ratio=0.9, feature_inliers=11, agreeing=True)
    assert AcceptanceModel(min_visible_inlier_ratio=0.95).verdict(told)[0] is Result.ACCEPTED
    assert AcceptanceModel(min_visible_inlier_ratio=1.0).verdict(told)[0] is Result.LOW_INLIERS


def test_the_model_of_the_map_is_kept_beside_the_users():
    fitted = AcceptanceModel(min_inliers=77)
    once = fitted.overridden(AcceptConfig(min_inliers=5))
    twice = once.overridden(AcceptConfig(min_spread=0.9))
    assert fitted.fitted is None and once.fitted == twice.fitted == fitted
    assert fitted.overridden(AcceptConfig()) is fitted
    assert 'fitted' not in once.as_dict() and once.as_dict()['min_inliers'] == 5


def test_covariance_never_falls_below_the_floor():
    covariance = AcceptanceModel(floor_m=0.02, floor_rad=0.01).covariance(
        np.zeros((6, 6)), PoseStatistics(visible_inlier_ratio=1.0)
    )
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [0.02] * 3 + [0.01] * 3)


def test_unverified_poses_have_their_own_covariance():
    model = AcceptanceModel(
        covariance_scale=2.0,
        floor_m=0.001,
        floor_rad=0.001,
        alone_scale=5.0,
        alone_floor_m=0.03,
        alone_floor_rad=0.02,
    )
    verified, alone, by_features = (
        model.covariance(
            np.eye(6), PoseStatistics(visible_inlier_ratio=ratio, feature_inliers=inliers)
        )
        for ratio, inliers in ((0.5, 0), (0.1, 0), (0.1, model.min_feature_inliers))
    )
    np.testing.assert_allclose(verified, np.diag([2.0 + 1e-6] * 6))
    np.testing.assert_array_equal(by_features, verified)
    np.testing.assert_allclose(alone, np.diag([5.0 + 9e-4] * 3 + [5.0 + 4e-4] * 3))


@pytest.mark.parametrize(
    ('statistics', 'result', 'word'),
    [
        (cells(0.01, 1.0, 1.0), Result.LOW_INLIERS, '1.0%'),
        (cells(0.5, 1.0, 1.0, count=12), Result.LOW_INLIERS, '12 inliers'),
        (cells(0.5, 0.05, 1.0), Result.LOW_SPREAD, '5%'),
        (cells(0.5, 1.0, 0.1), Result.AMBIGUOUS, '10%'),
        (cells(0.5, 1.0, 1.0), Result.ACCEPTED, ''),
    ],
)
def test_verdict_says_what_is_missing(statistics, result, word):
    found, reason = AcceptanceModel(min_agreement=0.2).verdict(statistics)
    assert found == result
    assert word in reason


def test_an_unmeasured_map_doubts_in_its_own_unit():
    near, far = AcceptanceModel.unmeasured(2.0), AcceptanceModel.unmeasured(2000.0)
    assert far.floor_m == pytest.approx(1000.0 * near.floor_m)
    assert far.floor_rad == near.floor_rad
