# SPDX-License-Identifier: Apache-2.0
"""Gauss-Newton: its derivatives, its fixed point, its gradient and what it says of its error."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ransac_scenes import poses_near, scene, stack

from dsac_ros.config import RansacConfig
from dsac_ros.geometry import se3
from dsac_ros.ransac import refine
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.ransac.noise_model import initial_noise_model
from dsac_ros.types import SceneCoordinates

TAU = 10.0


def problem(seed=3, noise=0.02, rows=6, columns=8, **kwargs):
    coordinates, truth = scene(
        seed, noise=noise, rows=rows, columns=columns, dtype=torch.float64, **kwargs
    )
    correspondences = normalize_correspondences(coordinates)
    return correspondences, poses_near(0, 2, correspondences, truth)


def converged(correspondences, poses, iterations=40):
    noise_model = initial_noise_model(poses, TAU)
    return refine.refine(poses, correspondences, noise_model, TAU, iterations)


def test_retraction_is_rigid_and_exp_to_second_order():
    generator = torch.Generator().manual_seed(0)
    step = torch.randn(20, 6, dtype=torch.float64, generator=generator)
    identity = torch.eye(4, dtype=torch.float64).expand(20, 4, 4)
    large = refine.retract(3.0 * step, identity)
    torch.testing.assert_close(large @ se3.inverse(large), identity)
    small = 1e-3 * step
    torch.testing.assert_close(
        refine.retract(small, identity), se3.exp(small), rtol=0.0, atol=1e-8
    )


def test_rows_are_the_derivatives_of_the_residuals():
    correspondences, poses = problem()

    def residuals(step):
        at = refine.linearise(refine.retract(step.expand(1, 2, 6), poses), correspondences)
        return torch.stack((at.rows_u[..., 6, :], at.rows_v[..., 6, :]))

    zero = torch.zeros(6, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(residuals, zero).movedim(-1, -2)
    at = refine.linearise(poses, correspondences)
    torch.testing.assert_close(at.rows_u[..., :6, :], expected[0])
    torch.testing.assert_close(at.rows_v[..., :6, :], expected[1])


def test_exact_data_gives_an_exact_pose():
    correspondences, poses = problem(noise=0.0)
    at = refine.linearise(converged(correspondences, poses)[0], correspondences)
    assert at.squared.sqrt().max() < 1e-6


def stepped(pose, correspondences, weight):
    return refine.gauss_newton_step(pose, refine.linearise(pose, correspondences), weight)


@pytest.mark.parametrize('depth', [False, True])
def test_one_step_has_the_right_gradient(depth):
    correspondences, poses = problem(rows=3, columns=4)
    weight = torch.rand(1, 2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    if depth:  # measured in half of the cells, some centimetres off
        correspondences = replace(
            correspondences,
            inverse_depth=(torch.arange(12) % 2) * correspondences.scale[:, None] / 2.6,
        )

    def step(pose, points, weights):
        return stepped(pose, replace(correspondences, points=points), weights)

    inputs = [x.clone().requires_grad_() for x in (poses, correspondences.points, weight)]
    assert torch.autograd.gradcheck(step, inputs, atol=1e-4)


def test_last_step_moves_nothing_but_carries_gradient():
    """Against finite differences through all iterations, with the weights held: eq. of DSAC++."""
    correspondences, poses = problem(noise=0.002, rows=3, columns=4)
    poses = poses[:, :1]
    weight = torch.ones(1, 1, 12, dtype=torch.float64)

    def solve(points):
        pose, here = poses, replace(correspondences, points=points)
        for _ in range(15):
            pose = stepped(pose, here, weight)
        return pose

    fixed = solve(correspondences.points)
    points = correspondences.points.clone().requires_grad_()
    last = stepped(fixed, replace(correspondences, points=points), weight)
    torch.testing.assert_close(last.detach(), fixed, rtol=0.0, atol=1e-9)
    direction = torch.randn(
        correspondences.points.shape,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(2),
    )
    probe = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    (gradient,) = torch.autograd.grad((last * probe).sum(), points)
    numeric = (
        (
            (
                solve(correspondences.points + 1e-6 * direction)
                - solve(correspondences.points - 1e-6 * direction)
            )
            / 2e-6
        )
        * probe
    ).sum()
    # Gauss-Newton leaves out the curvature times the residual, a few per mille here.
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=0.02)


def test_no_support_moves_nothing():
    correspondences, poses = problem()
    nothing = torch.zeros(1, 2, 48, dtype=torch.float64)
    assert torch.equal(stepped(poses, correspondences, nothing), poses)


def test_an_indefinite_hessian_gives_no_step():
    """A factor that failed half-way holds numbers: they were taken for a step."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 6, 6, dtype=torch.float64, generator=generator)
    hessian, slope = root @ root.mT, torch.ones(3, 6, dtype=torch.float64)
    hessian[1] -= 10.0 * torch.eye(6)
    step = refine.solve(hessian.requires_grad_(), slope.requires_grad_())
    assert (step[1] == 0.0).all()
    torch.testing.assert_close(
        step[0], -torch.linalg.solve(hessian[0], slope[0]), rtol=1e-2, atol=0.0
    )
    step.sum().backward()
    assert hessian.grad.isfinite().all() and (hessian.grad[1] == 0.0).all()
    assert slope.grad.isfinite().all() and (slope.grad[1] == 0.0).all()


