# SPDX-License-Identifier: Apache-2.0
"""Measured depth in the query: Kabsch hypotheses, a third residual, and holes in the depth."""

from dataclasses import replace

import pytest
import torch
from ransac_scenes import scene

from dsac_ros.config import EndToEndConfig, RansacConfig
from dsac_ros.geometry import se3
from dsac_ros.ransac import dsac, refine
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.estimator import estimate_pose

CONFIG = RansacConfig(hypotheses=64)


def with_depth(image, truth, noise=0.0, missing=0.0, seed=0):
    """The depth that a sensor at the true pose measures where the points are right."""
    rows, columns = image.grid_hw  # the same wall, without noise and outliers
    wall, _ = scene(seed, rows=rows, columns=columns, dtype=image.points_world.dtype)
    camera_from_world = se3.inverse(truth)[None].to(wall.points_world)
    depth = se3.transform(camera_from_world, wall.points_world)[..., 2]
    generator = torch.Generator().manual_seed(seed)
    depth = depth * (1.0 + noise * torch.randn(depth.shape, generator=generator).to(depth))
    hole = torch.rand(depth.shape, generator=generator) < missing
    return replace(image, depth=depth.masked_fill(hole, 0.0))


def error_m(estimate, truth):
    return float(se3.pose_error(estimate.world_from_camera, truth[None])[0])


@pytest.mark.parametrize('missing', [0.0, 0.5, 1.0])
def test_exact_data_gives_an_exact_pose(missing):
    image, truth = scene(0, dtype=torch.float64)
    estimate = estimate_pose(with_depth(image, truth, missing=missing), CONFIG)
    assert estimate.found.all()
    assert error_m(estimate, truth) < 1e-7


def test_invalid_depth_is_as_no_depth():
    image, truth = scene(0, inliers=0.5, noise=0.02)
    rgb = estimate_pose(replace(image, depth=torch.zeros_like(image.sigma_px)), CONFIG)
    for nothing in (torch.nan, torch.inf, -1.0):
        bad = replace(image, depth=torch.full_like(image.sigma_px, nothing))
        assert torch.equal(estimate_pose(bad, CONFIG).world_from_camera, rgb.world_from_camera)
    alone = estimate_pose(image, CONFIG)
    assert abs(error_m(alone, truth) - error_m(rgb, truth)) < 1e-4


def test_depth_finds_the_pose_at_20_percent_inliers():
    for seed in range(6):
        image, truth = scene(seed, inliers=0.2, noise=0.02)
        found = estimate_pose(with_depth(image, truth, 0.005, seed=seed), RansacConfig())
        assert error_m(found, truth) < 0.03


def test_depth_makes_the_pose_more_accurate():
    errors = {'rgb': [], 'rgbd': []}
    for seed in range(12):
        image, truth = scene(seed, inliers=0.5, noise=0.03)
        for name, one in (('rgb', image), ('rgbd', with_depth(image, truth, 0.002, seed=seed))):
            errors[name].append(error_m(estimate_pose(one, RansacConfig()), truth))
    rgb, rgbd = (torch.tensor(errors[name]).median() for name in ('rgb', 'rgbd'))
    assert rgbd < rgb


def test_depth_rows_are_derivatives_of_the_residual():
    image, truth = scene(1, rows=6, columns=8, dtype=torch.float64, noise=0.02)
    clean = replace(image, depth=torch.full_like(image.sigma_px, 2.4))
    correspondences = normalize_correspondences(clean)
    world = truth.clone()
    world[:3, 3] = (world[:3, 3] - correspondences.centre[0]) / correspondences.scale
    poses = se3.inverse(world)[None, None]

    def residual(step):
        at = refine.linearise(refine.retract(step.expand(1, 1, 6), poses), correspondences)
        return at.depth[0, 0, 3]

    expected = torch.autograd.functional.jacobian(residual, torch.zeros(6, dtype=torch.float64))
    rows = refine.linearise(poses, correspondences).depth[0, 0]
    torch.testing.assert_close(expected[:, [2, 3, 4]], rows[:3].T)
    assert (expected[:, [0, 1, 5]] == 0.0).all()


@pytest.mark.parametrize('missing', [0.0, 0.6])
def test_expected_loss_gradient_is_finite_and_descends(missing):
    image, truth = scene(2, inliers=0.8, noise=0.05, rows=12, columns=16, dtype=torch.float64)
    image = with_depth(image, truth, missing=missing, seed=2)
    config = EndToEndConfig(hypotheses=16, alpha=20.0)
    points = image.points_world.clone().requires_grad_()

    def loss(seed):
        return dsac.expected_loss(
            replace(image, points_world=points),
            truth[None],
            config,
            20.0,
            torch.Generator().manual_seed(seed),
        ).loss.sum()

    optimizer = torch.optim.Adam([points], 3e-3)
    before = sum(loss(seed).item() for seed in range(100, 103))
    for seed in range(12):
        optimizer.zero_grad()
        loss(seed).backward()
        assert points.grad.isfinite().all()
        optimizer.step()
    assert sum(loss(seed).item() for seed in range(100, 103)) < before
