# SPDX-License-Identifier: Apache-2.0
"""Differentiable RANSAC: its gradients against brute force, its guards, its entropy."""
from dataclasses import replace

import pytest
import torch
from ransac_scenes import batch
from ransac_scenes import scene as whole_scene

from dsac_ros.config import EndToEndConfig
from dsac_ros.geometry.pose_losses import MaxLoss, PoseLossConfig
from dsac_ros.ransac import expectation, gradient, refine
from dsac_ros.ransac.correspondences import correspondences
from dsac_ros.ransac.p3p import solve_p3p

SMALL = dict(inliers=0.7, noise=0.03)
CONFIG = EndToEndConfig(hypotheses=16, cells=48, refine_iterations=30, alpha=20.0)
LOSS = MaxLoss(PoseLossConfig())


def scene(seed, **kwargs):
    """48 cells that are spread over a whole image."""
    image, truth = whole_scene(seed, dtype=torch.float64, **kwargs)
    cells = torch.arange(4800).reshape(60, 80)[5::10, 5::10].flatten()
    return replace(image, points_world=image.points_world[:, cells],
                   pixels=image.pixels[:, cells], sigma_px=image.sigma_px[:, cells],
                   valid=image.valid[:, cells], grid_hw=(6, 8)), truth


@pytest.fixture
def problem():
    image, truth = scene(3, **SMALL)
    seen = correspondences(image)
    pool = expectation.draw_pool(seen, CONFIG, torch.Generator().manual_seed(0))
    return seen, pool, truth[None]


@pytest.fixture
def unguarded(monkeypatch):
    """Every hypothesis moves the points, however unlikely or ill determined."""
    monkeypatch.setattr(expectation, 'MIN_PROBABILITY', 0.0)
    monkeypatch.setattr(gradient, 'MAX_JACOBIAN', float('inf'))


def value(points, problem, config):
    """The loss and its gradient by the points."""
    seen, pool, truth = problem
    points = points.clone().requires_grad_()
    loss = expectation.expected_loss_of(replace(seen, points=points), pool, truth, config,
                                        config.alpha, LOSS).loss.sum()
    return loss.item(), torch.autograd.grad(loss, points)[0]


def solved_again(points, problem):
    """The pool as other points give it: every set solved and every pose refined to its end."""
    seen, pool, _ = problem
    here = replace(seen, points=points)
    corners = here.take(pool.sets.flatten(1))
    poses, real = solve_p3p(corners.points.unflatten(1, pool.sets.shape[1:]),
                            corners.rays.unflatten(1, pool.sets.shape[1:]))
    away = (poses - pool.hypotheses[:, :, None]).flatten(3).norm(dim=-1)
    nearest = away.masked_fill(~real, torch.inf).argmin(-1)[..., None, None, None]
    hypotheses, refined = poses.take_along_dim(nearest, 2)[:, :, 0], pool.refined
    for _ in range(60):
        weight = gradient.weights(refined, here, pool.mixture)
        refined = refine.gauss_newton_step(refined, here, weight)
    mask = pool.solved[..., None, None]
    return replace(pool, hypotheses=torch.where(mask, hypotheses, pool.hypotheses),
                   refined=torch.where(mask, refined, pool.refined))


@pytest.mark.parametrize('selection', ['dsac', 'softam', 'argmax'])
def test_the_gradient_is_that_of_brute_force(selection, problem, unguarded):
    """Against finite differences through P3P and 60 steps of refinement of every hypothesis."""
    seen, _, truth = problem
    config = replace(CONFIG, selection=selection, gradient='implicit')
    problem = (seen, solved_again(seen.points, problem), truth)
    _, found = value(seen.points, problem, config)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(seen.points.shape, dtype=torch.float64, generator=generator)
        ahead, behind = (value(at, (seen, solved_again(at, problem), truth), config)[0]
                         for at in (seen.points + 1e-6 * direction,
                                    seen.points - 1e-6 * direction))
        assert (found * direction).sum().item() == pytest.approx((ahead - behind) / 2e-6, rel=1e-3,
                                                                 abs=0.05)


def test_one_step_and_implicit_differentiation_agree_on_exact_data():
    """Where residuals are zero neither curvature nor changing weights have a part."""
    image, _ = scene(4)
    seen = correspondences(image)
    config = replace(CONFIG, hypotheses=4, selection='argmax')
    pool = expectation.draw_pool(seen, config, torch.Generator().manual_seed(0))
    steps = {}
    for name, step in gradient.STEPS.items():
        points = seen.points.clone().requires_grad_()
        poses = step(pool.refined, replace(seen, points=points), pool.mixture, pool.solved)
        steps[name] = torch.autograd.grad(poses[..., :3, 3].sum(), points)[0]
    torch.testing.assert_close(steps['one_step'], steps['implicit'], rtol=1e-4, atol=1e-6)


