# SPDX-License-Identifier: Apache-2.0
"""mapping/losses/objectives.py: losses of the recipes on scene coordinates."""

from __future__ import annotations

import pytest
import torch

from dsac_ros.mapping.losses.curriculum import LossConfig, Patches
from dsac_ros.mapping.losses.objectives import (
    NEAR_TARGET,
    OBJECTIVES,
    SOFT_CLAMP_PX,
    errors,
    objective_terms,
    soft_clamp,
)

WEIGHT = LossConfig().proxy_weight
PIXELS = torch.tensor([[330.0, 250.0], [100.0, 30.0], [600.0, 400.0]])


def patches_at(pixels=PIXELS, depth=(0.0, 0.0, 0.0)):
    """Patches of a camera at the origin, focal length 500, principal point (320, 240)."""
    count = len(pixels)
    return Patches(
        pixels=pixels,
        rotation=torch.eye(3).to(pixels).expand(count, 3, 3),
        translation=torch.zeros(count, 3).to(pixels),
        focal=torch.full((count,), 500.0).to(pixels),
        principal=torch.tensor([320.0, 240.0]).to(pixels).expand(count, 2),
        depth=torch.tensor(depth).to(pixels),
    )


def on_ray(z, pixels=PIXELS):
    """The points (N, 3) at depth z that these pixels see."""
    offset = (pixels - torch.tensor([320.0, 240.0]).to(pixels)) / 500.0
    return z * torch.cat([offset, torch.ones_like(offset[:, :1])], 1)


@pytest.mark.parametrize('name', OBJECTIVES)
def test_points_where_they_should_be_cost_nothing(name):
    depth = (1.5, 1.5, 1.5)
    terms = objective_terms(name, on_ray(1.5), patches_at(depth=depth))
    assert terms.total.item() == pytest.approx(0.0, abs=1e-3)
    assert terms.valid == 1 and terms.near == 1


def test_the_proxy_is_on_the_ray_at_depth_one():
    found = errors(on_ray(1.0), patches_at())
    torch.testing.assert_close(found.away, torch.zeros(3), atol=1e-6, rtol=0)
    # DSAC*'s released code puts it at depth 1 on the ray of ten times the offset
    skewed = on_ray(1.0) * torch.tensor([10.0, 10.0, 1.0])
    assert errors(skewed, patches_at()).away.min() > 0.1


def test_the_first_stage_knows_no_rays():
    """A point on its ray but not at the target pays; the reprojection error does not see it."""
    assert OBJECTIVES['coordinates'](errors(on_ray(3.0), patches_at())).min() > WEIGHT
    assert OBJECTIVES['reprojection'](errors(on_ray(3.0), patches_at())).max() < 1e-3


def test_cells_without_depth_are_ignored_among_others():
    """Other cells have measured depth."""
    found = errors(on_ray(2.0), patches_at(depth=(2.0, 0.0, 0.0)))
    torch.testing.assert_close(OBJECTIVES['coordinates'](found), torch.zeros(3))
    found = errors(on_ray(2.0), patches_at(depth=(1.5, 0.0, 0.0)))
    distance = torch.linalg.vector_norm(on_ray(0.5)[0]).item()
    assert OBJECTIVES['coordinates'](found).mean().item() == pytest.approx(WEIGHT * distance)


def test_guided_rgb_valid_point_costs_its_reprojection():
    points = on_ray(2.0) + torch.tensor([0.02, 0.0, 0.0])  # 5 px aside at depth 2
    torch.testing.assert_close(
        OBJECTIVES['guided'](errors(points, patches_at())),
        torch.full((3,), 5.0),
        atol=1e-3,
        rtol=0,
    )


def test_guided_rgb_point_behind_camera_moves_to_proxy():
    points = (-on_ray(1.0)).requires_grad_()
    found = errors(points, patches_at())
    torch.testing.assert_close(OBJECTIVES['guided'](found), WEIGHT * found.away)
    OBJECTIVES['guided'](found).sum().backward()
    towards = torch.nn.functional.normalize(on_ray(1.0) - points.detach(), dim=1)
    torch.testing.assert_close(-points.grad / WEIGHT, towards, atol=1e-5, rtol=0)


def test_guided_depth_point_is_valid_only_near_target():
    depth = (2.0, 2.0, 2.0)
    aside = torch.tensor([1.0, 0.0, 0.0])
    near, far = (
        errors(on_ray(2.0) + share * NEAR_TARGET * aside, patches_at(depth=depth))
        for share in (0.9, 1.1)
    )
    torch.testing.assert_close(OBJECTIVES['guided'](near), near.reprojection)
    torch.testing.assert_close(OBJECTIVES['guided'](far), WEIGHT * far.away)


def test_heuristic_depth_does_not_bind_a_valid_point():
    patches = patches_at(depth=(2.0, 2.0, 2.0))
    far, behind = errors(on_ray(3.0), patches), errors(-on_ray(2.0), patches)
    assert OBJECTIVES['heuristic'](far).max() < 1e-3 < OBJECTIVES['guided'](far).min()
    torch.testing.assert_close(OBJECTIVES['heuristic'](behind), WEIGHT * behind.away)


def test_large_errors_count_with_their_square_root():
    error = torch.tensor(
        [1.0, SOFT_CLAMP_PX, 4 * SOFT_CLAMP_PX, 9 * SOFT_CLAMP_PX], requires_grad=True
    )
    loss = soft_clamp(error)
    torch.testing.assert_close(
        loss, torch.tensor([1.0, 1.0 * SOFT_CLAMP_PX, 2 * SOFT_CLAMP_PX, 3 * SOFT_CLAMP_PX])
    )
    loss.sum().backward()
    assert error.grad.max() <= 1.0 and error.grad.min() > 0.0


@pytest.mark.parametrize('name', OBJECTIVES)
@pytest.mark.parametrize('depth', [(0.0, 0.0, 0.0), (1.5, 0.0, 2.0)])
def test_gradients_are_right(name, depth):
    generator = torch.Generator().manual_seed(3)
    points = on_ray(1.3, PIXELS.double()) + 0.1 * torch.randn(
        3, 3, generator=generator, dtype=torch.float64
    )
    patches = patches_at(PIXELS.double(), depth)
    assert torch.autograd.gradcheck(
        lambda p: objective_terms(name, p, patches).total, points.requires_grad_()
    )
