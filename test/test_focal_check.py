# SPDX-License-Identifier: Apache-2.0
"""focal_check.py: when an image contradicts its focal length; memory of cameras."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ransac.focal_scene import FOCAL, scene

from dsac_ros import focal_check
from dsac_ros.alignment.focal import FocalFit
from dsac_ros.config import RansacConfig
from dsac_ros.focal_check import FocalCheck, MatchedFocal
from dsac_ros.geometry.resample import Resampler
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.types import Camera, SceneCoordinates


def camera() -> Resampler:
    return Resampler(Camera((64, 48), np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])), 48)


POSE_OF_NOTHING = torch.eye(4)


def nothing() -> SceneCoordinates:
    """Features of an image of which none is matched."""
    return scene(FOCAL, count=0)


def judge(check: FocalCheck, one: Resampler, asked: SimpleNamespace, inlier_ratio: float) -> float:
    return check.by_landmarks(one, asked, inlier_ratio, nothing, POSE_OF_NOTHING)


def test(refined: FocalFit, searched: FocalFit | None = None) -> SimpleNamespace:
    """A test of the landmarks with these outcomes; a search that is not expected fails."""

    def search() -> FocalFit:
        assert searched is not None, 'searched without need'
        return searched

    return SimpleNamespace(refined=lambda: refined, searched=search)


test.__test__ = False
SOUND = FocalFit(1.001, 0.003, 1.0)
CONFIRMING = FocalFit(1.005, 0.003, 1.0)
VAGUE = FocalFit(0.95, 0.01, 1.02)
WRONG = FocalFit(0.5, 0.003, 1.5)


@pytest.mark.parametrize(
    'refined, searched, expected',
    (
        (SOUND, CONFIRMING, 1.0),
        (SOUND, VAGUE, 1.0),
        (SOUND, WRONG, 0.5),
        (SOUND, FocalFit(0.8, 0.005, 1.04), 0.8),  # far off and determined
        (SOUND, FocalFit(0.8, 0.005, 1.01), 1.0),  # fits no better
        (SOUND, FocalFit(0.8, 0.05, 1.2), 1.0),  # fits better, undetermined
        (SOUND, FocalFit(0.8, 0.05, 1.01), 1.0),  # far off and undetermined
        (FocalFit(0.92, 0.003, 1.0), CONFIRMING, 1.0),  # noise of the map's own poses
        (FocalFit(0.97, 0.003, 1.0), FocalFit(0.91, 0.01, 1.1), 0.91),
        (FocalFit(0.97, 0.003, 1.0), FocalFit(0.91, 0.01, 1.02), 1.0),
        (FocalFit(1.001, 0.003, 1.0), FocalFit(0.91, 0.01, 1.1), 1.0),  # small, and not shown
        (FocalFit(1.03, 0.003, 1.0), FocalFit(0.91, 0.01, 1.1), 1.0),
        (FocalFit(0.97, 0.02, 1.0), VAGUE, 1.0),  # within its own sigma
        (FocalFit(1.0, math.inf, 1.0), FocalFit(1.0, math.inf, 1.0), 1.0),
    ),
)
def test_verdict_of_one_image(refined, searched, expected):
    check = FocalCheck(0.04)
    assert judge(check, camera(), test(refined, searched), 0.8) == expected


def test_a_confirmed_camera_is_not_searched_again():
    check, one, other = FocalCheck(0.04), camera(), camera()
    judge(check, one, test(SOUND, CONFIRMING), 0.8)
    assert judge(check, one, test(SOUND), 0.8) == 1.0
    with pytest.raises(AssertionError, match='without need'):
        judge(check, other, test(SOUND), 0.8)


def test_a_poor_image_confirms_no_camera():
    check, one = FocalCheck(0.04), camera()
    judge(check, one, test(SOUND, CONFIRMING), 0.3)
    with pytest.raises(AssertionError, match='without need'):
        judge(check, one, test(SOUND), 0.8)


def test_a_doubted_camera_is_refused_until_confirmed():
    check, one = FocalCheck(0.04), camera()
    assert judge(check, one, test(SOUND, WRONG), 0.8) == 0.5
    assert judge(check, one, test(SOUND, VAGUE), 0.8) == 0.5
    assert judge(check, one, test(SOUND, CONFIRMING), 0.8) == 1.0
    assert judge(check, one, test(SOUND), 0.8) == 1.0


def test_landmarks_doubt_a_pose_of_a_confirmed_camera():
    check, one = FocalCheck(0.04), camera()
    assert judge(check, one, test(SOUND, CONFIRMING), 0.8) == 1.0
    assert judge(check, one, test(FocalFit(0.9, 0.003, 1.0), WRONG), 0.8) == 0.5
    assert judge(check, one, test(SOUND), 0.8) == 1.0  # that image alone was refused


@pytest.mark.parametrize(
    ('fit', 'expected'),
    [
        (MatchedFocal(0.896, 0.008, 45, 40), 0.896),  # 12 % off, and too few to be conclusive
        (MatchedFocal(0.904, 0.032, 13, 13), 1.0),  # right, and hardly determined
    ],
)
def test_an_unknown_camera_needs_features_that_fit(monkeypatch, fit, expected):
    """They refuse the image; the camera stays unknown."""
    monkeypatch.setattr(focal_check, 'fitted_focal', lambda *_: fit)
    check, one = FocalCheck(0.04), camera()
    assert judge(check, one, test(SOUND, VAGUE), 0.8) == expected
    assert one not in check._ratio_of_camera


@pytest.mark.parametrize('given, refused', ((FOCAL, False), (2 * FOCAL, True), (FOCAL / 2, True)))
def test_scene_coordinates_tell_a_wrong_focal(given, refused):
    seen = scene(given)
    pose = estimate_pose(seen, RansacConfig()).world_from_camera[0]
    ratio = FocalCheck(0.04).by_scene_coordinates(seen, pose)
    assert ratio == (pytest.approx(FOCAL / given, rel=0.02) if refused else 1.0)


@pytest.mark.parametrize(
    'given, expected', ((FOCAL, 1.0), (1.1 * FOCAL, 1 / 1.1), (2 * FOCAL, 0.5), (FOCAL / 2, 2.0))
)
def test_features_decide_where_there_are_enough(given, expected):
    check, one, seen = FocalCheck(0.04), camera(), scene(given)
    pose = estimate_pose(seen, RansacConfig()).world_from_camera[0]
    # a refinement that contradicts, and a search that nobody asks for
    ratio = check.by_landmarks(one, test(FocalFit(0.97, 0.003, 1.0)), 0.8, lambda: seen, pose)
    assert ratio == (1.0 if given == FOCAL else pytest.approx(expected, rel=0.02))
    few = scene(given, count=15)
    assert check.by_landmarks(camera(), test(SOUND, CONFIRMING), 0.8, lambda: few, pose) == 1.0


@pytest.mark.parametrize(
    ('fit', 'expected'),
    (
        (MatchedFocal(1.111, 0.0014, 208, 173), 1.111),
        (MatchedFocal(0.5, 0.02, 30, 12), 0.5),
        # measured at the right focal length: half of the image under a dirty lens
        (MatchedFocal(1.092, 0.0055, 78, 78), None),
        (MatchedFocal(0.88, 0.0159, 36, 28), None),
        (MatchedFocal(0.964, 0.0038, 60, 59), 1.0),
    ),
)
def test_features_need_evidence_against_a_camera(monkeypatch, fit, expected):
    """Without enough of it, either way, a camera stays what the images before said of it."""
    monkeypatch.setattr(focal_check, 'fitted_focal', lambda *_: fit)
    for before in (1.0, 0.8):
        check, one = FocalCheck(0.04), camera()
        check._ratio_of_camera[one] = before
        found = judge(check, one, test(FocalFit(0.9, 0.003, 1.0)), 0.8)
        assert found == (before if expected is None else expected)


def test_zero_tests_nothing():
    never = SimpleNamespace()
    assert judge(FocalCheck(0.0), camera(), never, 0.8) == 1.0
    assert FocalCheck(0.0).by_scene_coordinates(never, never) == 1.0
