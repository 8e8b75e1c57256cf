# SPDX-License-Identifier: Apache-2.0
"""Differentiable RANSAC: its gradients against brute force, its guards, its entropy."""

import math
from dataclasses import asdict, fields, replace

import pytest
import torch
from ransac_scenes import batch
from ransac_scenes import scene as whole_scene

from dsac_ros.config import EndToEndConfig, build
from dsac_ros.geometry import se3
from dsac_ros.geometry.pose_losses import MaxLoss, PoseLossConfig
from dsac_ros.geometry.representations import REPRESENTATIONS
from dsac_ros.ransac import dsac, gradient, refine
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.minimal import solve_minimal
from dsac_ros.ransac.noise_model import NoiseModel, initial_noise_model
from dsac_ros.ransac.p3p import solve_p3p

SMALL = dict(inliers=0.7, noise=0.03)
CONFIG = EndToEndConfig(hypotheses=16, cells=48, refine_iterations=30, alpha=20.0)
LOSS = MaxLoss(PoseLossConfig())


def scene(seed, **kwargs):
    """48 cells that are spread over a whole image."""
    image, truth = whole_scene(seed, dtype=torch.float64, **kwargs)
    cells = torch.arange(4800).reshape(60, 80)[5::10, 5::10].flatten()
    return replace(
        image,
        points_world=image.points_world[:, cells],
        pixels=image.pixels[:, cells],
        sigma_px=image.sigma_px[:, cells],
        valid=image.valid[:, cells],
        grid_hw=(6, 8),
    ), truth


@pytest.fixture
def problem():
    image, truth = scene(3, **SMALL)
    correspondences = normalize_correspondences(image)
    hypothesis_set = dsac.draw_hypotheses(
        correspondences, CONFIG, torch.Generator().manual_seed(0)
    )
    return correspondences, hypothesis_set, truth[None]


@pytest.fixture
def unguarded(monkeypatch):
    """Every hypothesis moves the points, however unlikely or ill determined."""
    monkeypatch.setattr(dsac, 'MIN_PROBABILITY', 0.0)
    monkeypatch.setattr(gradient, 'MAX_JACOBIAN', float('inf'))


def value(points, problem, config):
    """The loss and its gradient by the points."""
    correspondences, hypothesis_set, truth = problem
    points = points.clone().requires_grad_()
    loss = dsac.expected_loss_of_hypotheses(
        replace(correspondences, points=points), hypothesis_set, truth, config, config.alpha, LOSS
    ).loss.sum()
    return loss.item(), torch.autograd.grad(loss, points)[0]


def newton_step(poses, correspondences, noise_model):
    """One step of the refinement with the noise model held."""
    at = refine.linearise(poses, correspondences)
    return refine.gauss_newton_step(
        poses, at, gradient.weights(poses, correspondences, noise_model)
    )


def jacobians_of_sets(poses, corners):
    """The largest entries (H,) of the Jacobians of minimal sets of one image."""
    sets, alone = gradient.split_minimal_sets(corners, poses.shape[1]), poses.reshape(-1, 1, 4, 4)
    at = refine.linearise(alone, sets)
    return gradient.step_equations(alone, at, torch.ones_like(at.squared)).largest_jacobian()[:, 0]


def nearest_solutions(correspondences, hypothesis_set):
    """Return the solution of every set that is nearest to the given one."""
    poses, real = solve_minimal(correspondences, hypothesis_set.sets)
    away = (poses - hypothesis_set.hypotheses[:, :, None]).flatten(3).norm(dim=-1)
    nearest = away.masked_fill(~real, torch.inf).argmin(-1)[..., None, None, None]
    return poses.take_along_dim(nearest, 2)[:, :, 0]


def solved_again(points, problem):
    """The hypotheses of other points: every set solved and every pose refined to its end."""
    correspondences, hypothesis_set, _ = problem
    here = replace(correspondences, points=points)
    hypotheses, refined = nearest_solutions(here, hypothesis_set), hypothesis_set.refined
    for _ in range(60):
        refined = newton_step(refined, here, hypothesis_set.noise_model)
    mask = hypothesis_set.valid[..., None, None]
    return replace(
        hypothesis_set,
        hypotheses=torch.where(mask, hypotheses, hypothesis_set.hypotheses),
        refined=torch.where(mask, refined, hypothesis_set.refined),
    )


