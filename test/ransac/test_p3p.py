# SPDX-License-Identifier: Apache-2.0
"""P3P: every solution there is, nothing that is none."""

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dsac_ros.geometry import se3
from dsac_ros.ransac.p3p import solve_p3p


def random_sets(count, seed=0):
    """Triangles in the world, where the camera sees them, and camera_from_world."""
    random = np.random.default_rng(seed)
    camera = random.uniform([-1.0, -1.0, 1.0], [1.0, 1.0, 4.0], (count, 3, 3))
    pose = np.tile(np.eye(4), (count, 1, 1))
    pose[:, :3, :3] = Rotation.random(count, random_state=seed).as_matrix()
    pose[:, :3, 3] = random.normal(size=(count, 3))
    pose, camera = torch.from_numpy(pose), torch.from_numpy(camera)
    return se3.transform(se3.inverse(pose), camera), camera, pose


def error_of_best(poses, valid, truth):
    error = (poses - truth[:, None]).abs().flatten(-2).amax(-1)
    return torch.where(valid, error, torch.inf).amin(-1)


def test_the_true_pose_is_always_among_the_solutions():
    world, rays, truth = random_sets(5000)
    poses, valid = solve_p3p(world, rays)
    error = error_of_best(poses, valid, truth)
    assert error.median() < 1e-13
    assert error.max() < 1e-6


def test_float32_finds_it_to_float32_accuracy():
    world, rays, truth = random_sets(5000)
    poses, valid = solve_p3p(world.float(), rays.float())
    assert poses.dtype == torch.float32
    error = error_of_best(poses.double(), valid, truth)
    assert error.median() < 2e-6
    assert (error < 1e-2).double().mean() > 0.999


def test_solutions_see_points_in_front_along_the_rays():
    world, rays, _ = random_sets(3000, seed=1)
    poses, valid = solve_p3p(world, rays)
    camera = se3.transform(poses, world[:, None].expand(-1, 4, -1, -1))
    along = torch.nn.functional.normalize(rays, dim=-1)[:, None]
    torch.testing.assert_close(
        torch.nn.functional.normalize(camera, dim=-1)[valid],
        along.expand_as(camera)[valid],
        rtol=0.0,
        atol=1e-9,
    )
    rotation = poses[valid][:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).double().expand_as(rotation))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(len(rotation)).double())


def test_as_many_solutions_as_the_reference_finds():
    world, rays, _ = random_sets(300, seed=2)
    _, valid = solve_p3p(world, rays)
    plane = (rays[..., :2] / rays[..., 2:]).numpy()
    expected = [
        cv2.solveP3P(w, p, np.eye(3), None, cv2.SOLVEPNP_P3P)[0]
        for w, p in zip(world.numpy(), plane)
    ]
    assert valid.sum(-1).tolist() == expected


@pytest.mark.parametrize('batch', [(), (1,), (3, 1, 2)])
def test_any_batch_shape(batch):
    world, rays, truth = random_sets(6, seed=3)
    count = int(np.prod(batch, dtype=int))
    poses, valid = solve_p3p(*(x[:count].reshape(*batch, 3, 3) for x in (world, rays)))
    assert poses.shape == (*batch, 4, 4, 4)
    assert valid.shape == (*batch, 4)
    flat = poses.reshape(count, 4, 4, 4), valid.reshape(count, 4)
    assert error_of_best(*flat, truth[:count]).max() < 1e-8


def test_a_wrong_shape_names_both_shapes():
    with pytest.raises(ValueError, match=r'has shape \(2, 3\), expected \(\.\.\. 3 3\)'):
        solve_p3p(torch.zeros(2, 3, 3), torch.zeros(2, 3))


def test_the_world_unit_scales_only_the_translation():
    world, rays, _ = random_sets(200, seed=4)
    poses, valid = solve_p3p(world, rays)
    scaled, scaled_valid = solve_p3p(1000.0 * world, rays)
    assert torch.equal(valid, scaled_valid)
    torch.testing.assert_close(scaled[valid][:, :3, :3], poses[valid][:, :3, :3])
    torch.testing.assert_close(scaled[valid][:, :3, 3], 1000.0 * poses[valid][:, :3, 3])


DEGENERATE = {
    'collinear': lambda p, r: (torch.stack((p[0], p[1], 2.0 * p[1] - p[0])), r),
    'two points coincide': lambda p, r: (torch.stack((p[0], p[0], p[2])), r),
    'all points coincide': lambda p, r: (p[:1].expand(3, 3), r),
    'two rays coincide': lambda p, r: (p, torch.stack((r[0], r[0], r[2]))),
    'a NaN point': lambda p, r: (torch.where(torch.eye(3) > 0, torch.nan, p), r),
    'a NaN ray': lambda p, r: (p, r * torch.nan),
    'an infinite point': lambda p, r: (p / 0.0, r),
    'a ray of no length': lambda p, r: (p, 0.0 * r),
}


@pytest.mark.parametrize('name', DEGENERATE)
def test_degenerate_sets_have_no_solution(name):
    """They spoil no other set."""
    world, rays, truth = random_sets(2, seed=5)
    bad_world, bad_rays = DEGENERATE[name](world[0], rays[0])
    poses, valid = solve_p3p(torch.stack((bad_world, world[1])), torch.stack((bad_rays, rays[1])))
    assert not valid[0].any()
    assert poses.isfinite().all()
    assert error_of_best(poses, valid, truth)[1] < 1e-8


