# SPDX-License-Identifier: Apache-2.0
"""Kabsch: exact on exact data, optimal on any, and honest about sets that determine no pose."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_ros.geometry import se3
from dsac_ros.geometry.representations import CANONICAL_POINTS
from dsac_ros.ransac.kabsch import solve_kabsch


def random_pairs(count, points=3, seed=0, noise=0.0):
    """Points in the world and where the camera sees them, and camera_from_world."""
    random = np.random.default_rng(seed)
    pose = np.tile(np.eye(4), (count, 1, 1))
    pose[:, :3, :3] = Rotation.random(count, random_state=seed).as_matrix()
    pose[:, :3, 3] = random.normal(size=(count, 3))
    world = random.normal(size=(count, points, 3)) + random.normal(size=(count, 1, 3))
    pose, world = torch.from_numpy(pose), torch.from_numpy(world)
    camera = se3.transform(pose, world)
    return world, camera + noise * torch.from_numpy(random.normal(size=world.shape)), pose


@pytest.mark.parametrize('points', [3, 4, 100])
def test_exact_pairs_give_the_exact_pose(points):
    world, camera, truth = random_pairs(1000, points)
    poses, valid = solve_kabsch(world, camera)
    assert valid.all()
    error = (poses - truth).abs().flatten(-2).amax(-1)
    assert error.median() < 1e-14
    assert error.max() < 1e-9


def test_float32_is_exact_to_float32():
    world, camera, truth = random_pairs(1000, 4)
    poses, valid = solve_kabsch(world.float(), camera.float())
    assert poses.dtype == torch.float32
    assert valid.all()
    assert (poses - truth).abs().flatten(-2).amax(-1).median() < 1e-6


@pytest.mark.parametrize('mirror', [1.0, -1.0])
def test_noisy_weighted_mirrored_pairs_match_scipy(mirror):
    world, camera, _ = random_pairs(20, 6, seed=1, noise=0.1)
    camera = camera * torch.tensor([1.0, 1.0, mirror])
    weights = torch.rand(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    poses, valid = solve_kabsch(world, camera, weights)
    assert valid.all()
    for x, y, w, pose in zip(world.numpy(), camera.numpy(), weights.numpy(), poses.numpy()):
        x, y = x - np.average(x, 0, w), y - np.average(y, 0, w)
        expected, _ = Rotation.align_vectors(y, x, weights=w)
        np.testing.assert_allclose(pose[:3, :3], expected.as_matrix(), atol=1e-9)


def test_coplanar_pairs_give_a_proper_rotation():
    world, _, truth = random_pairs(200, 5, seed=2)
    world = world * torch.tensor([1.0, 1.0, 0.0])
    poses, valid = solve_kabsch(world, se3.transform(truth, world))
    assert valid.all()
    torch.testing.assert_close(poses, truth, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(torch.linalg.det(poses[:, :3, :3]), torch.ones(200).double())


def test_the_pose_moves_with_world_and_camera():
    world, camera, _ = random_pairs(50, 5, seed=3, noise=0.1)
    poses, _ = solve_kabsch(world, camera)
    motion = random_pairs(50, seed=4)[2]
    moved, _ = solve_kabsch(se3.transform(motion, world), se3.transform(motion, camera))
    torch.testing.assert_close(moved, motion @ poses @ se3.inverse(motion))


def test_weights_count_as_repetitions_do():
    world, camera, _ = random_pairs(10, 4, seed=5, noise=0.1)
    repeated, _ = solve_kabsch(*(torch.cat((x, x[:, :2]), 1) for x in (world, camera)))
    weights = 7.0 * torch.tensor([2.0, 2.0, 1.0, 1.0]).double().expand(10, 4)
    torch.testing.assert_close(solve_kabsch(world, camera, weights)[0], repeated)


def test_a_point_without_weight_may_be_anything():
    world, camera, truth = random_pairs(3, 5, seed=6)
    weights = torch.ones(3, 5).double()
    weights[:, 2] = 0.0
    for value in (1e6, torch.nan, torch.inf):
        camera[:, 2] = value
        poses, valid = solve_kabsch(world, camera, weights)
        assert valid.all()
        torch.testing.assert_close(poses, truth)


TETRAHEDRON = torch.tensor(CANONICAL_POINTS, dtype=torch.float64)
DEGENERATE = {
    'collinear': lambda x, y: (x[:1] + torch.arange(4.0)[:, None] * (x[1] - x[0]), y, None),
    'collinear in the camera': lambda x, y: (
        x,
        y[:1] + torch.arange(4.0)[:, None] * (y[1] - y[0]),
        None,
    ),
    'coincident': lambda x, y: (x[:1].expand(4, 3), y, None),
    'coincident far away': lambda x, y: (1e6 + x[:1].expand(4, 3), 1e6 + y[:1].expand(4, 3), None),
    'two distinct points': lambda x, y: (x[[0, 0, 1, 1]], y[[0, 0, 1, 1]], None),
    'a regular tetrahedron mirrored': lambda x, y: (TETRAHEDRON, -TETRAHEDRON, None),
    'a NaN point': lambda x, y: (x + torch.tensor([[torch.nan], [0], [0], [0]]), y, None),
    'an infinite point': lambda x, y: (x, y / torch.tensor([[0.0], [1], [1], [1]]), None),
    'overflow': lambda x, y: (1e200 * x, 1e200 * y, None),
    'no weight': lambda x, y: (x, y, torch.zeros(4)),
    'weight on two points only': lambda x, y: (x, y, torch.tensor([1.0, 1.0, 0.0, 0.0])),
    'a negative weight': lambda x, y: (x, y, torch.tensor([1.0, 1.0, 1.0, -0.1])),
    'a NaN weight': lambda x, y: (x, y, torch.tensor([1.0, 1.0, 1.0, torch.nan])),
}


@pytest.mark.parametrize('name', DEGENERATE)
def test_degenerate_sets_are_flagged_and_spoil_nothing(name):
    """Neither other sets nor gradients suffer."""
    world, camera, truth = random_pairs(2, 4, seed=7)
    bad_world, bad_camera, bad_weights = DEGENERATE[name](world[0], camera[0])
    bad_weights = torch.ones(4) if bad_weights is None else bad_weights
    inputs = [
        torch.stack((bad_world, world[1])),
        torch.stack((bad_camera, camera[1])),
        torch.stack((bad_weights, torch.ones(4))).double(),
    ]
    for x in inputs:
        x.requires_grad_()
    poses, valid = solve_kabsch(*inputs)
    assert valid.tolist() == [False, True]
    torch.testing.assert_close(poses[0], torch.eye(4).double())
    torch.testing.assert_close(poses[1], truth[1])
    (poses * truth[1]).sum().backward()
    for x in inputs:
        assert (x.grad[0] == 0.0).all()
        assert x.grad.isfinite().all()
    assert (inputs[1].grad[1] != 0.0).any()


@pytest.mark.parametrize('points', [0, 1, 2])
def test_fewer_than_three_points_determine_nothing(points):
    world, camera, _ = random_pairs(2, points)
    poses, valid = solve_kabsch(world, camera)
    assert not valid.any()
    torch.testing.assert_close(poses, torch.eye(4).double().expand(2, 4, 4))


@pytest.mark.parametrize('points', [3, 5])
@pytest.mark.parametrize('noise', [0.0, 0.2])
def test_gradients_by_points_and_weights(points, noise):
    world, camera, _ = random_pairs(2, points, seed=8, noise=noise)
    weights = 0.5 + torch.rand(
        2, points, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    inputs = [x.requires_grad_() for x in (world, camera, weights)]
    assert torch.autograd.gradcheck(lambda *x: solve_kabsch(*x)[0], inputs)


@pytest.mark.parametrize('batch', [(), (1,), (3, 1, 2)])
def test_any_batch_shape(batch):
    world, camera, truth = (x[0].expand(*batch, *x.shape[1:]) for x in random_pairs(1, 4))
    poses, valid = solve_kabsch(world, camera)
    assert valid.shape == batch
    torch.testing.assert_close(poses, truth)


def test_a_wrong_shape_names_both_shapes():
    with pytest.raises(
        ValueError,
        match=r'weights has shape \(3,\), expected \(\.\.\. N\) with '
        'N=4',
    ):
        solve_kabsch(torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(3))