def slopes(loss_at, points, count=3, step=1e-6):
    """Some directions, and how a loss changes along each of them by finite differences."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        direction = torch.randn(points.shape, dtype=torch.float64, generator=generator)
        ahead, behind = (loss_at(points + sign * direction) for sign in (step, -step))
        yield direction, (ahead - behind) / (2.0 * step)


def measured(correspondences, truth):
    """The same cells with a sensor's depth, half a percent off."""
    depth = se3.transform(
        correspondences.camera_from_scaled(truth[:, None])[:, 0], correspondences.points
    )[..., 2]
    noise = torch.randn(depth.shape, generator=torch.Generator().manual_seed(5)).to(depth)
    return replace(
        correspondences, inverse_depth=(depth * (1.0 + 0.005 * noise)).clamp(min=0.2).reciprocal()
    )


def unchanged(correspondences, truth):
    return correspondences


def uneven(correspondences, truth):
    """The same cells, some of them predicted to be more precise than others."""
    generator = torch.Generator().manual_seed(6)
    return replace(
        correspondences,
        precision=0.5
        + torch.rand(correspondences.precision.shape, dtype=torch.float64, generator=generator),
    )


@pytest.mark.parametrize(
    'change, prepare',
    [
        ({}, unchanged),
        ({'selection': 'argmax'}, unchanged),
        ({'score': 'uncertainty'}, uneven),
        ({'alpha': 60.0}, measured),
    ],
    ids=['dsac', 'argmax', 'uncertainty', 'rgbd'],
)
def test_the_gradient_is_that_of_brute_force(change, prepare, problem, unguarded):
    """Against finite differences through minimal sets and 60 steps of every refinement."""
    correspondences, _, truth = problem
    correspondences = prepare(correspondences, truth)
    config = replace(CONFIG, gradient='implicit', **change)
    hypothesis_set = dsac.draw_hypotheses(
        correspondences, config, torch.Generator().manual_seed(0)
    )
    hypothesis_set = solved_again(correspondences.points, (correspondences, hypothesis_set, truth))

    def loss_at(points):
        there = (
            correspondences,
            solved_again(points, (correspondences, hypothesis_set, truth)),
            truth,
        )
        return value(points, there, config)[0]

    _, found = value(correspondences.points, (correspondences, hypothesis_set, truth), config)
    for direction, expected in slopes(loss_at, correspondences.points):
        assert (found * direction).sum().item() == pytest.approx(expected, rel=1e-3, abs=0.05)


def softam_by_hand(points, problem, config, noise_model):
    """l(R(h_SoftAM)): every set solved, their mean, 60 steps with a noise model held."""
    correspondences, hypothesis_set, truth = problem
    here = replace(correspondences, points=points)
    hypotheses = nearest_solutions(here, hypothesis_set)
    hypotheses = torch.where(
        hypothesis_set.valid[..., None, None], hypotheses, hypothesis_set.hypotheses
    )
    scores = dsac.score(hypotheses, here, config).masked_fill(~hypothesis_set.valid, -torch.inf)
    pose = dsac.mean_pose(hypotheses, torch.softmax(config.alpha * scores, -1))
    for _ in range(60):
        pose = newton_step(pose, here, noise_model)
    return LOSS(here.world_from_camera(pose), truth[:, None]).item()


def test_softam_is_the_loss_of_the_refined_mean_pose(problem):
    """The seed's l(R(h_SoftAM)), and its derivative as finite differences have it."""
    correspondences, hypothesis_set, truth = problem
    config = replace(CONFIG, selection='softam', gradient='implicit', refine_iterations=60)
    probability = dsac.expected_loss_of_hypotheses(
        correspondences, hypothesis_set, truth, config, config.alpha, LOSS
    ).probability
    mean = dsac.mean_pose(hypothesis_set.hypotheses, probability)
    pose, noise_model = refine.refine(
        mean,
        correspondences,
        initial_noise_model(mean, config.inlier_px),
        config.inlier_px,
        config.refine_iterations,
    )
    loss, found = value(correspondences.points, problem, config)
    refined, unrefined = (
        LOSS(correspondences.world_from_camera(one), truth[:, None]).item() for one in (pose, mean)
    )
    assert loss == pytest.approx(refined)
    assert loss != pytest.approx(unrefined, rel=0.1)

    def loss_at(points):
        return softam_by_hand(points, problem, config, noise_model)

    for direction, expected in slopes(loss_at, correspondences.points):
        assert (found * direction).sum().item() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_mean_pose_is_between_the_poses():
    turns = torch.tensor([[0.0, 0, 0, 0, 0, 0.2], [0.0, 0, 0, 0, 0, -0.1], [9.0, 9, 9, 1, 1, 1]])
    probability = torch.tensor([[0.75, 0.25, 0.0]]).double()
    mean = dsac.mean_pose(se3.exp(turns.double())[None], probability)
    torch.testing.assert_close(se3.log(mean)[0, 0], torch.tensor([0, 0, 0, 0, 0, 0.125]).double())