def test_on_noisy_data_implicit_differentiation_is_nearer_to_brute_force(problem, unguarded):
    seen, _, truth = problem
    problem = (seen, solved_again(seen.points, problem), truth)
    found = {name: value(seen.points, problem, replace(CONFIG, gradient=name))[1]
             for name in gradient.STEPS}
    generator, error = torch.Generator().manual_seed(2), dict.fromkeys(found, 0.0)
    for _ in range(4):
        direction = torch.randn(seen.points.shape, dtype=torch.float64, generator=generator)
        ahead, behind = (value(at, (seen, solved_again(at, problem), truth), CONFIG)[0]
                         for at in (seen.points + 1e-6 * direction,
                                    seen.points - 1e-6 * direction))
        for name, one in found.items():
            error[name] += abs((one * direction).sum().item() - (ahead - behind) / 2e-6)
    assert error['implicit'] < 0.1 * error['one_step']


def test_a_minimal_set_moves_its_pose_as_p3p_does(problem):
    seen, pool, _ = problem
    corners = seen.take(pool.sets.flatten(1))
    good = pool.solved & (gradient.minimal_jacobian(pool.hypotheses, corners) < 3.0)
    assert good.sum() >= 3

    def poses(points):
        moved = replace(corners, points=points)
        return gradient.minimal_step(pool.hypotheses, moved, good)[good][:, :3].flatten()
    direction = torch.randn(corners.points.shape, dtype=torch.float64,
                            generator=torch.Generator().manual_seed(0))
    _, along = torch.autograd.functional.jvp(poses, corners.points, direction)

    def solved(points):
        found, real = solve_p3p(points.unflatten(1, pool.sets.shape[1:]),
                                corners.rays.unflatten(1, pool.sets.shape[1:]))
        away = (found - pool.hypotheses[:, :, None]).flatten(3).norm(dim=-1)
        nearest = away.masked_fill(~real, torch.inf).argmin(-1)[..., None, None, None]
        return found.take_along_dim(nearest, 2)[:, :, 0][good][:, :3].flatten()
    expected = (solved(corners.points + 1e-6 * direction)
                - solved(corners.points - 1e-6 * direction)) / 2e-6
    torch.testing.assert_close(along, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('score', ['soft', 'uncertainty'])
def test_scores_have_the_right_gradient(score, problem):
    seen, pool, _ = problem
    config = replace(CONFIG, score=score)

    def scores(poses, points, precision):
        moved = replace(seen, points=points, precision=precision)
        return expectation.score(poses, moved, config)
    # off the poses themselves, whose own three points have no error and so no derivative of it
    aside = torch.full((1, 3, 6), 0.01, dtype=torch.float64)
    poses = refine.retract(aside, pool.hypotheses[:, :3])
    inputs = [x.clone().requires_grad_() for x in (poses, seen.points, seen.precision)]
    assert torch.autograd.gradcheck(scores, inputs, eps=1e-8, atol=1e-5)


def test_a_hard_count_teaches_no_score(problem):
    seen, pool, _ = problem
    points = seen.points.clone().requires_grad_()
    counted = expectation.score(pool.refined, replace(seen, points=points),
                                replace(CONFIG, score='hard'))
    assert not counted.requires_grad
    assert ((counted >= 0.0) & (counted <= 1.0)).all()


def test_the_expectation_weighs_losses_by_probability(problem):
    seen, pool, truth = problem
    found = expectation.expected_loss_of(seen, pool, truth, CONFIG, CONFIG.alpha, LOSS)
    torch.testing.assert_close(found.probability.sum(-1), torch.ones(1, dtype=torch.float64))
    assert (found.probability[~pool.solved] == 0.0).all()
    expected = (found.probability * found.losses).sum(-1)
    torch.testing.assert_close(found.loss, expected, rtol=1e-3, atol=1e-3)


def test_sharpness_goes_from_the_mean_to_the_best(problem):
    seen, pool, truth = problem
    def loss(alpha, selection='dsac'):
        return expectation.expected_loss_of(seen, pool, truth, replace(
            CONFIG, selection=selection), alpha, LOSS).loss.item()
    assert loss(1e4) == pytest.approx(loss(1.0, 'argmax'), rel=1e-4)
    flat = expectation.expected_loss_of(seen, pool, truth, CONFIG, 1e-3, LOSS)
    assert flat.loss.item() == pytest.approx(flat.losses[pool.solved].mean().item(), rel=1e-3)


def test_skipping_the_unlikely_leaves_out_what_their_ill_fitted_poses_would_add(
        problem, monkeypatch):
    """At alpha 40 the lost hypotheses have next to no probability, and most of the gradient."""
    seen, pool, truth = problem
    config = replace(CONFIG, alpha=40.0)
    likely = expectation.expected_loss_of(seen, pool, truth, config, 40.0, LOSS).probability
    tiny = (likely > 0.0) & (likely < expectation.MIN_PROBABILITY)
    assert tiny.sum() >= 3
    followed = []
    original = gradient.one_step
    monkeypatch.setitem(gradient.STEPS, 'one_step', lambda poses, *rest: followed.append(
        poses.shape[1]) or original(poses, *rest))
    guarded, _ = value(seen.points, problem, config)
    monkeypatch.setattr(expectation, 'MIN_PROBABILITY', 0.0)
    whole, _ = value(seen.points, problem, config)
    assert followed[0] <= followed[1] - int(tiny.sum())
    assert guarded == pytest.approx(whole, rel=1e-3)


def test_a_degenerate_set_does_not_explode_the_gradient(monkeypatch):
    image, _ = scene(5, noise=0.02)
    seen = correspondences(image)
    sets = torch.tensor([[[0, 1, 2], [1, 38, 47]]])  # one row of cells, and a wide triangle
    corners = seen.take(sets.flatten(1))
    poses, real = solve_p3p(corners.points.unflatten(1, (2, 3)), corners.rays.unflatten(1, (2, 3)))
    assert real.any(-1).all()
    first = real.long().argmax(-1)[..., None, None, None]
    hypotheses = poses.take_along_dim(first, 2)[:, :, 0]
    mixture = refine.initial_mixture(hypotheses, 10.0)
    pool = expectation.Pool(sets, hypotheses, hypotheses, real.any(-1), mixture)
    largest = gradient.minimal_jacobian(hypotheses, corners)[0]
    assert largest[0] > gradient.MAX_JACOBIAN > largest[1]

    def norm():
        points = seen.points.clone().requires_grad_()
        moving = expectation._follow_minimal(replace(seen, points=points), pool)
        return torch.autograd.grad(moving[..., :3, 3].sum(), points)[0].norm().item()
    guarded = norm()
    monkeypatch.setattr(gradient, 'MAX_JACOBIAN', float('inf'))
    assert norm() > 3.0 * guarded


def test_an_image_without_a_pose_costs_nothing_and_spoils_no_other():
    good, truth = scene(6, **SMALL)
    bad = replace(good, points_world=torch.full_like(good.points_world, torch.nan))
    images = batch([bad, good])
    points = images.points_world.clone().requires_grad_()
    found = expectation.expected_loss(replace(images, points_world=points),
                                      torch.stack([truth, truth]), CONFIG, 20.0,
                                      torch.Generator().manual_seed(0), LOSS)
    slope, = torch.autograd.grad(found.loss.sum(), points)
    assert found.found.tolist() == [False, True]
    assert found.loss[0] == 0.0
    assert (slope[0] == 0.0).all()
    assert slope.isfinite().all()
    assert slope[1].abs().max() > 0.0


def test_the_same_seed_gives_the_same_loss():
    image, truth = scene(6, **SMALL)
    def loss(seed):
        return expectation.expected_loss(image, truth[None], CONFIG, 20.0,
                                         torch.Generator().manual_seed(seed), LOSS).loss
    assert torch.equal(loss(0), loss(0))
    assert not torch.equal(loss(0), loss(1))


@pytest.mark.parametrize('target', [1.0, 3.0])
@pytest.mark.parametrize('start', [4.0, 200.0])
def test_entropy_control_reaches_its_target_from_both_sides(target, start, problem):
    seen, pool, truth = problem
    control = expectation.EntropyControl(replace(CONFIG, alpha=start, entropy_bits=target))
    for _ in range(120):
        found = expectation.expected_loss_of(seen, pool, truth, CONFIG, control.alpha, LOSS)
        control.observe(found.entropy_bits.mean().item())
    assert found.entropy_bits.item() == pytest.approx(target, abs=0.05)


def test_without_a_target_alpha_stays():
    control = expectation.EntropyControl(replace(CONFIG, entropy_bits=0.0))
    control.observe(4.0)
    assert control.alpha == CONFIG.alpha


@pytest.mark.parametrize('selection', ['dsac', 'softam', 'argmax'])
@pytest.mark.parametrize('how', ['one_step', 'implicit'])
def test_descent_lowers_the_loss(selection, how):
    """Points alone, no network: a few steps make the pose of other draws better, too."""
    image, truth = scene(7, **{**SMALL, 'inliers': 1.0})
    points = image.points_world.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], 1e-3)
    config = replace(CONFIG, selection=selection, gradient=how, refine_iterations=8)

    def loss(seed):
        moved, draws = replace(image, points_world=points), torch.Generator().manual_seed(seed)
        return expectation.expected_loss(moved, truth[None], config, 20.0, draws, LOSS).loss.sum()
    before = sum(loss(seed).item() for seed in range(100, 104))
    for seed in range(12):
        optimizer.zero_grad()
        loss(seed).backward()
        optimizer.step()
    assert sum(loss(seed).item() for seed in range(100, 104)) < 0.92 * before
