# SPDX-License-Identifier: Apache-2.0
"""nodes/stamps.py: image stamps that are refused."""

from __future__ import annotations

import pytest

from dsac_ros.nodes.stamps import StampCheck

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def test_a_fresh_image_passes():
    assert StampCheck().reason_against(NOW - SECOND // 10, NOW, 1.0) == ''


@pytest.mark.parametrize(
    ('stamp', 'word'),
    [
        (0, 'no time stamp'),
        (NOW + 2 * SECOND, '2.0 s in the future: synchronise the clocks'),
        (NOW - 3 * SECOND, '3.0 s old, at most 1 s are allowed (max_image_age): raise it'),
        (2 * NOW, 'runs on simulated time and the camera does not (set use_sim_time:=false)'),
        (12 * SECOND, 'play a bag with --clock and set use_sim_time:=true'),
    ],
)
def test_refused(stamp, word):
    assert word in StampCheck().reason_against(stamp, NOW, 1.0)


def test_any_age_with_zero():
    assert StampCheck().reason_against(SECOND, NOW, 0.0) == ''


def test_before_simulated_time_only_the_order_counts():
    check = StampCheck()
    assert check.reason_against(NOW, 0, 1.0) == ''
    assert 'older than the last' in check.reason_against(NOW - 1, 0, 1.0)


def test_the_same_image_again():
    check = StampCheck()
    assert check.reason_against(NOW, NOW, 1.0) == ''
    assert '0.000 s older' in check.reason_against(NOW, NOW, 1.0)


def test_a_bag_that_starts_over():
    check = StampCheck()
    assert check.reason_against(NOW, NOW, 1.0) == ''
    assert check.reason_against(NOW - 60 * SECOND, NOW - 60 * SECOND, 1.0) == ''


def test_a_refused_image_does_not_hold_up_the_next():
    check = StampCheck()
    assert check.reason_against(NOW + 5 * SECOND, NOW, 1.0)
    assert check.reason_against(NOW, NOW, 1.0) == ''
