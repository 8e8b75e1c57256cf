# SPDX-License-Identifier: Apache-2.0
"""Views are matched with partners from all sides that see the same."""

from __future__ import annotations

import numpy as np
from walls import DISTANCE, MATRIX, SIZE_WH, pose

from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.matching import MAX_DISTANCE, PARTNERS, distances, neighbours, partners


def at(x, turn_deg=0.0):
    scene = pose(x, turn_deg=turn_deg)
    scene[:3, 3] /= DISTANCE
    image = np.zeros(SIZE_WH[::-1], np.uint8)
    return View(image, image == 0, MATRIX, scene, None)


def test_views_of_one_place_are_one_partner():
    views = [at(0.0), *[at(0.3 + 1e-4 * k) for k in range(20)], at(-0.3), at(0.9)]
    assert partners(distances(views), 0) == [1, 21, 22]


def test_a_standing_camera_is_matched_with_others():
    views = [*[at(0.0) for _ in range(3 * PARTNERS)], at(0.5), at(1.5)]
    last = len(views) - 1
    assert partners(distances(views), 0) == [1, last - 1, last]


def test_partners_on_a_straight_path_are_near_and_far():
    views = [at(0.05 * k) for k in range(60)]
    apart = sorted(abs(other - 30) for other in partners(distances(views), 30))
    assert apart[:2] == [1, 1] and apart[-1] >= 12 and len(apart) <= PARTNERS


def test_views_that_share_nothing_are_no_partners():
    beside = DISTANCE * (MAX_DISTANCE + 0.1)
    assert neighbours([at(0.0), at(beside), at(0.0, 90.0)]) == []
