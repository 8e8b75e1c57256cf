# SPDX-License-Identifier: Apache-2.0
"""calibration.py: what the localizer makes of a map's calibration."""
from __future__ import annotations

import json

import numpy as np
import pytest

from dsac_ros.calibration import Calibration
from dsac_ros.config import AcceptConfig
from dsac_ros.types import Result


def test_it_travels_through_json_and_ignores_what_it_does_not_know():
    calibration = Calibration(floor_m=0.01, min_inliers=77)
    values = json.loads(json.dumps({**calibration.as_dict(), 'from_the_future': 1}))
    assert Calibration.from_dict(values) == calibration
    assert Calibration.from_dict(None) == Calibration()
    older = Calibration.from_dict({'covariance_scale': 3.0, 'floor_m': 20.0})
    assert (older.alone_scale, older.alone_floor_m) == (3.0, 20.0)
    assert older.alone_floor_rad == Calibration.alone_floor_rad


def test_a_threshold_of_the_user_stands_above_the_map():
    calibration = Calibration(min_inliers=77, min_spread=0.3).overridden(
        AcceptConfig(min_inliers=5))
    assert (calibration.min_inliers, calibration.min_spread) == (5, 0.3)
    assert Calibration(min_landmark_share=0.3).overridden(
        AcceptConfig(min_landmark_share=0.5)).min_landmark_share == 0.5


def test_more_evidence_never_lowers_the_confidence():
    shares = np.linspace(0, 1, 20)
    for varied in ((shares, 0.5, 0.5), (0.3, shares, 0.5), (0.3, 0.5, shares)):
        assert (np.diff(Calibration().confidence(*varied)) >= 0).all()
    assert Calibration().confidence(0.0, 0.0, 0.0) < 0.01
    assert Calibration().confidence(0.6, 1.0, 1.0) > 0.9


@pytest.mark.parametrize(('share', 'threshold', 'result'), [
    (0.3, 0.25, Result.ACCEPTED), (0.3, 0.35, Result.LOW_INLIERS), (0.9, 1.0, Result.LOW_INLIERS),
    (0.0, 0.0, Result.LOW_INLIERS)])
def test_landmarks_alone_confirm_a_pose(share, threshold, result):
    calibration = Calibration(min_landmark_share=threshold)
    found, reason = calibration.verdict(0.0, 0, 0.0, 0.0, share)
    assert found == result
    assert result == Result.ACCEPTED or f'{share:.0%} of the landmarks' in reason
    # and the scene coordinates do without them
    assert calibration.verdict(0.5, 1000, 1.0, 1.0, share)[0] == Result.ACCEPTED


@pytest.mark.parametrize(('matches', 'threshold', 'result'), [
    (20, 20, Result.ACCEPTED), (19, 20, Result.LOW_INLIERS), (0, 0, Result.LOW_INLIERS)])
def test_features_alone_confirm_a_pose(matches, threshold, result):
    calibration = Calibration(min_matches=threshold)
    found, reason = calibration.verdict(0.0, 0, 0.0, 0.0, 0.1, matches)
    assert found == result
    assert result == Result.ACCEPTED or f'{matches} features' in reason


def test_as_many_features_as_are_asked_are_worth_the_share_of_landmarks_that_is():
    calibration = Calibration(min_matches=30, min_landmark_share=0.4)
    seen = (0.02, 0.3, 0.5)
    assert calibration.confidence(*seen, 0.0, 30) == calibration.confidence(*seen, 0.4)
    assert calibration.confidence(*seen, 0.5, 30) == calibration.confidence(*seen, 0.5)


def test_covariance_never_falls_below_the_floor():
    covariance = Calibration(floor_m=0.02, floor_rad=0.01).covariance(np.zeros((6, 6)), 1.0)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [0.02] * 3 + [0.01] * 3)


def test_a_pose_that_nothing_confirms_has_a_covariance_of_its_own():
    calibration = Calibration(covariance_scale=2.0, floor_m=0.001, floor_rad=0.001,
                              alone_scale=5.0, alone_floor_m=0.03, alone_floor_rad=0.02)
    confirmed, alone = (calibration.covariance(np.eye(6), share) for share in (0.5, 0.1))
    by_features = calibration.covariance(np.eye(6), 0.1, matches=calibration.min_matches)
    np.testing.assert_allclose(confirmed, np.diag([2.0 + 1e-6] * 6))
    np.testing.assert_array_equal(by_features, confirmed)
    np.testing.assert_allclose(alone, np.diag([5.0 + 9e-4] * 3 + [5.0 + 4e-4] * 3))


@pytest.mark.parametrize(('evidence', 'result', 'word'), [
    ((0.01, 1000, 1.0, 1.0), Result.LOW_INLIERS, '1.0%'),
    ((0.5, 12, 1.0, 1.0), Result.LOW_INLIERS, '12 inliers'),
    ((0.5, 1000, 0.05, 1.0), Result.LOW_SPREAD, '5%'),
    ((0.5, 1000, 1.0, 0.1), Result.AMBIGUOUS, '10%'),
    ((0.5, 1000, 1.0, 1.0), Result.ACCEPTED, ''),
])
def test_verdict_says_what_is_missing(evidence, result, word):
    found, reason = Calibration(min_agreement=0.2).verdict(*evidence)
    assert found == result
    assert word in reason


def test_a_map_that_was_not_measured_doubts_in_its_own_unit():
    near, far = Calibration.unmeasured(2.0), Calibration.unmeasured(2000.0)
    assert far.floor_m == pytest.approx(1000.0 * near.floor_m)
    assert far.floor_rad == near.floor_rad
