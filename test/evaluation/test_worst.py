# SPDX-License-Identifier: Apache-2.0
"""evaluation/worst.py: which frames are the worst, and what is said about them."""

from __future__ import annotations

import numpy as np

from dsac_ros.evaluation.worst import worst_frames
from dsac_ros.metrics import evaluate
from dsac_ros.types import Localization, PoseStatistics, Result

STATISTICS = PoseStatistics(0.25, 60, 0.5, 0.1, 0.4, 17, True)


def off(metres, result=Result.ACCEPTED, reason='', name=''):
    pose = np.eye(4)
    pose[0, 3] = metres
    return Localization(
        result, reason, 0, name, pose, np.eye(6) * 0.01, STATISTICS, confidence=0.7
    )


def test_false_accepts_are_worse_than_no_estimate():
    found = [
        off(0.1, name='slightly off'),
        Localization(Result.BAD_IMAGE, 'no contrast', name='black'),
        off(0.9, name='wrong'),
        off(3.0, Result.LOW_INLIERS, '5 of 40', name='refused'),
        off(2.0, name='more wrong'),
        off(0.0, name='right'),
        off(0.01, name='nearly right'),
    ]
    worst = worst_frames(found, evaluate(found, [np.eye(4)] * 7), np.arange(7) / 10)
    names = [one['name'] for one in worst]
    assert names == ['more wrong', 'wrong', 'black', 'refused', 'slightly off']
    wrong, _, black, refused, slightly = (one['what'] for one in worst)
    assert wrong.startswith('accepted, though wrong; its position is 20.0 standard deviations off')
    assert '17 features, 40% of the visible landmarks, 60 cells (25%) over 50%' in wrong
    assert 'landmarks and features tell different views' in wrong
    assert '0.40 m from the nearest mapping frame (median of all frames: 0.30 m)' in wrong
    assert black.startswith('refused, BAD_IMAGE: no contrast; no estimate at all; evidence: none')
    assert refused.startswith('refused, LOW_INLIERS: 5 of 40; ')
    assert slightly.startswith('accepted; its position is 1.0 standard deviations off')
    assert worst[0]['feature_inliers'] == 17 and worst[0]['confidence'] == 0.7


def test_without_mapping_frames_no_distance_is_told():
    found = [off(0.1)]
    (worst,) = worst_frames(found, evaluate(found, [np.eye(4)]))
    assert 'mapping frame' not in worst['what'] and np.isnan(worst['mapping_distance_m'])