def test_gradients_of_a_retraction():
    generator = torch.Generator().manual_seed(0)
    step = torch.randn(2, 3, 6, dtype=torch.float64, generator=generator)
    poses = se3.exp(torch.randn(2, 3, 6, dtype=torch.float64, generator=generator))
    inputs = [x.requires_grad_() for x in (step, poses)]
    assert torch.autograd.gradcheck(refine.retract, inputs)


def test_outliers_do_not_move_the_pose():
    clean, poses = problem(noise=0.005, rows=15, columns=20)
    points = clean.points.clone()
    points[:, ::3] += 0.5
    dirty = replace(clean, points=points, valid=clean.valid)
    keep = torch.arange(300) % 3 > 0
    few = clean.take(keep.nonzero().T)
    expected, _ = converged(few, poses)
    found, noise_model = converged(dirty, poses)
    distance, angle = se3.pose_error(found, expected)
    assert distance.max() < 1e-3
    assert angle.max() < 1e-3
    assert noise_model.inlier_ratio.sub(2.0 / 3.0).abs().max() < 0.02


def test_the_scale_of_the_noise_is_found():
    random = np.random.default_rng(0)
    correspondences, poses = problem(noise=0.0, rows=30, columns=40)
    student = random.normal(size=(1, 1200, 2)) * np.sqrt(5.0 / random.chisquare(5, (1, 1200, 1)))
    noisy = correspondences.pixels + torch.from_numpy(1.3 * student)
    _, noise_model = converged(replace(correspondences, pixels=noisy), poses)
    assert noise_model.sigma[0, 0].item() == pytest.approx(1.3, rel=0.05)


def test_precision_weighs():
    """Half of the cells ten times as noisy: knowing it must pay."""
    random = np.random.default_rng(0)
    scenes, truths = zip(*(scene(s, rows=15, columns=20, dtype=torch.float64) for s in range(20)))
    sigma = torch.where(torch.arange(300) % 2 == 0, 0.5, 5.0).double().expand(20, -1)
    pixels = stack(scenes, 'pixels') + sigma[..., None] * torch.from_numpy(
        random.normal(size=(20, 300, 2))
    )
    known, unknown = (
        se3.pose_error(
            estimate_pose(
                SceneCoordinates(
                    stack(scenes, 'points_world'),
                    pixels,
                    claimed,
                    stack(scenes, 'valid'),
                    stack(scenes, 'matrices'),
                    (15, 20),
                ),
                RansacConfig(hypotheses=64),
            ).world_from_camera,
            torch.stack(truths),
        )[0].median()
        for claimed in (sigma, torch.ones_like(sigma))
    )
    assert known < 0.6 * unknown


def errors_over_covariance(share, uneven, draws):
    """Normalised squared errors (draws,) of the camera's pose, by the covariance it claims."""
    scenes, truths = zip(
        *(scene(s, rows=15, columns=20, dtype=torch.float64) for s in range(draws))
    )
    random = np.random.default_rng(0)
    sigma = np.where(random.random((draws, 300, 1)) < 0.5, 2.0, 2.0 * uneven)
    pixels = stack(scenes, 'pixels') + torch.from_numpy(
        random.normal(size=(draws, 300, 2)) * sigma
    )
    points = stack(scenes, 'points_world')
    cloud = points.mean(1, keepdim=True) + torch.from_numpy(random.normal(size=points.shape))
    wrong = torch.from_numpy(random.random((draws, 300)) >= share)
    estimate = estimate_pose(
        SceneCoordinates(
            torch.where(wrong[..., None], cloud, points),
            pixels,
            stack(scenes, 'sigma_px'),
            stack(scenes, 'valid'),
            stack(scenes, 'matrices'),
            (15, 20),
        ),
        RansacConfig(hypotheses=64, refine_iterations=10),
    )
    pose, truth = estimate.world_from_camera, torch.stack(truths)
    turn = se3.log(se3.from_parts(pose[:, :3, :3] @ truth[:, :3, :3].mT, 0.0 * truth[:, :3, 3]))
    error = torch.cat((pose[:, :3, 3] - truth[:, :3, 3], turn[:, 3:]), -1)
    return (error * torch.linalg.solve(estimate.covariance, error)).sum(-1)


@pytest.mark.parametrize('share, uneven', [(1.0, 1.0), (0.6, 1.0), (0.8, 4.0)])
def test_the_covariance_is_calibrated(share, uneven):
    """NEES of six degrees of freedom: mean 6; 120 draws put 3 standard errors at 0.95.

    Also where half of the cells are four times as noisy and nobody says so.
    """
    scores = errors_over_covariance(share, uneven, draws=120)
    assert 5.0 < scores.mean() < 7.2
