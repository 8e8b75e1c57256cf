# SPDX-License-Identifier: Apache-2.0
"""Images from new viewpoints are told from those that nearly repeat one."""

from __future__ import annotations

import numpy as np
import pytest
from walls import MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.mapping.data.viewpoint_gate import FRAMES, SHARE, ViewpointGate

WALL = texture(0)
STEP = SHARE * min(SIZE_WH) * 3.0 / MATRIX[0, 0]  # metres before the wall that just make it new


def judged(images, total=FRAMES, masks=None):
    gate = ViewpointGate(total)
    return [gate.is_new(image, mask) for image, mask in zip(images, masks or [None] * 99)]


def walk(*places):
    return [seen_from(pose(x), WALL) for x in places]


def test_enough_translation_makes_a_view_new():
    assert judged(walk(0, 0.3 * STEP, 0.6 * STEP, 1.2 * STEP, 1.6 * STEP, 2.5 * STEP)) == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize('turn_deg, new', [(0.5, False), (3.0, True)])
def test_enough_rotation_makes_a_view_new(turn_deg, new):
    images = [seen_from(pose(turn_deg=angle), WALL) for angle in (0.0, turn_deg)]
    assert judged(images) == [True, new]


def test_an_image_that_is_repeated_is_not_new():
    assert judged(walk(0, 0, 0)) == [True, False, False]


def test_images_with_nothing_in_common_are_all_new():
    assert all(judged([seen_from(pose(), texture(k)) for k in range(4)]))


def test_images_of_new_size_or_no_corners_are_new():
    image = seen_from(pose(), WALL)
    smooth = np.tile(np.linspace(0, 255, SIZE_WH[0]).astype(np.uint8), (SIZE_WH[1], 1))
    assert judged([image, image[:, :240].copy(), smooth, smooth]) == [True] * 4


def test_a_shorter_recording_is_tracked_more_densely():
    images = walk(*(0.3 * STEP * k for k in range(12)))
    assert sum(judged(images, 10 * FRAMES)) == sum(judged(images)) == 3
    assert sum(judged(images, FRAMES // 4)) == 12


def test_what_moves_with_the_camera_hides_no_motion():
    images = walk(0, 2 * STEP)
    for image in images:
        image[60:] = WALL[:180, :320]  # the robot itself, in three quarters of the image
    mask = np.ones(images[0].shape, bool)
    mask[60:] = False
    assert judged(images, masks=[mask, mask]) == [True, True]
    for image in images:
        image[:60] = WALL[300:360, :320]
    assert judged(images, masks=[mask, mask]) == [True, False]


def test_near_things_tell_motion_where_most_is_far():
    far, near = walk(0, 0), walk(0, 2 * STEP)
    for there, here in zip(far, near):
        there[160:] = here[160:]
    assert judged(far) == [True, True]
