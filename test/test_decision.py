# SPDX-License-Identifier: Apache-2.0
"""decision.py: landmarks and features that contradict each other are no reason to trust a pose."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dsac_ros.alignment.align import Alignment
from dsac_ros.decision import agreement_verdict, confirmed, tell_one_view
from dsac_ros.types import Result

DEPTH_M = 2.0


def pose(metres):
    result = torch.eye(4, dtype=torch.float64)
    result[0, 3] = metres
    return result


def landmarks(**how):
    return Alignment(pose(0.0), torch.eye(6), 100.0, 0.4, 0.4, **how)


def features(metres, count):
    return SimpleNamespace(count=count, estimate=SimpleNamespace(
        world_from_camera=pose(metres)[None].float()))


@pytest.mark.parametrize(('found', 'result'), [
    (None, Result.ACCEPTED),
    (features(0.05, 10), Result.ACCEPTED),
    (features(0.5, 7), Result.ACCEPTED),    # so many agree by chance
    (features(0.5, 10), Result.AMBIGUOUS),
])
def test_features_may_contradict_landmarks(found, result):
    verdict, reason = agreement_verdict(landmarks(), found, DEPTH_M)
    assert verdict is result
    assert ('40% of the landmarks' in reason and '0.5 m' in reason) == (result is not
                                                                       Result.ACCEPTED)


@pytest.mark.parametrize(('found', 'one'), [
    (None, False), (features(0.05, 7), False), (features(0.05, 8), True),
    (features(0.5, 10), False)])
def test_few_features_may_tell_the_view_that_landmarks_tell(found, one):
    assert tell_one_view(landmarks(), found, DEPTH_M) is one


@pytest.mark.parametrize(('alignment', 'share'), [
    (landmarks(), 0.4), (landmarks(corner=True), 0.0), (landmarks(repeats=True), 0.0),
    (None, 0.0)])
def test_landmarks_in_a_corner_or_that_repeat_confirm_nothing(alignment, share):
    assert confirmed(alignment) == share
