# SPDX-License-Identifier: Apache-2.0
"""Equations of the featuremetric alignment: derivatives, invariances, and where it converges."""

from __future__ import annotations

import numpy as np
import torch

from dsac_ros.geometry import se3
from dsac_ros.systems.pixloc.featuremetric import (
    Field,
    ReferencePoints,
    d_pixel_d_twist,
    project,
    residuals,
)
from dsac_ros.systems.pixloc.network import Expansion, FeatureNetwork, Level
from dsac_ros.systems.pixloc.optimizer import optimize, step
from dsac_ros.systems.pixloc.pyramid import shrunk
from dsac_ros.systems.pixloc.search import costs, rotations

STRIDE, HEIGHT, WIDTH = 4, 30, 40
MATRIX = torch.tensor([[150.0, 0, 79.5], [0, 150, 59.5], [0, 0, 1]], dtype=torch.float64)
SCALE = torch.tensor(0.3, dtype=torch.float64)
DAMPING = torch.full((6,), 1e-3, dtype=torch.float64)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def points(count=60):
    """Points 2 to 3 m in front of the camera, all of them in view."""
    uniform = torch.rand(
        1, count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    return uniform * torch.tensor([1.4, 1.0, 1.0]) + torch.tensor([-0.7, -0.5, 2.0])


def smooth_level(channels=6):
    """Features that are waves of several directions: every place looks different."""
    v, u = torch.meshgrid(
        torch.arange(HEIGHT, dtype=torch.float64),
        torch.arange(WIDTH, dtype=torch.float64),
        indexing='ij',
    )
    frequency = 0.09 * random(channels, 2, seed=3)
    phase = frequency[:, :1, None] * u + frequency[:, 1:, None] * v
    features = torch.cat([phase.sin(), phase.cos()])[None]
    features = torch.nn.functional.normalize(features, dim=1)
    return Level(features, torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.float64), STRIDE)


def linear_level(channels=5):
    """Features that grow linearly with the pixel, so that every derivative is exact."""
    v, u = torch.meshgrid(
        torch.arange(HEIGHT, dtype=torch.float64) * STRIDE + (STRIDE - 1) / 2,
        torch.arange(WIDTH, dtype=torch.float64) * STRIDE + (STRIDE - 1) / 2,
        indexing='ij',
    )
    slope = 0.005 * random(channels, 2)
    features = slope[:, :1, None] * u + slope[:, 1:, None] * v
    return Level(features[None], torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.float64), STRIDE)


def seen_from(pose, level, every):
    """Points with the features that a camera at a pose sees."""
    _, pixels = project(every, pose, MATRIX)
    features, _, confidence, inside = Field.of(level).sample(pixels)
    return ReferencePoints(every, features, confidence * inside)


def identity():
    return torch.eye(4, dtype=torch.float64)[None]


def off(pose, truth):
    metres, angle = se3.pose_error(se3.inverse(pose), se3.inverse(truth))
    return float(metres.max()), float(angle.max())


def test_derivative_of_a_pixel_by_the_twist():
    pose, every = se3.exp(0.1 * random(1, 6)), points(8)
    camera, _ = project(every, pose, MATRIX)
    analytic = d_pixel_d_twist(camera, MATRIX)
    for index in range(6):
        twist = torch.zeros(1, 6, dtype=torch.float64)
        twist[0, index] = 1e-6
        ahead, behind = (
            project(every, se3.exp(sign * twist) @ pose, MATRIX)[1] for sign in (1, -1)
        )
        torch.testing.assert_close(
            analytic[..., index], (ahead - behind) / 2e-6, atol=1e-5, rtol=1e-6
        )


