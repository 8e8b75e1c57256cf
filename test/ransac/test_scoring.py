# SPDX-License-Identifier: Apache-2.0
"""Reprojection errors and inlier counts, against a plain projection and finite differences."""

from dataclasses import replace

import pytest
import torch
from ransac_scenes import FOCAL, poses_near, scene

from dsac_ros.geometry import se3
from dsac_ros.ransac import scoring
from dsac_ros.ransac.correspondences import normalize_correspondences


@pytest.fixture
def small():
    coordinates, truth = scene(3, noise=0.05, rows=3, columns=4, dtype=torch.float64)
    correspondences = normalize_correspondences(coordinates)
    return correspondences, poses_near(0, 2, correspondences, truth)


def test_the_error_is_the_distance_in_the_image(small):
    correspondences, poses = small
    error = scoring.reprojection_error(poses, correspondences, 1e9)
    for h in range(poses.shape[1]):
        camera = se3.transform(poses[0, h], correspondences.points[0])
        projected = FOCAL * camera[:, :2] / camera[:, 2:]
        torch.testing.assert_close(
            error[0, h], (projected - correspondences.pixels[0]).norm(dim=-1)
        )


def test_the_error_is_clamped(small):
    correspondences, poses = small
    assert scoring.reprojection_error(poses, correspondences, 1.5).max() == 1.5


def test_points_behind_the_camera_never_count():
    coordinates, truth = scene(0, rows=6, columns=8, dtype=torch.float64)
    correspondences = normalize_correspondences(coordinates)
    right = poses_near(0, 1, correspondences, truth, noise=0.0)
    # Mirrored through the camera's centre, every point lies on its own ray, but behind.
    mirrored = right.clone()
    mirrored[..., :3, :] *= -1.0
    for poses, expected in ((right, 48.0), (mirrored, 0.0)):
        squared = scoring.squared_error(poses, correspondences)
        error = scoring.reprojection_error(poses, correspondences, 100.0)
        weight = correspondences.valid.double()
        assert scoring.msac_score(squared, weight, 10.0).item() == pytest.approx(expected)
        assert scoring.soft_inlier_count(error, weight, 10.0).item() == pytest.approx(
            expected, rel=0.01, abs=1e-6
        )


def test_soft_count_is_half_at_the_threshold():
    """It is linear in the weights."""
    error = torch.tensor([[[0.0, 10.0, 100.0]]])
    one = torch.ones(1, 3)
    count = scoring.soft_inlier_count(error, one, 10.0)
    assert count.item() == pytest.approx(torch.sigmoid(torch.tensor(5.0)).item() + 0.5, abs=1e-6)
    double = scoring.soft_inlier_count(error, 2.0 * one, 10.0)
    assert double.item() == pytest.approx(2.0 * count.item())


def test_hard_count_is_the_weight_within_the_threshold():
    """At the threshold a cell is outside; 2 + 4 are inside of the first, 2 of the second."""
    error = torch.tensor([[[9.9, 10.0, 0.0], [3.0, 11.0, 10.1]]])
    count = scoring.hard_inlier_count(error, torch.tensor([[2.0, 3.0, 4.0]]), 10.0)
    assert count.tolist() == [[6.0, 2.0]]


@pytest.mark.parametrize('depth', [False, True])
def test_gradients_of_error_and_score(small, depth):
    correspondences, poses = small
    if depth:  # measured in half of the cells, some centimetres off
        correspondences = replace(
            correspondences,
            inverse_depth=(torch.arange(12) % 2) * correspondences.scale[:, None] / 2.6,
        )

    def error(pose, points):
        return scoring.reprojection_error(pose, replace(correspondences, points=points), 100.0)

    def score(pose, points):
        return scoring.soft_inlier_count(error(pose, points), correspondences.precision, 10.0)

    for function in (error, score):
        inputs = [x.clone().requires_grad_() for x in (poses, correspondences.points)]
        assert torch.autograd.gradcheck(function, inputs)


def test_the_error_with_depth_has_a_third_component(small):
    """f (z / measured - 1), in pixels, where a depth is known."""
    correspondences, poses = small
    near = torch.zeros_like(correspondences.precision)
    near[:, 5] = 0.4
    flat = scoring.squared_error(poses, correspondences)
    z = se3.transform(poses, correspondences.points[:, None].expand(-1, 2, -1, -1))[..., 2]
    expected = flat.clone()
    expected[..., 5] += (FOCAL * (z[..., 5] * 0.4 - 1.0)).square()
    torch.testing.assert_close(
        scoring.squared_error(poses, replace(correspondences, inverse_depth=near)), expected
    )


def test_an_exact_pose_has_a_finite_gradient():
    coordinates, truth = scene(0, rows=3, columns=4, dtype=torch.float64)
    correspondences = normalize_correspondences(coordinates)
    pose = poses_near(0, 1, correspondences, truth, noise=0.0).requires_grad_()
    scoring.reprojection_error(pose, correspondences, 100.0).sum().backward()
    assert pose.grad.isfinite().all()
