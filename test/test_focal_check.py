# SPDX-License-Identifier: Apache-2.0
"""focal_check.py: when an image contradicts its focal length; memory of cameras."""
from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from ransac.focal_scene import FOCAL, scene

from dsac_ros.alignment.focal import FocalFit
from dsac_ros.config import RansacConfig
from dsac_ros.focal_check import FocalCheck
from dsac_ros.geometry.resample import Resampler
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.types import Camera


def camera() -> Resampler:
    return Resampler(Camera((64, 48), np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])), 48)


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


@pytest.mark.parametrize('refined, searched, expected', (
    (SOUND, CONFIRMING, 1.0),
    (SOUND, VAGUE, 1.0),
    (SOUND, WRONG, 0.5),
    (SOUND, FocalFit(0.8, 0.005, 1.01), 0.8),                  # far off and determined
    (SOUND, FocalFit(0.8, 0.05, 1.01), 1.0),                   # far off and undetermined
    (FocalFit(0.92, 0.003, 1.0), CONFIRMING, 1.0),             # noise of the map's own poses
    (FocalFit(0.97, 0.003, 1.0), FocalFit(0.91, 0.01, 1.1), 0.91),
    (FocalFit(0.97, 0.003, 1.0), FocalFit(0.91, 0.01, 1.02), 1.0),
    (FocalFit(0.97, 0.02, 1.0), VAGUE, 1.0),                   # within its own sigma
    (FocalFit(1.0, math.inf, 1.0), FocalFit(1.0, math.inf, 1.0), 1.0),
))
def test_verdict_of_one_image(refined, searched, expected):
    check = FocalCheck(0.04)
    assert check.by_landmarks(camera(), test(refined, searched), 0.8) == expected


def test_a_confirmed_camera_is_not_searched_again():
    check, one, other = FocalCheck(0.04), camera(), camera()
    check.by_landmarks(one, test(SOUND, CONFIRMING), 0.8)
    assert check.by_landmarks(one, test(SOUND), 0.8) == 1.0
    with pytest.raises(AssertionError, match='without need'):
        check.by_landmarks(other, test(SOUND), 0.8)


def test_a_poor_image_confirms_no_camera():
    check, one = FocalCheck(0.04), camera()
    check.by_landmarks(one, test(SOUND, CONFIRMING), 0.3)
    with pytest.raises(AssertionError, match='without need'):
        check.by_landmarks(one, test(SOUND), 0.8)


def test_a_doubted_camera_is_refused_until_confirmed():
    check, one = FocalCheck(0.04), camera()
    assert check.by_landmarks(one, test(SOUND, WRONG), 0.8) == 0.5
    assert check.by_landmarks(one, test(SOUND, VAGUE), 0.8) == 0.5
    assert check.by_landmarks(one, test(SOUND, CONFIRMING), 0.8) == 1.0
    assert check.by_landmarks(one, test(SOUND), 0.8) == 1.0


@pytest.mark.parametrize('given, refused', (
    (FOCAL, False), (2 * FOCAL, True), (FOCAL / 2, True)))
def test_scene_coordinates_tell_a_wrong_focal(given, refused):
    seen = scene(given)
    pose = estimate_pose(seen, RansacConfig()).world_from_camera[0]
    ratio = FocalCheck(0.04).by_scene_coordinates(seen, pose)
    assert ratio == (pytest.approx(FOCAL / given, rel=0.02) if refused else 1.0)


def test_zero_tests_nothing():
    never = SimpleNamespace()
    assert FocalCheck(0.0).by_landmarks(camera(), never, 0.8) == 1.0
    assert FocalCheck(0.0).by_scene_coordinates(never, never) == 1.0
