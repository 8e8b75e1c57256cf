# SPDX-License-Identifier: Apache-2.0
"""alignment/search.py: which of several poses is believed, and when the search for one ends."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.landmarks import LEVELS
from dsac_ros.alignment.search import RESTART_LEVEL, refine_with_restarts, search
from dsac_ros.alignment.verification import Verification

DEPTH = 2.0


def turned(degrees, metres=0.0):
    pose = torch.eye(4, dtype=torch.float64)
    angle = torch.tensor(np.radians(degrees))
    pose[0, 0] = pose[1, 1] = angle.cos()
    pose[0, 1], pose[1, 0] = -angle.sin(), angle.sin()
    pose[0, 3] = metres
    return pose


def aligned(degrees, score, inlier_ratio, metres=0.0, visible=0.6):
    return Alignment(
        turned(degrees, metres), torch.eye(6), Verification(score, visible, inlier_ratio, False)
    )


def searched(steps):
    """Search candidates at these degrees with these alignments; return best and number tried."""
    tried = []

    def align(pose):
        tried.append(pose)
        return steps[len(tried) - 1][1]

    found = torch.tensor([True])
    candidates = [
        SimpleNamespace(found=found, world_from_camera=turned(start)[None]) for start, _ in steps
    ]
    return search(candidates, align, DEPTH), len(tried)


def test_a_stable_well_verified_pose_ends_the_search():
    """A candidate that alignment hardly moves and that has a high inlier ratio ends the search."""
    best, tried = searched([(0.5, aligned(0.0, 200, 0.8)), (0.0, None)])
    assert tried == 1
    assert best.verification.score == 200


@pytest.mark.parametrize('first', [aligned(0.0, 120, 0.7), aligned(5.5, 120, 0.4)])
def test_a_far_moved_or_partial_fit_continues_search(first):
    """A pose that alignment turned far, or with a low inlier ratio, does not end the search."""
    best, tried = searched([(6.0, first), (3.0, aligned(2.0, 210, 0.85)), (9.0, None)])
    assert tried == 2
    assert best.verification.score == 210


@pytest.mark.parametrize(
    'second', [(-6.0, aligned(0.01, 118, 0.5)), (0.3, None)], ids=['ends there', 'begins there']
)
def test_two_ways_to_the_same_pose_end_it_too(second):
    best, tried = searched([(6.0, aligned(0.0, 120, 0.5)), second, (9.0, None)])
    assert tried == (1 if second[1] is None else 2)
    assert best.verification.score == 120


def test_same_rotation_elsewhere_does_not_confirm():
    best, tried = searched(
        [(6.0, aligned(0.0, 120, 0.5)), (-6.0, aligned(0.0, 118, 0.5, 0.5)), (9.0, None)]
    )
    assert tried == 3
    assert best.verification.score == 120


def test_two_candidates_at_one_pose_raise_its_ratio():
    """The visible inlier ratio rises where two candidates converge to the same pose."""
    once, _ = searched([(6.0, aligned(0.0, 120, 0.5)), (-6.0, aligned(3.0, 118, 0.5))])
    twice, _ = searched([(6.0, aligned(0.0, 120, 0.5)), (-6.0, aligned(0.0, 118, 0.5))])
    assert once.verification.visible_inlier_ratio == 0.6
    assert 0.7 < twice.verification.visible_inlier_ratio < 1.0


def test_a_better_pose_is_not_confirmed_by_a_worse_one():
    """Two candidates that converge to a worse pose do not confirm a better one."""
    best, tried = searched(
        [
            (6.0, aligned(0.0, 90, 0.5, visible=0.2)),
            (-6.0, aligned(0.0, 91, 0.5, visible=0.2)),
            (9.0, aligned(5.0, 120, 0.5, visible=0.2)),
        ]
    )
    assert tried == 3
    assert best.verification.score == 120 and best.verification.visible_inlier_ratio == 0.2


def test_where_nothing_looks_right_there_is_no_pose():
    assert searched([(0.0, None), (1.0, None)]) == (None, 2)


def approached(*steps):
    """Refine with attempts that give these; return the result and the levels tried."""
    tried = []

    def align(pose, coarsest):
        tried.append(coarsest)
        return steps[len(tried) - 1]

    return refine_with_restarts(turned(8.0), align, DEPTH), tried


NEAR, FAR = LEVELS - 2, LEVELS - 1


@pytest.mark.parametrize(
    ('steps', 'levels', 'score'),
    [
        ([aligned(0.0, 100, 0.9)], [NEAR], 100),  # well aligned
        ([aligned(7.0, 100, 0.7)], [NEAR], 100),  # so was it before
        # but not from afar
        ([aligned(0.0, 60, 0.7), aligned(0.5, 90, 0.7)], [NEAR, RESTART_LEVEL], 90),
        ([aligned(7.9, 60, 0.3)], [NEAR], 60),  # does not move
        ([aligned(0.0, 9, 0.05)], [NEAR], 9),  # nothing to hold on to
        ([aligned(3.0, 60, 0.3), aligned(0.0, 90, 0.9)], [NEAR, FAR], 90),
        ([aligned(3.0, 60, 0.3), aligned(0.0, 50, 0.5)], [NEAR, FAR], 60),  # worse than before
        ([None, aligned(3.0, 60, 0.3), aligned(0.0, 90, 0.4)], [NEAR, FAR, FAR], 90),
    ],
)
def test_refinement_restarts_while_the_score_improves(steps, levels, score):
    best, tried = approached(*steps)
    assert tried == levels
    assert best.verification.score == score


def test_refinement_ends_if_the_restart_fails_too():
    """The restart begins at a coarser level."""
    assert approached(None, None) == (None, [NEAR, FAR])


def test_search_ends_after_three_hopeless_candidates():
    hopeless = [(20.0 * i, aligned(20.0 * i + 1, 20, 0.1)) for i in range(2)] + [(60.0, None)]
    assert searched([*hopeless, (80.0, aligned(80.0, 200, 0.9))])[1] == 3


def test_one_partial_fit_of_three_continues_the_search():
    first = [(0.0, aligned(1.0, 40, 0.3)), (30.0, None), (60.0, None)]
    best, tried = searched([*first, (80.0, aligned(80.0, 200, 0.9))])
    assert tried == 4 and best.verification.score == 200
