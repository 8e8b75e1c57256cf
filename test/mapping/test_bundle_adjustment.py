# SPDX-License-Identifier: Apache-2.0
"""sfm/bundle_adjustment.py: derivatives, outliers, and the freedoms that images leave open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dsac_ros.geometry import se3
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm import bundle_adjustment
from dsac_ros.mapping.sfm.bundle_adjustment import adjusted, linearised, step
from dsac_ros.mapping.sfm.tracks import Tracks

MATRIX = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
VIEWS, POINTS = 10, 200


def motions(rng, place, angle):
    twists = rng.normal(0, [place] * 3 + [angle] * 3, (VIEWS, 6))
    return se3.exp(torch.from_numpy(twists)).numpy()


def view_at(camera_from_scene):
    return View(
        np.zeros((480, 640), np.uint8),
        np.ones((480, 640), bool),
        MATRIX,
        np.linalg.inv(camera_from_scene),
        None,
    )


def project(poses, points, view, point):
    camera = np.einsum('mij,mj->mi', poses[view, :3, :3], points[point]) + poses[view, :3, 3]
    return 500 * camera[:, :2] / camera[:, 2:] + MATRIX[:2, 2]


@pytest.fixture
def scene():
    """True camera_from_scene, those of a bad odometry, and what was seen, a tenth of it wrong."""
    rng = np.random.default_rng(0)
    true = motions(rng, 0.3, 0.1)
    points = rng.uniform(-1, 1, (POINTS, 3)) + [0, 0, 3]
    view, point = (index.ravel() for index in np.indices((VIEWS, POINTS)))
    pixels = project(true, points, view, point) + rng.normal(0, 0.3, (len(view), 2))
    wrong = rng.random(len(view)) < 0.1
    pixels[wrong] += rng.normal(0, 50, (wrong.sum(), 2))
    given = motions(rng, 0.02, 0.01) @ true
    return (
        true,
        given,
        Tracks(
            points + rng.normal(0, 0.05, points.shape),
            point,
            view,
            pixels,
            np.zeros((POINTS, 128), np.uint8),
            *np.zeros((2, POINTS)),
        ),
    )


def off(poses, true):
    """Distances (V,) of poses from the true ones after the best similarity [scene units]."""
    found, right = np.linalg.inv(poses)[:, :3, 3], np.linalg.inv(true)[:, :3, 3]
    a, b = found - found.mean(0), right - right.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    rotation = vt.T @ np.diag([1, 1, np.linalg.det(vt.T @ u.T)]) @ u.T
    return np.linalg.norm(s.sum() / (a**2).sum() * a @ rotation.T - b, axis=1)


def test_poses_are_recovered_with_a_tenth_of_outliers(scene):
    true, given, tracks = scene
    found = adjusted([view_at(pose) for pose in given], tracks, 1.0, rounds=20)
    assert np.median(off(given, true)) > 0.02
    assert off(found, true).max() < 0.002


def test_adjustment_keeps_mean_position_and_scale(scene):
    _, given, tracks = scene
    found = adjusted([view_at(pose) for pose in given], tracks, 1.0, rounds=20)
    moved = np.linalg.inv(found)[:, :3, 3] - np.linalg.inv(given)[:, :3, 3]
    assert np.linalg.norm(moved.mean(0)) < 0.01
    spread = [np.linalg.inv(p)[:, :3, 3].std(0).sum() for p in (found, given)]
    assert spread[0] == pytest.approx(spread[1], rel=0.03)


def test_what_agrees_already_stays(scene):
    true, _, tracks = scene
    found = adjusted([view_at(pose) for pose in true], tracks, 1.0, rounds=20)
    assert np.abs(found - true).max() < 0.005


@pytest.mark.parametrize('which', ['pose', 'point'])
def test_the_right_side_is_the_gradient_of_the_cost(scene, which):
    _, given, tracks = scene
    intrinsics = np.tile([500.0, 320, 240], (VIEWS, 1))
    start = np.linalg.inv(np.linalg.inv(given))

    def cost(pose_step, point_step):
        poses = se3.exp(torch.from_numpy(pose_step)).numpy() @ given
        return linearised(poses, tracks.points + point_step, start, intrinsics, tracks, 2.0)[0]

    normal = linearised(given, tracks.points, start, intrinsics, tracks, 2.0)[1]
    right, shape = (normal[3], (VIEWS, 6)) if which == 'pose' else (normal[4], (POINTS, 3))
    for index in np.ndindex(3, shape[1]):
        small = np.zeros(shape)
        small[index] = 1e-6
        plus, minus = (
            cost(
                sign * small if which == 'pose' else np.zeros((VIEWS, 6)),
                sign * small if which == 'point' else np.zeros((POINTS, 3)),
            )
            for sign in (1, -1)
        )
        assert (plus - minus) / 2e-6 == pytest.approx(-2 * right[index], rel=1e-4, abs=1e-2)


def test_schur_complement_solves_the_whole_system(scene):
    _, given, tracks = scene
    few = tracks.point < 8
    tracks = Tracks(
        tracks.points[:8],
        tracks.point[few],
        tracks.view[few],
        tracks.pixels[few],
        tracks.descriptors[:8],
        tracks.depth_error[:8],
        tracks.parallax[:8],
    )
    intrinsics = np.tile([500.0, 320, 240], (VIEWS, 1))
    normal = linearised(given, tracks.points, given, intrinsics, tracks, 2.0)[1]
    of_poses, of_points, between, right_poses, right_points = normal
    whole = np.zeros((6 * VIEWS + 24, 6 * VIEWS + 24))
    for i in range(VIEWS):
        whole[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] = of_poses[i]
    for j in range(8):
        at = 6 * VIEWS + 3 * j
        whole[at : at + 3, at : at + 3] = of_points[j]
    for block, i, j in zip(between, tracks.view, tracks.point):
        at = 6 * VIEWS + 3 * j
        whole[6 * i : 6 * i + 6, at : at + 3] += block
        whole[at : at + 3, 6 * i : 6 * i + 6] += block.T
    whole += 1e-3 * np.diag(np.diag(whole)) + 1e-9 * np.eye(len(whole))
    expected = np.linalg.solve(whole, np.concatenate([right_poses.ravel(), right_points.ravel()]))
    turn, shift = step(*normal, tracks, 1e-3)
    np.testing.assert_allclose(
        np.concatenate([turn.ravel(), shift.ravel()]), expected, rtol=1e-6, atol=1e-9
    )


def test_points_behind_a_camera_have_no_derivatives(scene):
    """A step that puts points behind a camera raises the cost."""
    _, given, tracks = scene
    intrinsics = np.tile([500.0, 320, 240], (VIEWS, 1))
    before, _ = linearised(given, tracks.points, given, intrinsics, tracks, 2.0)
    behind = replace(tracks, points=tracks.points * [1, 1, -1])
    cost, normal = linearised(given, behind.points, given, intrinsics, behind, 2.0)
    assert cost > 2 * before
    assert not normal[1].any() and not normal[4].any()
    prior = 1 / np.array([bundle_adjustment.PLACE] * 3 + [bundle_adjustment.ANGLE] * 3) ** 2
    np.testing.assert_allclose(normal[0], np.broadcast_to(np.diag(prior), (VIEWS, 6, 6)))
