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


def test_every_solution_sees_the_points_along_the_rays_and_in_front():
    world, rays, _ = random_sets(3000, seed=1)
    poses, valid = solve_p3p(world, rays)
    camera = se3.transform(poses, world[:, None].expand(-1, 4, -1, -1))
    along = torch.nn.functional.normalize(rays, dim=-1)[:, None]
    torch.testing.assert_close(torch.nn.functional.normalize(camera, dim=-1)[valid],
                               along.expand_as(camera)[valid], rtol=0.0, atol=1e-9)
    rotation = poses[valid][:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).double().expand_as(rotation))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(len(rotation)).double())


def test_as_many_solutions_as_the_reference_finds():
    world, rays, _ = random_sets(300, seed=2)
    _, valid = solve_p3p(world, rays)
    plane = (rays[..., :2] / rays[..., 2:]).numpy()
    expected = [cv2.solveP3P(w, p, np.eye(3), None, cv2.SOLVEPNP_P3P)[0]
                for w, p in zip(world.numpy(), plane)]
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


def test_the_unit_of_the_world_scales_only_the_translation():
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
def test_degenerate_sets_have_no_solution_and_spoil_no_other(name):
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