def test_gradient_is_that_of_the_cost():
    """Half the sum of w rho(r^2), by autograd, with outliers and different weights."""
    field, every = Field.of(linear_level()), points()
    reference = ReferencePoints(every, 0.3 * random(1, 60, 5, seed=2), torch.rand(1, 60).double())
    pose = se3.exp(0.05 * random(1, 6))
    found = residuals(reference, field, pose, MATRIX, SCALE)
    assert bool(found.in_view.all())
    twist = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    moved = residuals(reference, field, se3.exp(twist) @ pose, MATRIX, SCALE)
    total = (reference.weight * SCALE**2 * (moved.squared / (2 * SCALE**2)).log1p()).sum()
    (expected,) = torch.autograd.grad(total, twist)
    torch.testing.assert_close(found.gradient, expected, rtol=1e-8, atol=1e-10)


def test_hessian_is_that_of_gauss_and_newton():
    field, every = Field.of(linear_level()), points()
    reference = ReferencePoints(every, 0.3 * random(1, 60, 5, seed=2), torch.rand(1, 60).double())

    def rows(twist):
        _, pixels = project(every, se3.exp(twist[None]), MATRIX)
        return (field.sample(pixels)[0] - reference.features).reshape(-1)

    jacobian = torch.autograd.functional.jacobian(rows, torch.zeros(6, dtype=torch.float64))
    found = residuals(reference, field, identity(), MATRIX, SCALE)
    weight = found.weight[0].repeat_interleave(5)
    torch.testing.assert_close(
        found.hessian[0], jacobian.T @ (weight[:, None] * jacobian), rtol=1e-8, atol=1e-9
    )


def test_points_out_of_view_weigh_nothing():
    every = points()
    every[0, 0] = torch.tensor([0.0, 0, -2])  # behind
    every[0, 1] = torch.tensor([5.0, 0, 2])  # beside
    reference = ReferencePoints(every, random(1, 60, 5), torch.ones(1, 60).double())
    found = residuals(reference, Field.of(linear_level()), identity(), MATRIX, SCALE)
    assert not found.in_view[0, :2].any() and bool(found.in_view[0, 2:].all())
    assert float(found.weight[0, :2].abs().max()) == 0.0


def test_derivatives_of_an_unrolled_step():
    """Features of the query and of the points, confidences and damping all learn from the pose."""
    level, every = smooth_level(2), points(16)
    reference = seen_from(se3.exp(0.02 * random(1, 6)), level, every)

    def pose(features, reference_features, weight, confidence, damping):
        field = Field.of(Level(features, confidence, STRIDE))
        seen = ReferencePoints(every, reference_features, weight)
        return optimize(seen, field, identity(), MATRIX, damping, SCALE, 2)[0, :3]

    small = Level(level.features, 0.8 * level.confidence, STRIDE)
    inputs = (
        small.features,
        reference.features,
        0.5 * reference.weight + 0.1,
        small.confidence,
        DAMPING.clone(),
    )
    for chosen in range(5):
        held = [one.detach().clone().requires_grad_(i == chosen) for i, one in enumerate(inputs)]
        assert torch.autograd.gradcheck(pose, held, atol=1e-5, rtol=1e-3, fast_mode=True)


def test_step_does_not_depend_on_the_unit_of_length():
    level, every = smooth_level(), points()
    reference = seen_from(se3.exp(0.02 * random(1, 6)), level, every)
    twists = []
    for unit in (1.0, 100.0):
        scaled = ReferencePoints(unit * every, reference.features, reference.weight)
        found = residuals(scaled, Field.of(level), identity(), MATRIX, SCALE)
        twist = step(found, DAMPING)
        twist[:, :3] /= unit
        twists.append(twist)
    torch.testing.assert_close(*twists, rtol=1e-9, atol=1e-12)


def test_damping_is_a_prior_on_the_motion():
    """A camera whose translation is damped only turns; the more damping, the less it does."""
    level, every = smooth_level(), points()
    reference = seen_from(se3.exp(0.03 * random(1, 6)), level, every)
    found = residuals(reference, Field.of(level), identity(), MATRIX, SCALE)
    turning = DAMPING.clone()
    turning[:3] = 1e6
    twist = step(found, turning)[0]
    assert twist[:3].norm() < 1e-5 < twist[3:].norm()
    sizes = [float(step(found, 10.0**power * torch.ones_like(DAMPING)).norm()) for power in (0, 3)]
    assert sizes[1] < 0.01 * sizes[0]