@pytest.mark.parametrize(
    ('rotation', 'angle'),
    [
        (name, angle)
        for name in ('tangent', *REPRESENTATIONS)
        for angle in (0.4, -2.2, 3.0)
        if name != 'euler' or abs(angle) < 1.5
    ],
)  # whose pitch ends at a right angle
def test_mean_pose_is_half_way_in_any_parameters(rotation, angle):
    """Wherever the two are: an average of plain quaternions or Euler angles is not."""
    generator = torch.Generator().manual_seed(0)
    away = se3.exp(3.0 * torch.randn(1, 1, 6, generator=generator, dtype=torch.float64))
    turn = torch.tensor([0.0, 0, 0, 0, angle, 0], dtype=torch.float64)
    poses = torch.cat([away, se3.exp(turn) @ away], 1)
    mean = dsac.mean_pose(poses, torch.full((1, 2), 0.5).double(), rotation)
    torch.testing.assert_close(mean[:, :1], se3.exp(turn / 2) @ away)


def test_the_parameters_of_the_mean_are_chosen_by_name(problem):
    """The mean of hypotheses that lie apart differs, and with it the loss."""
    correspondences, hypothesis_set, truth = problem
    assert set(
        next(f for f in fields(EndToEndConfig) if f.name == 'mean_rotation').metadata['choices']
    ) == {'tangent', *REPRESENTATIONS}
    losses = {
        name: dsac.expected_loss_of_hypotheses(
            correspondences,
            hypothesis_set,
            truth,
            build(
                EndToEndConfig,
                {
                    **asdict(CONFIG),
                    'selection': 'softam',
                    'mean_rotation': name,
                    'refine_iterations': 1,
                },
            ),
            1e-3,
            LOSS,
        ).loss.item()
        for name in ('tangent', 'euler', 'procrustes')
    }
    assert len(set(losses.values())) == 3


def test_one_step_and_implicit_agree_on_exact_data():
    """Neither curvature nor changing weights have a part where residuals are zero."""
    image, _ = scene(4)
    correspondences = normalize_correspondences(image)
    config = replace(CONFIG, hypotheses=4, selection='argmax')
    hypothesis_set = dsac.draw_hypotheses(
        correspondences, config, torch.Generator().manual_seed(0)
    )
    steps = {}
    for name, step in gradient.STEPS.items():
        points = correspondences.points.clone().requires_grad_()
        poses = step(
            hypothesis_set.refined,
            replace(correspondences, points=points),
            hypothesis_set.noise_model,
            hypothesis_set.valid,
        )
        steps[name] = torch.autograd.grad(poses[..., :3, 3].sum(), points)[0]
    torch.testing.assert_close(steps['one_step'], steps['implicit'], rtol=1e-4, atol=1e-6)


def test_implicit_is_nearer_to_brute_force_with_noise(problem, unguarded):
    """The error of one step is more than ten times that of implicit differentiation."""
    correspondences, _, truth = problem
    problem = (correspondences, solved_again(correspondences.points, problem), truth)
    found = {
        name: value(correspondences.points, problem, replace(CONFIG, gradient=name))[1]
        for name in gradient.STEPS
    }
    error = dict.fromkeys(found, 0.0)

    def loss_at(points):
        return value(points, (correspondences, solved_again(points, problem), truth), CONFIG)[0]

    for direction, expected in slopes(loss_at, correspondences.points, count=4):
        for name, one in found.items():
            error[name] += abs((one * direction).sum().item() - expected)
    assert error['implicit'] < 0.1 * error['one_step']


