# SPDX-License-Identifier: Apache-2.0
"""ransac/focal.py: the focal length as an unknown beside the pose."""

from __future__ import annotations

import math

import pytest
import torch
from focal_scene import FOCAL, POSE, scene

from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.focal import refine_with_focal


def refined(given: float, **how: object):
    correspondences = normalize_correspondences(scene(given, **how))
    return refine_with_focal(
        correspondences.camera_from_scaled(POSE[None, None]), correspondences, 20.0, 20
    ), correspondences


@pytest.mark.parametrize('given', (FOCAL, 450.0, 550.0, 700.0, 300.0))
def test_focal_length_and_pose_are_found(given):
    found, correspondences = refined(given)
    assert float(found.ratio) * given == pytest.approx(FOCAL, rel=0.01)
    pose = correspondences.world_from_camera(found.camera_from_world)[0, 0]
    assert torch.allclose(pose, POSE, atol=0.02)


def test_outliers_do_not_move_it():
    found, _ = refined(550.0, outliers=100)
    assert float(found.ratio) * 550.0 == pytest.approx(FOCAL, rel=0.01)


def test_sigma_covers_the_error():
    errors, sigmas = [], []
    for given in (480.0, 500.0, 520.0):
        found, _ = refined(given)
        errors.append(abs(math.log(float(found.ratio) * given / FOCAL)))
        sigmas.append(float(found.sigma))
    assert max(errors) < 4.0 * max(sigmas) and max(sigmas) < 0.01


def test_a_plane_that_faces_the_camera_says_nothing():
    flat, deep = (refined(FOCAL, depth=depth)[0] for depth in ((4.0, 4.001), (2.0, 6.0)))
    assert float(flat.sigma) > 0.1 > 10.0 * float(deep.sigma)


def test_a_held_focal_length_stays():
    correspondences = normalize_correspondences(scene(600.0))
    found = refine_with_focal(
        correspondences.camera_from_scaled(POSE[None, None]),
        correspondences,
        20.0,
        hold_focal=True,
    )
    assert float(found.ratio) == 1.0
    assert float(found.squared.mean()) > 2.0