def test_too_few_points_move_nothing():
    level, every = smooth_level(), points(9)
    reference = seen_from(se3.exp(0.03 * random(1, 6)), level, every)
    found = residuals(reference, Field.of(level), identity(), MATRIX, SCALE)
    assert float(step(found, DAMPING).abs().max()) == 0.0


def test_alignment_converges_to_the_true_pose():
    level, every = smooth_level(), points()
    truth = se3.exp(torch.tensor([[0.04, -0.03, 0.05, 0.03, -0.04, 0.03]]).double())
    reference = seen_from(truth, level, every)
    found = optimize(reference, Field.of(level), identity(), MATRIX, DAMPING, SCALE, 30)
    metres, angle = off(found, truth)
    assert metres < 5e-3 and angle < 2e-3
    early = optimize(reference, Field.of(level), truth, MATRIX, DAMPING, SCALE, 30, converged=1e-3)
    assert off(early, truth)[0] < 1e-6


def test_outliers_hardly_move_the_pose():
    level, every = smooth_level(), points()
    truth = se3.exp(0.02 * random(1, 6))
    reference = seen_from(truth, level, every)
    reference.features[0, :12] = torch.nn.functional.normalize(random(12, 12, seed=9), dim=1)
    found = optimize(reference, Field.of(level), identity(), MATRIX, DAMPING, SCALE, 40)
    assert off(found, truth)[0] < 0.03


def test_poses_are_refined_independently():
    """A field serves many poses of one image as it does one."""
    level, every = smooth_level(), points()
    reference = seen_from(se3.exp(0.03 * random(1, 6)), level, every)
    starts = se3.exp(0.01 * random(3, 6, seed=4))
    many = ReferencePoints(
        *(
            getattr(reference, name).expand(3, *getattr(reference, name).shape[1:])
            for name in ('points', 'features', 'weight')
        )
    )
    together = optimize(many, Field.of(level), starts, MATRIX, DAMPING, SCALE, 3)
    alone = [
        optimize(reference, Field.of(level), one[None], MATRIX, DAMPING, SCALE, 3)
        for one in starts
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_search_finds_a_rotation_beyond_reach():
    level, every = smooth_level(), points()
    turns = rotations()
    torch.testing.assert_close(turns[0], torch.eye(4))
    for row in (10, 30, 60):
        reference = seen_from(turns[row : row + 1].double(), level, every)
        assert int((reference.weight > 0).sum()) > 20
        cost = costs(reference, Field.of(level), turns.double(), MATRIX, SCALE)
        assert int(cost.argmin()) == row


def test_levels_have_unit_features_and_confidences():
    from dsac_ros.network.encoder import load_encoder

    network = FeatureNetwork(load_encoder()[0], Expansion())
    images = torch.rand(2, 1, 44, 60, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        levels = network(images)
    assert [level.stride for level in levels] == [8, 4, 2]
    for level in levels:
        assert level.features.shape[2:] == (48 // level.stride, 64 // level.stride)
        norms = level.features.norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms))
        assert float(level.confidence.min()) >= 0 and float(level.confidence.max()) <= 1
    factors = [network.expansion.damping_factors(index) for index in range(3)]
    torch.testing.assert_close(torch.stack(factors), torch.full((3, 6), 1e-2))


def test_a_shrunk_image_shows_points_at_the_same_place():
    matrix = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])
    small, scaled = shrunk(np.zeros((480, 640), np.uint8), matrix, 4)
    assert small.shape == (120, 160)
    point = np.array([0.3, -0.2, 1.0])
    pixel, there = (m @ point for m in (matrix, scaled))
    np.testing.assert_allclose((pixel[:2] + 0.5) / 4 - 0.5, there[:2])
