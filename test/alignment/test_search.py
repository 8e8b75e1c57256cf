# SPDX-License-Identifier: Apache-2.0
"""localizer.py: which of several poses is believed, and when the search for one ends."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dsac_ros.alignment.align import Alignment
from dsac_ros.localizer import Localizer, same_view


def turned(degrees):
    pose = torch.eye(4, dtype=torch.float64)
    angle = torch.tensor(np.radians(degrees))
    pose[0, 0] = pose[1, 1] = angle.cos()
    pose[0, 1], pose[1, 0] = -angle.sin(), angle.sin()
    return pose


def aligned(degrees, found, overall):
    return Alignment(turned(degrees), torch.eye(6), found, 0.6, overall)


def search(monkeypatch, steps):
    """What is believed of candidates at these degrees with these alignments; how many it took."""
    tried = []

    def align(image, matrix, pose):
        tried.append(pose)
        return steps[len(tried) - 1][1]
    localizer = object.__new__(Localizer)
    localizer.gallery = SimpleNamespace(align=align)
    monkeypatch.setattr(localizer, '_candidates', lambda *_: (
        SimpleNamespace(found=torch.tensor([True]), world_from_camera=turned(start)[None])
        for start, _ in steps), raising=False)
    _, best = localizer._align(None, np.eye(3), None, None)
    return best, len(tried)


def test_a_pose_that_stays_where_it_was_and_looks_right_ends_the_search(monkeypatch):
    best, tried = search(monkeypatch, [(0.5, aligned(0.0, 200, 0.8)), (0.0, None)])
    assert tried == 1
    assert best.found == 200


@pytest.mark.parametrize('first', [aligned(0.0, 120, 0.7), aligned(5.5, 120, 0.4)])
def test_one_that_was_turned_far_or_fits_a_part_does_not(monkeypatch, first):
    best, tried = search(monkeypatch, [(6.0, first), (0.2, aligned(0.0, 210, 0.85)), (0.0, None)])
    assert tried == 2
    assert best.found == 210


def test_two_ways_to_the_same_pose_end_it_too(monkeypatch):
    far = [(6.0, aligned(0.0, 120, 0.5)), (-6.0, aligned(0.01, 118, 0.5)), (0.0, None)]
    best, tried = search(monkeypatch, far)
    assert tried == 2
    assert best.found == 120


def test_views_are_the_same_up_to_an_angle():
    assert same_view(turned(0.0), turned(1.0), np.radians(1.1))
    assert not same_view(turned(0.0), turned(1.0), np.radians(0.9))
