# SPDX-License-Identifier: Apache-2.0
"""Every pose loss by name: least at the true pose, indifferent to where the world's origin is."""

import math
from dataclasses import replace

import pytest
import torch
from rotations import BATCHES, random_poses

from dsac_ros.config import EndToEndConfig, build
from dsac_ros.errors import ConfigError
from dsac_ros.geometry import se3
from dsac_ros.geometry.distances import DISTANCES
from dsac_ros.geometry.pose_losses import (
    POSE_LOSSES,
    PoseLossConfig,
    make_pose_loss,
    training_loss,
    virtual_grid,
)

ALL = pytest.mark.parametrize('name', POSE_LOSSES)
# Only two of them read the distance of the rotations.
WITH_DISTANCE = pytest.mark.parametrize(
    'name, distance',
    [
        *((name, distance) for name in ('weighted', 'adaptive') for distance in DISTANCES),
        ('max', 'angular'),
        ('reprojection', 'angular'),
    ],
)


def make(name, **settings):
    return make_pose_loss(build(PoseLossConfig, dict(loss=name, **settings))).double()


def near(true, translation=0.01, rotation=0.02):
    """Poses some centimetres and degrees beside the true ones."""
    twist = torch.randn(len(true), 6, generator=torch.Generator().manual_seed(9)).double()
    twist[:, :3] *= translation
    twist[:, 3:] *= rotation
    return true @ se3.exp(twist)


def test_the_settings_offer_every_loss_and_distance():
    choices = PoseLossConfig.__dataclass_fields__
    assert choices['loss'].metadata['choices'] == tuple(POSE_LOSSES)
    assert choices['distance'].metadata['choices'] == tuple(DISTANCES)
    with pytest.raises(
        ConfigError, match="loss is 'least', expected one of weighted, adaptive, max, reprojection"
    ):
        build(PoseLossConfig, {'loss': 'least'})


def test_training_offers_every_loss_and_distance():
    choices = EndToEndConfig.__dataclass_fields__
    assert choices['pose_loss'].metadata['choices'] == tuple(POSE_LOSSES)
    assert choices['rotation_distance'].metadata['choices'] == ('auto', *DISTANCES)


def test_training_settings_override_the_recipe():
    own = {'distance': 'angular', 'rotation_weight': 0.5}
    config = EndToEndConfig(pose_loss='weighted')
    for asked, distance, weight in (
        (config, 'angular', 0.5),
        (replace(config, rotation_distance='chordal'), 'chordal', 0.5),
        (replace(config, rotation_weight=0.0), 'angular', 0.0),
    ):
        loss = training_loss(asked, own)
        assert loss.distance is DISTANCES[distance]
        assert loss.beta == weight
    assert training_loss(config).beta == PoseLossConfig().rotation_weight
    assert training_loss(EndToEndConfig(loss_clamp=7.0)).soft_clamp == 7.0
    assert training_loss(EndToEndConfig()).soft_clamp == PoseLossConfig().soft_clamp


@ALL
def test_zero_at_the_true_pose_and_positive_elsewhere(name):
    settings = dict(log_variance_rotation=0.0) if name == 'adaptive' else {}
    loss, true = make(name, **settings), random_poses(50)
    assert loss(true, true).abs().max() < 1e-9
    for scale in (1e-4, 1e-2, 1.0):
        assert (loss(near(true, scale, 0.0), true) > 0.0).all()
        assert (loss(near(true, 0.0, scale), true) > 0.0).all()
        assert (loss(near(true, scale, scale), true) > 0.0).all()


@WITH_DISTANCE
def test_only_angle_axis_depends_on_the_world_frame(name, distance):
    """A motion of the world changes no other loss."""
    loss, true, motion = make(name, distance=distance), random_poses(50), random_poses(50, 1)
    for estimated in (near(true), random_poses(50, 2)):
        change = loss(motion @ estimated, motion @ true) - loss(estimated, true)
        assert (change.abs().max() > 1e-3) == (distance == 'angle_axis')
        assert distance == 'angle_axis' or change.abs().max() < 1e-6


@ALL
def test_twice_as_far_costs_more(name):
    loss, true = make(name), random_poses(50)
    costs = [loss(near(true, 0.005 * k, 0.005 * k), true) for k in (1, 2, 4)]
    assert (costs[0] < costs[1]).all()
    assert (costs[1] < costs[2]).all()


@WITH_DISTANCE
def test_gradcheck(name, distance):
    true = random_poses(3)
    estimated = near(true).requires_grad_()
    assert torch.autograd.gradcheck(
        make(name, distance=distance), (estimated, true.requires_grad_())
    )


@WITH_DISTANCE
def test_gradients_are_finite_at_truth_and_half_turns(name, distance):
    true = random_poses(2)
    turns = torch.tensor([(1.0, 1, 1, 1), (-1, -1, 1, 1), (-1, 1, -1, 1)], dtype=torch.float64)
    for turn in turns:
        estimated = (true * turn).requires_grad_()
        make(name, distance=distance)(estimated, true).sum().backward()
        assert estimated.grad.isfinite().all()