def test_points_behind_the_camera_are_no_solution():
    world, rays, truth = random_sets(500, seed=6)
    poses, valid = solve_p3p(world, -rays)
    assert error_of_best(poses, valid, truth).min() > 1e-3
    depth = (se3.transform(poses, world[:, None].expand(-1, 4, -1, -1)) * -rays[:, None]).sum(-1)
    assert (depth[valid] > 0.0).all()


def test_gradients_reach_the_points():
    world, rays, _ = random_sets(1, seed=7)
    _, valid = solve_p3p(world, rays)

    def solutions(points):
        return solve_p3p(points, rays)[0][valid]

    assert torch.autograd.gradcheck(solutions, world.requires_grad_(), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize('name', DEGENERATE)
def test_degenerate_sets_have_finite_gradients(name):
    world, rays, _ = random_sets(2, seed=5)
    bad_world, bad_rays = DEGENERATE[name](world[0], rays[0])
    world = torch.stack((bad_world, world[1])).requires_grad_()
    rays = torch.stack((bad_rays, rays[1])).requires_grad_()
    poses, _ = solve_p3p(world, rays)
    poses.sum().backward()
    for gradient in (world.grad, rays.grad):
        assert gradient.isfinite().all()
        assert gradient[1].abs().sum() > 0.0


def fischler_and_bolles():
    """Equilateral, seen from above its centre: legs (4, 4, 4), (1, 4, 4), (4, 1, 4), (4, 4, 1)."""
    turns = 2.0 * torch.pi / 3.0 * torch.arange(3.0, dtype=torch.float64)
    corners = torch.stack((2.0 * turns.cos(), 2.0 * turns.sin(), torch.zeros_like(turns)), -1)
    camera = corners + torch.tensor((0.0, 0.0, 12.0**0.5))
    return corners, camera


def test_all_four_solutions_of_the_known_triangle():
    world, camera = fischler_and_bolles()
    poses, valid = solve_p3p(world, camera)
    legs = se3.transform(poses, world.expand(4, 3, 3)).norm(dim=-1)
    assert valid.all()
    expected = torch.tensor([(1, 4, 4), (4, 1, 4), (4, 4, 1), (4, 4, 4)], dtype=torch.float64)
    order = sorted(range(4), key=lambda k: legs[k].round(decimals=6).tolist())
    torch.testing.assert_close(legs[order], expected, rtol=0.0, atol=1e-7)


@pytest.mark.parametrize('x', [0.0, -0.5, -2.0, 2.0])
@pytest.mark.parametrize('height', [0.5, 2.0**0.5, 2.0, 8.0])
def test_symmetric_views_solve_with_finite_gradients(x, height):
    world, _ = fischler_and_bolles()
    truth = torch.eye(4, dtype=torch.float64)
    truth[0, 3], truth[2, 3] = x, height
    rays = se3.transform(truth, world)
    world.requires_grad_()
    poses, valid = solve_p3p(world, rays)
    # Where three solutions meet (at 2 and -2) a third of the digits is left.
    limit = 1e-4 if abs(x) == 2.0 else 1e-9
    assert error_of_best(poses.detach()[None], valid[None], truth[None]).item() < limit
    poses[valid].sum().backward()
    assert world.grad.isfinite().all()


def test_double_solutions_are_not_lost_to_rounding():
    """On the danger cylinder, over the circumscribed circle, two solutions meet."""
    random = np.random.default_rng(0)
    turn, height = random.uniform([0.0, 0.5], [2.0 * np.pi, 8.0], (2000, 2)).T
    centers = np.stack((2.0 * np.cos(turn), 2.0 * np.sin(turn), -height), -1)
    truth = torch.eye(4, dtype=torch.float64).repeat(2000, 1, 1)
    truth[:, :3, 3] = torch.from_numpy(-centers)
    world = fischler_and_bolles()[0].expand(2000, 3, 3)
    error = error_of_best(*solve_p3p(world, se3.transform(truth, world)), truth)
    assert error.median() < 1e-12
    assert (error < 0.05).double().mean() > 0.97


def test_gradcheck_by_points_and_rays():
    world, rays, _ = random_sets(5, seed=8)
    _, valid = solve_p3p(world, rays)

    def solutions(points, directions):
        return solve_p3p(points, directions)[0][valid]

    assert torch.autograd.gradcheck(
        solutions,
        (world.requires_grad_(), rays.requires_grad_()),
        eps=1e-7,
        atol=1e-4,
        rtol=1e-3,
        fast_mode=True,
    )


def test_the_order_of_the_corners_does_not_matter():
    world, rays, truth = random_sets(200, seed=9)
    order = [2, 0, 1]
    poses, valid = solve_p3p(world[:, order], rays[:, order])
    assert error_of_best(poses, valid, truth).max() < 1e-8


def test_when_the_world_moves_the_solutions_move_along():
    world, rays, truth = random_sets(200, seed=10)
    motion = truth.roll(1, 0)
    _, valid = solve_p3p(world, rays)
    poses, moved_valid = solve_p3p(se3.transform(motion, world), rays)
    assert torch.equal(valid.sum(-1), moved_valid.sum(-1))
    assert error_of_best(poses @ motion[:, None], moved_valid, truth).max() < 1e-8