@pytest.mark.parametrize('depth', [False, True])
def test_a_minimal_set_moves_its_pose_like_its_solver(problem, depth):
    """P3P's, and Kabsch's where depth is measured."""
    correspondences, hypothesis_set, truth = problem
    if depth:
        correspondences = measured(correspondences, truth)
        hypothesis_set = dsac.draw_hypotheses(
            correspondences, CONFIG, torch.Generator().manual_seed(0)
        )
    corners = correspondences.take(hypothesis_set.sets.flatten(1))
    good = hypothesis_set.valid & (jacobians_of_sets(hypothesis_set.hypotheses, corners) < 3.0)
    assert good.sum() >= 3

    def poses(points):
        moved = replace(corners, points=points)
        return gradient.minimal_step(hypothesis_set.hypotheses, moved, good)[good][:, :3].flatten()

    direction = torch.randn(
        corners.points.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    _, along = torch.autograd.functional.jvp(poses, corners.points, direction)

    def solved(points):
        sets = torch.arange(points.shape[1]).view(1, -1, 3)
        return nearest_solutions(
            replace(corners, points=points), replace(hypothesis_set, sets=sets)
        )[good][:, :3].flatten()

    expected = (
        solved(corners.points + 1e-6 * direction) - solved(corners.points - 1e-6 * direction)
    ) / 2e-6
    torch.testing.assert_close(along, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('score', ['soft', 'uncertainty'])
def test_scores_have_the_right_gradient(score, problem):
    correspondences, hypothesis_set, _ = problem
    config = replace(CONFIG, score=score)

    def scores(poses, points, precision):
        moved = replace(correspondences, points=points, precision=precision)
        return dsac.score(poses, moved, config)

    # off the poses themselves, whose own three points have no error and so no derivative of it
    aside = torch.full((1, 3, 6), 0.01, dtype=torch.float64)
    poses = refine.retract(aside, hypothesis_set.hypotheses[:, :3])
    inputs = [
        x.clone().requires_grad_()
        for x in (poses, correspondences.points, correspondences.precision)
    ]
    assert torch.autograd.gradcheck(scores, inputs, eps=1e-8, atol=1e-5)


def test_scores_are_shares_of_what_agrees(problem):
    """By hand: four cells, two of which are off by 5 and 15 px; predicted precision 1, 2, 3, 4."""
    correspondences, _, truth = problem
    pose = correspondences.camera_from_scaled(truth[:, None])
    four = correspondences.first(4)
    camera = se3.transform(pose[:, 0], four.points)
    pixels = four.focal[:, None] * camera[..., :2] / camera[..., 2:]
    pixels[0, :, 0] += torch.tensor([0.0, 5.0, 15.0, 0.0])
    four = replace(
        four,
        pixels=pixels,
        precision=torch.tensor([[1.0, 2.0, 3.0, 4.0]]).double(),
        valid=torch.ones(1, 4, dtype=torch.bool),
    )
    fits = [1 / (1 + math.exp(0.5 * error - 5.0)) for error in (0.0, 5.0, 15.0, 0.0)]
    for name, expected in (
        ('hard', 3 / 4),
        ('soft', sum(fits) / 4),
        ('uncertainty', sum(w * fit for w, fit in zip((1, 2, 3, 4), fits)) / 10),
    ):
        found = dsac.score(pose, four, replace(CONFIG, score=name))
        assert found.item() == pytest.approx(expected, rel=1e-6)


def test_a_hard_count_teaches_no_score(problem):
    correspondences, hypothesis_set, _ = problem
    points = correspondences.points.clone().requires_grad_()
    counted = dsac.score(
        hypothesis_set.refined,
        replace(correspondences, points=points),
        replace(CONFIG, score='hard'),
    )
    assert not counted.requires_grad
    assert ((counted >= 0.0) & (counted <= 1.0)).all()


def test_the_expectation_weighs_losses_by_probability(problem):
    correspondences, hypothesis_set, truth = problem
    found = dsac.expected_loss_of_hypotheses(
        correspondences, hypothesis_set, truth, CONFIG, CONFIG.alpha, LOSS
    )
    torch.testing.assert_close(found.probability.sum(-1), torch.ones(1, dtype=torch.float64))
    assert (found.probability[~hypothesis_set.valid] == 0.0).all()
    expected = (found.probability * found.losses).sum(-1)
    torch.testing.assert_close(found.loss, expected, rtol=1e-3, atol=1e-3)


def test_sharpness_goes_from_the_mean_to_the_best(problem):
    correspondences, hypothesis_set, truth = problem

    def loss(alpha, selection='dsac'):
        return dsac.expected_loss_of_hypotheses(
            correspondences,
            hypothesis_set,
            truth,
            replace(CONFIG, selection=selection),
            alpha,
            LOSS,
        ).loss.item()

    assert loss(1e4) == pytest.approx(loss(1.0, 'argmax'), rel=1e-4)
    flat = dsac.expected_loss_of_hypotheses(
        correspondences, hypothesis_set, truth, CONFIG, 1e-3, LOSS
    )
    assert flat.loss.item() == pytest.approx(
        flat.losses[hypothesis_set.valid].mean().item(), rel=1e-3
    )


@pytest.mark.parametrize('how', ['one_step', 'implicit'])
def test_unconverged_poses_neither_move_nor_explode(how):
    """8 steps at 35 % inliers: the true Hessian of some is indefinite, and was solved with."""
    image, _ = scene(0, inliers=0.35, noise=0.03)
    correspondences = normalize_correspondences(image)
    config = replace(CONFIG, hypotheses=48, refine_iterations=8)
    hypothesis_set = dsac.draw_hypotheses(
        correspondences, config, torch.Generator().manual_seed(0)
    )
    points = correspondences.points.clone().requires_grad_()
    moved = gradient.STEPS[how](
        hypothesis_set.refined,
        replace(correspondences, points=points),
        hypothesis_set.noise_model,
        hypothesis_set.valid,
    )
    assert torch.equal(moved, hypothesis_set.refined)
    largest = largest_by_autograd(moved, hypothesis_set.refined, points)
    assert largest.max() < 1.01 * gradient.MAX_JACOBIAN
    assert (largest > 0.0).sum() > 12 and (largest == 0.0).sum() > 4


def largest_by_autograd(moved, poses, points):
    """The largest derivative (K,) of each pose's twist by a point of one image."""
    twist = se3.log(moved @ se3.inverse(poses))[0]
    return torch.stack(
        [
            torch.stack(
                [
                    torch.autograd.grad(entry, points, retain_graph=True)[0].abs().max()
                    for entry in one
                ]
            )
            for one in twist
        ]
    ).amax(-1)


@pytest.mark.parametrize('depth', [False, True])
@pytest.mark.parametrize('how', ['one_step', 'implicit'])
def test_the_largest_jacobian_is_that_of_autograd(how, depth, problem):
    correspondences, _, truth = problem
    correspondences = measured(correspondences, truth) if depth else correspondences
    hypothesis_set = dsac.draw_hypotheses(
        correspondences, CONFIG, torch.Generator().manual_seed(0)
    )
    equations = {
        'implicit': lambda: gradient.true_equations(
            hypothesis_set.refined, correspondences, hypothesis_set.noise_model
        ),
        'one_step': lambda: gradient.step_equations(
            hypothesis_set.refined,
            refine.linearise(hypothesis_set.refined, correspondences),
            gradient.weights(hypothesis_set.refined, correspondences, hypothesis_set.noise_model),
        ),
    }[how]()
    points = correspondences.points.clone().requires_grad_()
    moved = gradient.STEPS[how](
        hypothesis_set.refined,
        replace(correspondences, points=points),
        hypothesis_set.noise_model,
        hypothesis_set.valid,
    )
    largest = equations.largest_jacobian()[0]
    sound = hypothesis_set.valid[0] & (largest <= gradient.MAX_JACOBIAN)
    assert sound.sum() > 4
    expected = torch.where(sound, largest, 0.0)
    torch.testing.assert_close(
        largest_by_autograd(moved, hypothesis_set.refined, points), expected, rtol=3e-2, atol=0.0
    )


@pytest.fixture
def hinged():
    """A good hypothesis, and one turned about eight points on a line, which alone agree with it.

    Nothing but their last hundredth of a millimetre tells how far it is turned.
    """
    image, truth = scene(3, noise=0.02)
    camera = se3.transform(se3.inverse(truth), image.points_world)
    row = torch.arange(40, 48)
    straight = 2.5 * normalize_correspondences(image).rays[:, row]
    straight[..., 2] += 5e-5 * torch.randn(8, generator=torch.Generator().manual_seed(0)).double()
    camera[:, row] = straight
    correspondences = normalize_correspondences(
        replace(image, points_world=se3.transform(truth, camera))
    )
    good = correspondences.camera_from_scaled(truth[None, None])
    line, turn = torch.eye(4).double(), se3.exp(torch.tensor([0, 0, 0, 0.5, 0, 0]).double())
    line[:3, 3] = straight[0, 0] / correspondences.scale
    wrong = line @ turn @ se3.inverse(line) @ good
    noise_model = NoiseModel(
        torch.tensor([[2.0, 0.1]]).double(), torch.tensor([[0.9, 0.2]]).double()
    )
    for _ in range(30):
        good = newton_step(
            good, correspondences, noise_model.take(torch.zeros(1, 1, dtype=torch.long))
        )
    poses = torch.cat((good, wrong), 1)
    sets = torch.tensor([[[0, 7, 20], [1, 14, 30]]])
    valid = torch.ones(1, 2, dtype=torch.bool)
    return correspondences, dsac.HypothesisSet(sets, poses, poses, valid, noise_model), truth[None]


def pose_slope(problem, alpha):
    """The norm of the gradient through the refined poses alone, and the probabilities (H,)."""
    correspondences, hypothesis_set, truth = problem
    points = correspondences.points.clone().requires_grad_()
    found = dsac.expected_loss_of_hypotheses(
        replace(correspondences, points=points),
        hypothesis_set,
        truth,
        replace(CONFIG, score='hard'),
        alpha,
        LOSS,
    )
    (slope,) = torch.autograd.grad(found.loss.sum(), points)
    return slope.norm().item(), found.probability[0]


def test_gradient_skips_unlikely_undetermined_poses(hinged, monkeypatch):
    """Skipping the unlikely keeps gradients finite where the Jacobian is not limited."""
    monkeypatch.setattr(gradient, 'MAX_JACOBIAN', float('inf'))
    guarded, probability = pose_slope(hinged, 11.0)
    assert 0.0 < probability[1] < dsac.MIN_PROBABILITY
    monkeypatch.setattr(dsac, 'MIN_PROBABILITY', 0.0)
    unguarded, _ = pose_slope(hinged, 11.0)
    assert unguarded > 3.0 * guarded


def test_likely_undetermined_poses_do_not_explode(hinged, monkeypatch):
    """The limit of the Jacobian bounds the gradient of a pose that nothing determines."""
    guarded, probability = pose_slope(hinged, 0.1)
    assert probability[1] > 0.4
    monkeypatch.setattr(gradient, 'MAX_JACOBIAN', float('inf'))
    unguarded, _ = pose_slope(hinged, 0.1)
    assert unguarded > 100.0 * guarded


def test_a_batch_is_a_loop(problem):
    """Also where one image has fewer likely hypotheses than the other: they moved its points."""
    scenes, truths = zip(scene(3, **SMALL), scene(5, inliers=0.3, noise=0.03))
    together, truth = normalize_correspondences(batch(scenes)), torch.stack(truths)
    hypothesis_set = dsac.draw_hypotheses(together, CONFIG, torch.Generator().manual_seed(0))
    for selection in ('dsac', 'softam', 'argmax'):
        config = replace(CONFIG, selection=selection, alpha=40.0)
        points = together.points.clone().requires_grad_()
        found = dsac.expected_loss_of_hypotheses(
            replace(together, points=points), hypothesis_set, truth, config, 40.0, LOSS
        )
        (slope,) = torch.autograd.grad(found.loss.sum(), points)
        counts = (found.probability > dsac.MIN_PROBABILITY).sum(-1)
        assert counts[0] != counts[1]
        for i in range(2):
            own, lone = each(together, i), each(hypothesis_set, i)
            loss, alone = value(own.points, (own, lone, truth[i : i + 1]), config)
            assert loss == pytest.approx(found.loss[i].item(), rel=1e-6)
            torch.testing.assert_close(slope[i : i + 1], alone, rtol=1e-4, atol=1e-6)


def each(of, i):
    """One image of a batch of correspondences, or of a hypothesis set."""
    values = {one.name: getattr(of, one.name) for one in fields(of)}
    return replace(
        of,
        **{
            name: each(x, i) if isinstance(x, NoiseModel) else x[i : i + 1]
            for name, x in values.items()
            if x is not None
        },
    )


def test_degenerate_sets_do_not_explode_the_gradient(monkeypatch):
    image, _ = scene(5, noise=0.02)
    correspondences = normalize_correspondences(image)
    sets = torch.tensor([[[0, 1, 2], [1, 38, 47]]])  # one row of cells, and a wide triangle
    corners = correspondences.take(sets.flatten(1))
    poses, real = solve_p3p(corners.points.unflatten(1, (2, 3)), corners.rays.unflatten(1, (2, 3)))
    assert real.any(-1).all()
    first = real.long().argmax(-1)[..., None, None, None]
    hypotheses = poses.take_along_dim(first, 2)[:, :, 0]
    noise_model = initial_noise_model(hypotheses, 10.0)
    hypothesis_set = dsac.HypothesisSet(sets, hypotheses, hypotheses, real.any(-1), noise_model)
    largest = jacobians_of_sets(hypotheses, corners)
    assert largest[0] > gradient.MAX_JACOBIAN > largest[1]

    def norm():
        points = correspondences.points.clone().requires_grad_()
        moving = dsac._differentiable_hypotheses(
            replace(correspondences, points=points), hypothesis_set
        )
        return torch.autograd.grad(moving[..., :3, 3].sum(), points)[0].norm().item()

    guarded = norm()
    monkeypatch.setattr(gradient, 'MAX_JACOBIAN', float('inf'))
    assert norm() > 3.0 * guarded


def test_an_image_without_a_pose_costs_nothing():
    """It spoils no other image."""
    good, truth = scene(6, **SMALL)
    bad = replace(good, points_world=torch.full_like(good.points_world, torch.nan))
    images = batch([bad, good])
    points = images.points_world.clone().requires_grad_()
    found = dsac.expected_loss(
        replace(images, points_world=points),
        torch.stack([truth, truth]),
        CONFIG,
        20.0,
        torch.Generator().manual_seed(0),
        LOSS,
    )
    (slope,) = torch.autograd.grad(found.loss.sum(), points)
    assert found.found.tolist() == [False, True]
    assert found.loss[0] == 0.0
    assert (slope[0] == 0.0).all()
    assert slope.isfinite().all()
    assert slope[1].abs().max() > 0.0


def test_the_same_seed_gives_the_same_loss():
    image, truth = scene(6, **SMALL)

    def loss(seed):
        return dsac.expected_loss(
            image, truth[None], CONFIG, 20.0, torch.Generator().manual_seed(seed), LOSS
        ).loss

    assert torch.equal(loss(0), loss(0))
    assert not torch.equal(loss(0), loss(1))


@pytest.mark.parametrize('target', [1.0, 3.0])
@pytest.mark.parametrize('start', [4.0, 200.0])
def test_entropy_control_converges_from_both_sides(target, start, problem):
    correspondences, hypothesis_set, truth = problem
    control = dsac.EntropyControl(replace(CONFIG, alpha=start, entropy_bits=target))
    for _ in range(120):
        found = dsac.expected_loss_of_hypotheses(
            correspondences, hypothesis_set, truth, CONFIG, control.alpha, LOSS
        )
        control.observe(found.entropy_bits.mean().item())
    assert found.entropy_bits.item() == pytest.approx(target, abs=0.05)


def test_without_a_target_alpha_stays():
    control = dsac.EntropyControl(replace(CONFIG, entropy_bits=0.0))
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
        moved, generator = replace(image, points_world=points), torch.Generator().manual_seed(seed)
        return dsac.expected_loss(moved, truth[None], config, 20.0, generator, LOSS).loss.sum()

    before = sum(loss(seed).item() for seed in range(100, 104))
    for seed in range(12):
        optimizer.zero_grad()
        loss(seed).backward()
        optimizer.step()
    assert sum(loss(seed).item() for seed in range(100, 104)) < 0.92 * before
