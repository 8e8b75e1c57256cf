# SPDX-License-Identifier: Apache-2.0
"""evaluation/conditions.py: what makes an evaluation fail."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.evaluation.conditions import parse_condition
from dsac_ros.metrics import Limits, evaluate
from dsac_ros.types import Localization, Result


@pytest.fixture
def report():
    """Nine frames 3 cm off and one without an estimate."""
    pose = np.eye(4)
    pose[0, 3] = 0.03
    found = [Localization(Result.ACCEPTED, world_from_camera=pose, timings_ms={'network': 5.0})]
    return evaluate(found * 9 + [Localization(Result.LOW_INLIERS)], [np.eye(4)] * 10, 1234, 'cpu')


@pytest.mark.parametrize(
    ('text', 'value', 'holds'),
    [
        ('recall@0.05m/5deg<0.8', 0.9, False),
        ('recall@0.05/5<0.95', 0.9, True),
        ('recall@0.02m/2deg < 0.5', 0.0, True),
        ('recall@0.031m/1deg<=0.9', 0.9, True),
        ('median_translation_m>0.02', 0.03, True),
        ('median_translation_m>=0.04', 0.03, False),
        ('accepted<9', 9, False),
        ('false_accepts>0', 0, False),
        ('latency_ms.total.p95>100', 5.0, False),
        ('latency_ms.network.p50>4.5', 5.0, True),
        ('map_bytes>1e3', 1234, True),
    ],
)
def test_conditions_speak_of_the_report(report, text, value, holds):
    condition = parse_condition(text)
    assert condition.value(report) == pytest.approx(value)
    assert condition.holds(report) is holds


@pytest.mark.parametrize(
    'text',
    ['latency_ms.warp.p50>1', 'coverage.1sigma<0.5', 'hardest.3sigma<0.5', 'confidence_auc<0'],
)
def test_a_number_that_is_not_there_fails(report, text):
    assert np.isnan(parse_condition(text).value(report)) or 'auc' in text
    assert parse_condition(text).holds(report) is ('auc' not in text)


def test_trust_can_be_asked_for():
    pose = np.eye(4)
    pose[0, 3] = 0.03
    given = {'world_from_camera': pose, 'covariance': 0.01**2 * np.eye(6)}
    found = evaluate([Localization(Result.ACCEPTED, **given)] * 8, [np.eye(4)] * 8)
    for text, value in (('nees.position>4', 9.0), ('nees.pose>6', 9.0), ('hardest.1sigma<1', 0.0)):
        assert parse_condition(text).value(found) == pytest.approx(value)
        assert parse_condition(text).holds(found)
    assert parse_condition('hardest.2sigma<1').value(found) == 1.0


def test_recall_within_a_share_of_the_depth():
    pose = np.eye(4)
    pose[0, 3] = 0.03
    found = [Localization(Result.ACCEPTED, world_from_camera=pose)]
    deep = evaluate(found, [np.eye(4)], limits=Limits(depth=2.0))
    assert parse_condition('recall@2%/5deg<0.5').value(deep) == 1.0
    assert parse_condition('recall@1%/5<0.5').holds(deep)
    unknown = evaluate(found, [np.eye(4)])
    assert np.isnan(parse_condition('recall@2%/5deg<0.5').value(unknown))
    assert parse_condition('recall@2%/5deg<0.5').holds(unknown)


def test_an_infinite_median_is_too_large():
    nothing = evaluate([Localization(Result.ERROR)] * 2, [np.eye(4)] * 2)
    assert parse_condition('median_translation_m>1000').holds(nothing)


@pytest.mark.parametrize(
    'text',
    [
        'recall<0.8',
        'recall@5cm<0.8',
        'median>1',
        'accepted=3',
        'accepted<many',
        '',
        '__import__("os")<1',
        'latency_ms.p50>1',
    ],
)
def test_what_is_no_condition_lists_the_known_names(text):
    with pytest.raises(ValueError, match=r'known names: frames, accepted, .*recall@'):
        parse_condition(text)
