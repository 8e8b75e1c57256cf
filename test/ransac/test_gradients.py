# SPDX-License-Identifier: Apache-2.0
"""Every small differentiable piece that no other test checks, in float64 by finite differences."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from ransac_scenes import scene

from dsac_ros.geometry import se3
from dsac_ros.geometry.representations import REPRESENTATIONS
from dsac_ros.ransac import dsac, gradient, refine, scoring, selection
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.minimal import solve_minimal
from dsac_ros.ransac.noise_model import (
    NoiseModel,
    initial_noise_model,
    robust_weights,
    update_noise_model,
)

GENERATOR = torch.Generator().manual_seed(0)
NOISE_MODEL = NoiseModel(torch.tensor([[3.0, 5.0]]).double(), torch.tensor([[0.6, 0.3]]).double())


def example():
    """48 cells, a third of them wrong, and two poses near the true one."""
    image, pose = scene(3, inliers=0.7, noise=0.03, rows=6, columns=8, dtype=torch.float64)
    correspondences = normalize_correspondences(image)
    near = correspondences.camera_from_scaled(pose[None, None])
    aside = torch.tensor([[0.01] * 6, [-0.02] * 6]).double()
    return correspondences, se3.exp(aside)[None] @ near


def numbers(*shape):
    return torch.rand(*shape, generator=GENERATOR, dtype=torch.float64)


def of_membership(name):
    correspondences, _ = example()
    return (
        lambda squared, sigma, inlier_ratio: getattr(
            robust_weights(squared, correspondences, NoiseModel(sigma, inlier_ratio)), name
        )
    ), (400.0 * numbers(1, 2, 48), NOISE_MODEL.sigma, NOISE_MODEL.inlier_ratio)


def of_update():
    correspondences, _ = example()

    def updated(squared):
        after = update_noise_model(
            squared,
            robust_weights(squared, correspondences, NOISE_MODEL),
            NOISE_MODEL,
            correspondences,
            50.0,
        )
        return after.sigma, after.inlier_ratio

    return updated, (400.0 * numbers(1, 2, 48),)


def of_mean(rotation):
    _, poses = example()
    return (
        lambda poses, inlier_ratio: dsac.mean_pose(poses, inlier_ratio, rotation),
        (poses, torch.tensor([[0.7, 0.3]]).double()),
    )


def of_minimal(measured):
    correspondences, poses = example()
    if measured:
        depth = scoring.camera_points(poses[:, :1], correspondences.points)[2][:, 0]
        correspondences = replace(correspondences, inverse_depth=depth.reciprocal())
    sets = torch.tensor([[[0, 7, 44], [3, 40, 23]]])
    real = solve_minimal(correspondences, sets)[1]
    return (
        lambda points: solve_minimal(replace(correspondences, points=points), sets)[0][real],
        (correspondences.points,),
    )


def of_refinement():
    correspondences, poses = example()
    return (
        lambda pose, points: refine.refine(
            pose, replace(correspondences, points=points), initial_noise_model(pose, 10.0), 10.0, 2
        )[0],
        (poses, correspondences.points),
    )


def of_solve():
    return (
        lambda root, right: refine.solve(root @ root.mT + torch.eye(6).double(), right),
        (numbers(1, 2, 6, 6), numbers(1, 2, 6)),
    )


PIECES = {
    **{
        name: (lambda name=name: of_membership(name))
        for name in ('posterior', 'weight', 'curvature')
    },
    'update_mixture': of_update,
    **{
        f'mean_pose, {name}': (lambda name=name: of_mean(name))
        for name in ('tangent', *REPRESENTATIONS)
    },
    'distribution': lambda: (lambda scores: selection.distribution(scores, 5.0), (numbers(2, 6),)),
    'entropy_bits': lambda: (
        lambda scores: selection.entropy_bits(selection.distribution(scores, 5.0)),
        (numbers(2, 6),),
    ),
    'msac_score': lambda: (
        lambda squared, weight: scoring.msac_score(squared, weight, 10.0),
        (300.0 * numbers(1, 2, 48), numbers(1, 48)),
    ),
    'camera_from_scaled': lambda: (
        lambda pose: example()[0].camera_from_scaled(pose),
        (se3.exp(numbers(1, 2, 6)),),
    ),
    'world_from_camera': lambda: (
        lambda pose: example()[0].world_from_camera(pose),
        (se3.exp(numbers(1, 2, 6)),),
    ),
    'pose_error': lambda: (
        lambda a, b: se3.pose_error(a, b),
        (se3.exp(numbers(2, 6)), se3.exp(2.0 * numbers(2, 6))),
    ),
    'solve_minimal': lambda: of_minimal(False),
    'solve_minimal, depth': lambda: of_minimal(True),
    'solve': of_solve,
    'refine, two steps': of_refinement,
}


@pytest.mark.parametrize('name', PIECES)
def test_gradcheck(name):
    GENERATOR.manual_seed(0)  # whichever test is run before
    function, inputs = PIECES[name]()
    inputs = [x.clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(function, inputs, eps=1e-7, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('seed', [3, 5, 7])
def test_implicit_gradient_is_near_that_of_refinement(seed):
    """Its scale and its share of inliers follow the points, too, and both steps hold them."""
    image, pose = scene(seed, inliers=0.7, noise=0.03, rows=6, columns=8, dtype=torch.float64)
    correspondences = normalize_correspondences(image)
    start = se3.exp(torch.full((1, 1, 6), 0.01).double()) @ correspondences.camera_from_scaled(
        pose[None, None]
    )
    generator = torch.Generator().manual_seed(0)
    lever = torch.randn(4, 4, generator=generator, dtype=torch.float64)

    def refined(points):
        there = replace(correspondences, points=points)
        return refine.refine(start, there, initial_noise_model(start, 10.0), 10.0, 300)

    def value(pose):
        return (lever * pose[0, 0]).sum()

    pose, noise_model = refined(correspondences.points)
    points = correspondences.points.clone().requires_grad_()
    slopes = {
        name: torch.autograd.grad(
            value(
                step(
                    pose,
                    replace(correspondences, points=points),
                    noise_model,
                    torch.ones(1, 1, dtype=torch.bool),
                )
            ),
            points,
        )[0]
        for name, step in gradient.STEPS.items()
    }
    off = {'implicit': 0.0, 'one_step': 0.0}
    size = 0.0
    for _ in range(8):
        direction = torch.randn(
            correspondences.points.shape, generator=generator, dtype=torch.float64
        )
        ahead, behind = (
            value(refined(correspondences.points + sign * 1e-6 * direction)[0]) for sign in (1, -1)
        )
        expected = ((ahead - behind) / 2e-6).item()
        size += abs(expected)
        for name, slope in slopes.items():
            off[name] += abs((slope * direction).sum().item() - expected)
    assert off['implicit'] < 0.4 * size
    assert off['implicit'] < 0.5 * off['one_step']
