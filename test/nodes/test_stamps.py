# SPDX-License-Identifier: Apache-2.0
"""nodes/stamps.py: image stamps that are refused."""

from __future__ import annotations

import pytest

from dsac_ros.nodes.stamps import RestartDetector, StampCheck

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


def falls(stamps_s, period_s=0.2, detector=None):
    """By how much the detector says that stamps fell, one number [s] for each stamp."""
    detector = detector or RestartDetector()
    return [
        detector.restarted(round(stamp * SECOND), 1000.0 + n * period_s) / SECOND
        for n, stamp in enumerate(stamps_s)
    ]


def test_a_loop_is_sure_with_its_third_stamp():
    found = falls([100.0, 100.2, 100.4, 50.0, 50.2, 50.4, 50.6, 100.4])
    assert found == [0, 0, 0, 0, 0, pytest.approx(50.0), 0, 0]


def test_loops_are_found_again_and_again():
    bag = [10.0 + 0.2 * n for n in range(30)]
    found = falls(bag * 4)
    assert sum(fall > 0 for fall in found) == 3


@pytest.mark.parametrize(
    'stamps',
    [
        [100.0, 99.0, 99.1, 99.2, 99.3],
        [100.0, 50.0, 100.1, 50.1, 100.2, 50.2, 100.3],
        [100.0, 50.0, 50.0, 50.0, 50.0],
        [100.0, 50.0, 49.0, 48.0, 47.0],
        [0.0, 100.0, 0.0, 0.0, 0.0, 0.0],
        [100.0, 107.0, 300.0],
    ],
    ids=['late', 'two publishers', 'frozen', 'backwards', 'none', 'gaps'],
)
def test_other_stamps_are_no_restart(stamps):
    assert not any(falls(stamps))


def test_a_fast_and_a_slow_publisher_are_found_out():
    """Between two images of one, the other shows enough to look like a restart: once."""
    stamps = []
    for second in range(20):
        stamps += [100.0 + second, *(50.0 + second + 0.2 * n for n in range(5))]
    assert sum(fall > 0 for fall in falls(stamps, 1 / 6)) == 1


def test_what_another_source_has_shown_is_no_news():
    detector = RestartDetector()
    falls([100.0, 100.2], detector=detector)
    detector.begin_anew()
    assert not any(falls([50.0, 50.2, 50.4, 50.6], detector=detector))
