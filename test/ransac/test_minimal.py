# SPDX-License-Identifier: Apache-2.0
"""Poses of minimal sets side by side: as many as there is room for, and none that is none."""

from dataclasses import replace

import pytest
import torch
from ransac_scenes import scene

from dsac_ros.geometry import se3
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.minimal import first_poses, solve_minimal
from dsac_ros.ransac.p3p import first_solutions, solve_p3p
from dsac_ros.ransac.sampling import draw_minimal_sets


@pytest.fixture(params=[None, 0.0, 0.5], ids=['rgb', 'rgbd', 'half measured'])
def problem(request):
    """Cells with and without depth, and sets of them; of the share given depth is missing."""
    image, truth = scene(0, inliers=0.6, noise=0.01, rows=12, columns=16, dtype=torch.float64)
    if request.param is not None:
        depth = se3.transform(se3.inverse(truth)[None], image.points_world)[..., 2]
        generator = torch.Generator().manual_seed(1)
        hole = torch.rand(depth.shape, generator=generator) < request.param
        image = replace(image, depth=depth.masked_fill(hole, 0.0))
    correspondences = normalize_correspondences(image)
    return correspondences, draw_minimal_sets(
        correspondences.valid, 40, 3, torch.Generator().manual_seed(0)
    )


def flat(poses, valid):
    return poses.flatten(1, 2)[valid.flatten(1)]


def test_the_first_poses_are_those_of_all_in_order(problem):
    """With room for all, for some, and for one."""
    correspondences, sets = problem
    every = flat(*solve_minimal(correspondences, sets))
    for count in (160, len(every), len(every) // 2, 1):
        poses, valid = first_poses(correspondences, sets, count)
        assert poses.shape == (1, count, 4, 4)
        assert valid.sum() == min(count, len(every))
        torch.testing.assert_close(poses[valid], every[:count])


def test_without_a_solution_none_of_the_first_is_one(problem):
    correspondences, sets = problem
    for nothing in (
        replace(correspondences, valid=torch.zeros_like(correspondences.valid)),
        replace(
            correspondences, points=correspondences.points[:, :1].expand_as(correspondences.points)
        ),
    ):
        poses, valid = first_poses(nothing, sets, 50)
        assert not valid.any()
        assert poses.isfinite().all()


def test_first_solutions_are_those_of_each_image():
    generator = torch.Generator().manual_seed(0)
    rays = torch.randn(2, 30, 3, 3, dtype=torch.float64, generator=generator) * 0.3
    rays[..., 2] = 1.0
    camera = rays * (1.0 + torch.rand(2, 30, 3, 1, dtype=torch.float64, generator=generator))
    rays[1, 5:] = 0.0  # of the second image only five sets have a direction
    poses, valid = solve_p3p(camera, rays)
    for count in (20, 120):
        found, filled = first_solutions(camera, rays, count)
        for i in range(2):
            every = poses[i][valid[i]]
            assert filled[i].sum() == min(count, len(every))
            torch.testing.assert_close(found[i][filled[i]], every[:count])


def test_gradients_of_the_first_solutions():
    generator = torch.Generator().manual_seed(3)
    rays = torch.randn(1, 3, 3, 3, dtype=torch.float64, generator=generator) * 0.4
    rays[..., 2] = 1.0
    camera = rays * (1.0 + torch.rand(1, 3, 3, 1, dtype=torch.float64, generator=generator))
    valid = first_solutions(camera, rays, 6)[1]
    assert valid.sum() >= 3

    def solutions(points, directions):
        return first_solutions(points, directions, 6)[0][valid]

    assert torch.autograd.gradcheck(solutions, (camera.requires_grad_(), rays.requires_grad_()))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('large', [1e16, 1e25, 1e300])
def test_overflowing_triangles_have_no_solution(dtype, large):
    """Triangles too large for their precision spoil no other."""
    rays = torch.tensor([[0.1, 0, 1], [0, 0.2, 1], [-0.1, -0.1, 1]], dtype=torch.float64)
    points = torch.stack((rays, large * rays)).to(dtype)
    if not points.isfinite().all():
        points = points.nan_to_num(posinf=torch.finfo(dtype).max, neginf=torch.finfo(dtype).min)
    poses, valid = solve_p3p(points, rays.to(dtype).expand(2, 3, 3))
    assert poses.isfinite().all()
    assert valid[0].any()
    assert valid[1].any() == (large * large < torch.finfo(dtype).max)


def test_three_measured_points_on_a_line_have_no_pose():
    """Nor where float32 rounds them off it."""
    image, _ = scene(0, rows=3, columns=4)
    line = torch.linspace(0.0, 1.0, 12)[None, :, None] * torch.tensor([1.0, 2.0, 3.1])
    correspondences = normalize_correspondences(
        replace(image, points_world=line, depth=torch.full_like(image.sigma_px, 2.5))
    )
    sets = draw_minimal_sets(correspondences.valid, 50, 3, torch.Generator().manual_seed(0))
    assert not solve_minimal(correspondences, sets)[1].any()