@ALL
@pytest.mark.parametrize('batch', BATCHES)
def test_any_batch_shape_and_dtype(name, batch):
    true = random_poses(1)[0].float().expand(*batch, 4, 4)
    cost = make(name).float()(true, true)
    assert cost.shape == batch
    assert cost.dtype == torch.float32


@ALL
def test_a_wrong_shape_names_both_shapes(name):
    with pytest.raises(ValueError, match=r'true has shape \(3, 4\), expected \(\.\.\. 4 4\)'):
        make(name)(torch.eye(4), torch.zeros(3, 4))


def shifted(meters, degrees=0.0):
    twist = torch.tensor([meters, 0.0, 0.0, 0.0, 0.0, math.radians(degrees)], dtype=torch.float64)
    pose = se3.exp(twist)
    pose[:3, 3] = twist[:3]
    return pose, torch.eye(4, dtype=torch.float64)


def test_the_weighted_sum_is_in_metres():
    loss = make('weighted', distance='angular', rotation_weight=2.0)
    assert loss(*shifted(0.3, 10.0)).item() == pytest.approx(0.3 + 2.0 * math.radians(10.0))


def test_max_is_the_worse_of_centimetres_and_degrees():
    loss = make('max')
    assert loss(*shifted(0.03, 5.0)).item() == pytest.approx(5.0)
    assert loss(*shifted(0.07, 5.0)).item() == pytest.approx(7.0)


@pytest.mark.parametrize('clamp', [25.0, 100.0, math.inf])
def test_max_grows_as_a_square_root_beyond_soft_clamp(clamp):
    loss = make('max', soft_clamp=clamp)
    estimated, true = shifted(4.0)
    estimated.requires_grad_()
    cost = loss(estimated, true)
    assert cost.item() == pytest.approx(
        400.0 if clamp == math.inf else (clamp * 400.0) ** 0.5, abs=1e-4
    )
    cost.backward()
    assert estimated.grad.isfinite().all()
    assert loss(*shifted(1.0)).item() == pytest.approx(
        min(100.0, (clamp * 100.0) ** 0.5), abs=1e-4
    )


def test_log_variances_settle_at_the_log_mean_error():
    loss, true = make('adaptive', distance='angular'), random_poses(50)
    translation, rotation = se3.pose_error(near(true, 0.1, 0.05), true)
    optimizer = torch.optim.LBFGS(loss.parameters(), max_iter=50, line_search_fn='strong_wolfe')

    def closure():
        optimizer.zero_grad()
        cost = loss(near(true, 0.1, 0.05), true).mean()
        cost.backward()
        return cost

    optimizer.step(closure)
    expected = torch.stack((translation.mean(), rotation.mean())).log()
    torch.testing.assert_close(loss.log_variances.detach(), expected, rtol=0.0, atol=1e-3)


def test_log_variances_start_where_the_settings_say():
    assert make('adaptive').log_variances.tolist() == [0.0, -3.0]


def test_reprojection_measures_pixels():
    loss = make('reprojection', focal_px=500.0, max_px=100.0)
    points = torch.tensor([[0.0, 0.0, 2.0], [0.5, -0.5, 2.0]], dtype=torch.float64)
    assert loss(*shifted(0.04), points).item() == pytest.approx(0.04 * 500.0 / 2.0)


def test_far_or_unseen_points_cost_the_clamp():
    loss = make('reprojection', focal_px=500.0, max_px=100.0)
    behind = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64))
    for estimated in (behind, shifted(100.0)[0]):
        assert loss(estimated, torch.eye(4).double()).item() == 100.0
    half = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, -2.0]], dtype=torch.float64)
    assert loss(torch.eye(4).double(), torch.eye(4).double(), half).item() == 50.0


def test_reprojection_takes_points_of_each_frame():
    loss, true = make('reprojection'), random_poses(4)
    points = virtual_grid()[:20].expand(4, 20, 3)
    together = loss(near(true), true, points)
    apart = [loss(e, t, p) for e, t, p in zip(near(true), true, points)]
    torch.testing.assert_close(together, torch.stack(apart))


def test_gradients_of_points_and_of_log_variances():
    true = random_poses(2)
    estimated = near(true).requires_grad_()
    points = virtual_grid()[::40].expand(2, -1, 3).clone().requires_grad_()
    assert torch.autograd.gradcheck(
        make('reprojection'), (estimated, true.requires_grad_(), points)
    )
    loss = make('adaptive')

    def by_log_variances(log_variances):
        return torch.func.functional_call(
            loss, {'log_variances': log_variances}, (estimated, true)
        )

    start = loss.log_variances.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(by_log_variances, start)


def test_virtual_grid_is_centred_before_the_camera():
    grid = virtual_grid()
    assert grid.shape == (196, 3)
    torch.testing.assert_close(grid.mean(0)[:2], torch.zeros(2).double())
    assert grid[:, 2].min().item() == pytest.approx(1.8)
