# SPDX-License-Identifier: Apache-2.0
"""evaluation/thresholds.py: limits in metres and in shares of the scene's depth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsac_ros.evaluation.thresholds import (
    Threshold,
    limits_of,
    parse_threshold,
    parse_thresholds,
)
from dsac_ros.metrics import evaluate
from dsac_ros.types import Localization, Result


@pytest.mark.parametrize(
    ('text', 'expected', 'key'),
    [
        ('0.05/5', Threshold(0.05, False, 5.0), '0.05m_5deg'),
        ('0.005m/1deg', Threshold(0.005, False, 1.0), '0.005m_1deg'),
        ('2%/5', Threshold(2.0, True, 5.0), '2%_5deg'),
        (' 12.5%/0.5deg', Threshold(12.5, True, 0.5), '12.5%_0.5deg'),
    ],
)
def test_thresholds_are_read_and_named(text, expected, key):
    assert parse_threshold(text) == expected
    assert expected.key == key


@pytest.mark.parametrize('text', ['', '5', '0.05', '5cm/5', '-1/5', '2 %/5', '0.05/5,', '1/2/3'])
def test_what_is_no_threshold_says_what_is(text):
    with pytest.raises(ValueError, match=r'is no threshold; expected METRES/DEGREES'):
        parse_thresholds(text)


def test_shares_are_of_the_depth():
    limits = limits_of(20.0, parse_thresholds('2%/5,0.3/1'), parse_threshold('15%/15'))
    assert limits.recall['2%_5deg'] == (pytest.approx(0.4), 5.0)
    assert limits.recall['0.30m_1deg'] == (0.3, 1.0)
    assert '0.05m_5deg' in limits.recall
    assert limits.false_accept == (pytest.approx(3.0), 15.0)
    assert limits_of(20.0).false_accept == (0.5, 15.0)
    assert math.isnan(parse_threshold('2%/5').metres(math.nan))


def test_a_report_is_judged_by_its_limits():
    pose = np.eye(4)
    pose[0, 3] = 0.7
    found = [Localization(Result.ACCEPTED, world_from_camera=pose)]
    wide = limits_of(20.0, parse_thresholds('5%/5'), parse_threshold('15%/15'))
    usual = evaluate(found, [np.eye(4)]).as_dict()
    wider = evaluate(found, [np.eye(4)], limits=wide).as_dict()
    assert (usual['false_accepts'], wider['false_accepts']) == (1, 0)
    assert wider['recall']['5%_5deg'] == 1.0 and wider['recall']['0.50m_5deg'] == 0.0
