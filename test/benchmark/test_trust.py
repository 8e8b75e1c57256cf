# SPDX-License-Identifier: Apache-2.0
"""benchmark/trust.py: answers are judged by what is known of their queries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsac_ros.benchmark.trust import (
    ABSENT,
    DAMAGED,
    GROUPS,
    INTACT,
    NOTHING,
    SHOWN,
    coverage,
    judge,
    judge_scene,
    quartiles,
    upside_down,
    with_wrong_focal,
)
from dsac_ros.geometry.camera import project
from dsac_ros.types import Camera, Frame, Localization, PosedFrame, Result

CAMERA = Camera((32, 20), np.array([[30.0, 0, 14], [0, 30, 9], [0, 0, 1]]))
DEPTH = 4.0


def answer(metres=0.0, sigma=0.01, result=Result.ACCEPTED, confidence=0.9):
    pose = np.eye(4)
    pose[0, 3] = metres
    return Localization(
        result,
        world_from_camera=pose,
        covariance=sigma**2 * np.eye(6),
        confidence=confidence,
    )


@pytest.mark.parametrize(
    ('metres', 'right', 'exact', 'wrong'),
    [(0.07, True, True, False), (0.2, True, False, False), (0.3, False, False, False)]
    + [(0.7, False, False, True)],
)
def test_a_pose_is_judged_by_metres_and_depth(metres, right, exact, wrong):
    found = judge(INTACT, 'intact', answer(metres), np.eye(4), DEPTH)
    assert (found.right, found.exact, found.wrong, found.accepted) == (right, exact, wrong, True)
    assert found.sigma == pytest.approx(np.sqrt(3) * 0.01 / DEPTH)
    assert np.isnan(found.nees) == wrong


def test_where_nothing_is_known_every_pose_is_wrong():
    assert judge(ABSENT, 'noise', answer(), None, DEPTH).wrong
    nothing = judge(INTACT, 'intact', Localization(Result.BAD_IMAGE, ''), np.eye(4), DEPTH)
    assert nothing.wrong and not nothing.accepted


def test_coverage_is_that_of_the_draws():
    rng = np.random.default_rng(0)
    draws = rng.normal(0, 0.01, 1000)
    # only one of six numbers errs: inside 1 sigma of six is 2.65 sigma of one
    judged = [judge(INTACT, 'intact', answer(one), np.eye(4), DEPTH) for one in draws]
    assert coverage(judged)['1sigma'] == pytest.approx(0.992, abs=0.01)
    refused = [judge(INTACT, 'intact', answer(9, result=Result.LOW_INLIERS), np.eye(4), DEPTH)]
    assert np.isnan(coverage(refused)['1sigma'])


def test_quartiles_are_of_predicted_errors():
    judged = [judge(INTACT, 'x', answer(0, sigma), np.eye(4), DEPTH) for sigma in (4, 1, 3, 2)]
    assert [round(one.sigma * DEPTH / np.sqrt(3)) for (one,) in quartiles(judged)] == [1, 2, 3, 4]


def test_an_upside_down_camera_sees_the_same():
    image = np.zeros((20, 32), np.uint8)
    point = np.array([0.4, 0.2, 2.0])
    u, v = project(CAMERA, point[None])[0].round().astype(int)
    image[v, u] = 255
    frame, pose = upside_down(PosedFrame(Frame(image, CAMERA), np.eye(4)))
    camera = np.linalg.inv(pose) @ np.append(point, 1)
    rows, columns = np.nonzero(frame.image)
    assert project(frame.camera, camera[None, :3])[0] == pytest.approx(
        [columns[0], rows[0]], abs=0.6
    )


def test_a_wrong_focal_length_leaves_the_image():
    frame = Frame(np.zeros((20, 32), np.uint8), CAMERA)
    changed = with_wrong_focal(frame)
    assert changed.image is frame.image
    assert changed.camera.matrix[0, 0] == changed.camera.matrix[1, 1] == pytest.approx(39)


def test_every_query_is_shown_in_every_way():
    class Asked:
        def localize(self, frame, guess=None):
            return answer(0.0 if frame.image.std() else 9.0)

    rng = np.random.default_rng(0)
    posed = PosedFrame(Frame(rng.integers(0, 255, (20, 32), np.uint8), CAMERA), np.eye(4))
    judged = judge_scene(Asked(), [posed] * 2, [posed] * 3, DEPTH)
    groups = {group: sum(one.group == group for one in judged) for group in GROUPS}
    assert groups == {INTACT: 2, DAMAGED: 2 * (len(SHOWN) + 3), ABSENT: 2 * len(NOTHING) + 3}
    assert all(one.wrong for one in judged if one.group == ABSENT)
    # the same seed shows the same images
    again = judge_scene(Asked(), [posed] * 2, [posed] * 3, DEPTH)
    assert repr(judged) == repr(again)


def test_noise_and_black_show_nothing():
    generator = torch.Generator().manual_seed(0)
    frame = Frame(np.full((20, 32, 3), 7, np.uint8), CAMERA)
    assert NOTHING['black'](frame, generator).image.max() == 0
    assert NOTHING['noise'](frame, generator).image.std() > 60
