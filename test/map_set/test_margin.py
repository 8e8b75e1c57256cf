# SPDX-License-Identifier: Apache-2.0
"""The margin: poses in two maps that fit an image alike are no pose."""

from __future__ import annotations

import numpy as np
import pytest
from entries import entry

from dsac_ros.map_set.margin import Answer, Evidence, with_margin
from dsac_ros.trace import Trace
from dsac_ros.types import Localization, Result


def answer(name, evidence, frame='map', x=0.0, result=Result.ACCEPTED):
    place = np.eye(4)
    place[0, 3] = x
    found = Localization(result, world_from_camera=place, confidence=0.9)
    return Answer(entry(name, frame), Trace(found, candidates=(place,)), evidence)


@pytest.mark.parametrize(
    ('mine', 'theirs', 'margin'),
    [
        (Evidence(100, 0.9), Evidence(20, 0.9), 1.0),
        (Evidence(100, 0.9), Evidence(80, 0.7), 0.2),
        (Evidence(80, 0.9), Evidence(100, 0.7), 0.0),
        (Evidence(80, 0.7), Evidence(100, 0.9), -0.2),
        (Evidence(5, 0.8), Evidence(9, 0.2), 0.6),
        (Evidence(scene=0.3), Evidence(scene=0.3), 0.0),
        (Evidence(confidence=0.8), Evidence(confidence=0.2), 0.6),
        (Evidence(), Evidence(), 0.0),
    ],
)
def test_landmarks_tell_where_features_agree(mine, theirs, margin):
    assert mine.margin_over(theirs) == pytest.approx(margin)


def test_look_alikes_are_ambiguous_with_both_poses():
    first = answer('first', Evidence(90, 0.9))
    second = answer('second', Evidence(70, 0.85), x=4.0, result=Result.LOW_INLIERS)
    found = with_margin(first, [second], 0.1)
    assert found.localization.result is Result.AMBIGUOUS
    assert "'first'" in found.localization.reason and "'second'" in found.localization.reason
    assert [pose[0, 3] for pose in found.trace.candidates[:2]] == [0.0, 4.0]
    assert found.localization.confidence <= 0.5


def test_a_clear_margin_is_accepted():
    first, second = answer('first', Evidence(90, 0.9)), answer('second', Evidence(60, 0.7), x=4.0)
    assert with_margin(first, [second], 0.1) is first


def test_overlapping_maps_agree():
    """Two maps of one frame that tell one view do not contradict each other."""
    first, second = answer('first', Evidence(90)), answer('second', Evidence(90), x=0.05)
    assert with_margin(first, [second], 0.1) is first


def test_frames_of_other_floors_do_not_agree():
    first, second = answer('first', Evidence(90), 'a'), answer('second', Evidence(90), 'b')
    assert with_margin(first, [second], 0.1).localization.result is Result.AMBIGUOUS
