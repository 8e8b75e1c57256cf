# SPDX-License-Identifier: Apache-2.0
"""metrics.py: what counts how."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from dsac_ros.metrics import (
    SIGMA_RADII,
    Reliability,
    evaluate,
    field_median,
    mahalanobis_squared,
    roc_auc,
    twist_error,
)
from dsac_ros.types import Localization, Result


def pose(position, rotation_vector=(0.0, 0.0, 0.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rotation_vector).as_matrix()
    matrix[:3, 3] = position
    return matrix


def found(world_from_camera, result=Result.ACCEPTED, **more):
    return Localization(result, world_from_camera=world_from_camera, **more)


@pytest.mark.parametrize('angle', [0.0, 1e-9, 0.3, 3.0, math.pi - 1e-9, math.pi])
def test_twist_error_is_the_world_side_perturbation(angle):
    estimate = pose([1, 2, 3], [0.2, -0.4, 1.0])
    axis = np.array([2.0, -1.0, 2.0]) / 3
    turn = Rotation.from_rotvec(angle * axis).as_matrix()
    reference = estimate.copy()
    reference[:3, :3] = turn @ estimate[:3, :3]
    reference[:3, 3] += [0.1, -0.2, 0.3]
    twist = twist_error(estimate, reference)
    np.testing.assert_allclose(twist[:3], [0.1, -0.2, 0.3], atol=1e-12)
    assert np.linalg.norm(twist[3:]) == pytest.approx(angle, abs=1e-7)
    np.testing.assert_allclose(Rotation.from_rotvec(twist[3:]).as_matrix(), turn, atol=1e-7)


def test_failed_and_refused_frames_count():
    near, far = pose([0.03, 0, 0]), pose([0.6, 0, 0])
    report = evaluate(
        [found(near), found(near, Result.LOW_INLIERS), found(far), Localization(Result.BAD_IMAGE)],
        [np.eye(4)] * 4,
    ).as_dict()
    assert (report['frames'], report['accepted'], report['estimated']) == (4, 2, 3)
    # Errors 0.03, 0.03, 0.6, inf: element 4 // 2 of them.
    assert report['median_translation_m'] == pytest.approx(0.6)
    assert report['median_translation_accepted_m'] == pytest.approx(0.6)
    assert report['recall']['0.05m_5deg'] == 0.25
    assert report['recall']['0.02m_2deg'] == 0.0
    assert report['false_accepts'] == 1
    assert report['results'] == {'ACCEPTED': 2, 'BAD_IMAGE': 1, 'LOW_INLIERS': 1}


def test_nothing_found_gives_json_without_infinities():
    report = evaluate([Localization(Result.ERROR)] * 3, [np.eye(4)] * 3).as_dict()
    assert report['median_translation_m'] is None
    assert report['median_translation_accepted_m'] is None
    assert json.loads(json.dumps(report, allow_nan=False))['frames'] == 3


def test_no_frames_at_all():
    assert evaluate([], []).as_dict()['recall']['0.05m_5deg'] == 0.0


def test_the_keys_of_the_design():
    report = evaluate(
        [found(np.eye(4), timings_ms={'network': 3.0, 'ransac': 1.0})], [np.eye(4)], 17, 'cpu'
    ).as_dict()
    assert set(report) >= {
        'frames',
        'accepted',
        'median_translation_m',
        'median_rotation_deg',
        'median_translation_accepted_m',
        'median_rotation_accepted_deg',
        'recall',
        'false_accepts',
        'coverage',
        'latency_ms',
        'map_bytes',
        'device',
    }
    assert list(report['recall']) == [
        '0.02m_2deg',
        '0.05m_5deg',
        '0.10m_5deg',
        '0.25m_2deg',
        '0.50m_5deg',
    ]
    assert report['latency_ms']['total'] == {'p50': 4.0, 'p95': 4.0, 'p99': 4.0}
    assert set(report['coverage']) == {'1sigma', '2sigma', '3sigma'}


def test_sigma_radii_have_six_degrees_of_freedom():
    shares = [0.6826894921, 0.9544997361, 0.9973002039]
    np.testing.assert_allclose(list(SIGMA_RADII.values()), chi2.ppf(shares, 6), rtol=1e-4)


def test_an_honest_covariance_covers():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6)) * 0.01 + np.eye(6) * 0.02
    covariance = root @ root.T
    references = []
    for _ in range(2000):
        twist = root @ rng.normal(size=6)
        references.append(pose(twist[:3], twist[3:]))
    coverage = evaluate([found(np.eye(4), covariance=covariance)] * 2000, references).coverage()
    assert coverage['1sigma'] == pytest.approx(0.683, abs=0.03)
    assert coverage['2sigma'] == pytest.approx(0.954, abs=0.015)
    assert coverage['3sigma'] == pytest.approx(0.997, abs=0.005)


def test_a_covariance_that_is_none_covers_nothing():
    assert mahalanobis_squared(np.ones(6), np.zeros((6, 6))) == math.inf
    assert mahalanobis_squared(np.ones(6), np.full((6, 6), np.nan)) == math.inf


def test_median_and_auc():
    assert field_median(np.array([4.0, 1.0, 3.0, 2.0])) == 3.0
    assert math.isnan(field_median(np.array([])))
    assert roc_auc(np.array([0.9, 0.8, 0.1]), np.array([True, True, False])) == 1.0
    assert roc_auc(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    assert math.isnan(roc_auc(np.array([0.5]), np.array([True])))


def test_reliability_of_draws_is_what_was_promised():
    rng = np.random.default_rng(0)
    promised = rng.uniform(0, 1, 50_000)
    honest = Reliability.of(promised, rng.uniform(0, 1, 50_000) < promised)
    assert sum(row[1] for row in honest.bins) == 50_000
    for _, _, predicted, observed in honest.bins:
        assert observed == pytest.approx(predicted, abs=0.02)
    assert honest.brier == pytest.approx(1 / 6, abs=0.005)
    assert honest.auc == pytest.approx(5 / 6, abs=0.005)


def test_reliability_bins_hold_both_ends():
    found = Reliability.of(np.array([0.0, 0.05, 0.979, 1.0]), np.array([False, False, True, True]))
    assert found.bins == (
        (0.0, 1, 0.0, 0.0),
        (0.05, 1, 0.05, 0.0),
        (0.95, 1, 0.979, 1.0),
        (0.98, 1, 1.0, 1.0),
    )
    nothing = Reliability.of(np.zeros(0), np.zeros(0, bool))
    assert math.isnan(nothing.brier) and nothing.bins == ()


def test_a_report_compares_confidence_with_errors():
    near, far = pose([0.2, 0, 0]), pose([0.3, 0, 0])
    report = evaluate(
        [found(near, confidence=0.9), found(far, Result.LOW_INLIERS, confidence=0.1)],
        [np.eye(4)] * 2,
    ).as_dict()
    assert report['confidence']['brier'] == pytest.approx(0.01)
    assert [row['observed'] for row in report['confidence']['bins']] == [0.0, 1.0]
    assert report['confidence_auc'] == 1.0
