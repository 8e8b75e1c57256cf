# SPDX-License-Identifier: Apache-2.0
"""The reprojection curriculum."""

from __future__ import annotations

import pytest
import torch

from dsac_ros.mapping.losses.curriculum import (
    LossConfig,
    Patches,
    clamp_px,
    curriculum_loss,
    robust,
)

CONFIG = LossConfig()


def patches_at(pixels: torch.Tensor, depth: torch.Tensor | None = None) -> Patches:
    """Patches of a camera at the origin, focal length 500, principal point (320, 240)."""
    count = len(pixels)
    return Patches(
        pixels=pixels,
        rotation=torch.eye(3).to(pixels).expand(count, 3, 3),
        translation=torch.zeros(count, 3).to(pixels),
        focal=torch.full((count,), 500.0).to(pixels),
        principal=torch.tensor([320.0, 240.0]).to(pixels).expand(count, 2),
        depth=torch.zeros(count).to(pixels) if depth is None else depth,
    )


def on_ray(pixels: torch.Tensor, z: float) -> torch.Tensor:
    """The points (N, 3) at depth z that these pixels see."""
    offset = (pixels - torch.tensor([320.0, 240.0]).to(pixels)) / 500.0
    return z * torch.cat([offset, torch.ones_like(offset[:, :1])], 1)


def test_the_clamp_tightens_slowly_at_first():
    assert clamp_px(0.0, CONFIG) == pytest.approx(CONFIG.clamp_start_px + CONFIG.clamp_end_px)
    assert clamp_px(1.0, CONFIG) == pytest.approx(CONFIG.clamp_end_px)
    assert clamp_px(0.5, CONFIG) > 0.8 * CONFIG.clamp_start_px


def test_exact_points_cost_nothing_but_their_doubt():
    pixels = torch.tensor([[100.0, 50.0], [600.0, 400.0]])
    terms = curriculum_loss(on_ray(pixels, 2.0), torch.ones(2, 1), patches_at(pixels), 0.5, CONFIG)
    assert terms.total.item() == pytest.approx(0.0, abs=1e-3)
    assert terms.valid == 1 and terms.near == 1


def test_points_behind_the_camera_move_to_the_proxy():
    """The proxy lies on the ray of the pixel."""
    pixels = torch.tensor([[330.0, 250.0]])
    points = torch.tensor([[0.03, -0.02, -1.0]], requires_grad=True)
    optimizer = torch.optim.Adam([points], 0.01)
    for _ in range(400):
        optimizer.zero_grad()
        terms = curriculum_loss(points, torch.ones(1, 1), patches_at(pixels), 0.0, CONFIG)
        terms.total.backward()
        optimizer.step()
    # in front of the camera it is valid, and from there it lands on the ray
    torch.testing.assert_close(
        points[0, :2] / points[0, 2], on_ray(pixels, 1.0)[0, :2], atol=0.02, rtol=0
    )
    assert points[0, 2] > CONFIG.min_depth


def test_invalid_points_move_to_the_measured_depth():
    pixels = torch.tensor([[330.0, 250.0]])
    patches = patches_at(pixels, torch.tensor([3.0]))
    away = [
        curriculum_loss(point, torch.ones(1, 1), patches, 0.5, CONFIG).total
        for point in (torch.tensor([[0.0, 0, -0.5]]), torch.tensor([[0.0, 0, -1.5]]))
    ]
    # one unit farther from the proxy costs one unit of proxy weight
    assert (away[1] - away[0]).item() == pytest.approx(CONFIG.proxy_weight, rel=1e-3)
    at_one = curriculum_loss(
        torch.tensor([[0.0, 0, -0.5]]), torch.ones(1, 1), patches_at(pixels), 0.5, CONFIG
    ).total
    assert (away[0] - at_one).item() == pytest.approx(
        CONFIG.proxy_weight * (2.0 + 2 * 2.0 * 10 / 500), rel=1e-3
    )


def test_measured_depth_does_not_pull_valid_points():
    """A point on the ray costs the same in front of the measured depth and behind it."""
    pixels = torch.tensor([[100.0, 50.0]])
    patches = patches_at(pixels, torch.tensor([2.0]))
    near, far = (
        curriculum_loss(on_ray(pixels, z), torch.ones(1, 1), patches, 0.5, CONFIG).total
        for z in (1.9, 2.1)
    )
    torch.testing.assert_close(near, far, atol=1e-3, rtol=0)


def test_without_depth_any_point_of_the_ray_is_as_good():
    pixels = torch.tensor([[100.0, 50.0]])
    near, far = (
        curriculum_loss(on_ray(pixels, z), torch.ones(1, 1), patches_at(pixels), 0.5, CONFIG).total
        for z in (0.7, 3.0)
    )
    torch.testing.assert_close(near, far, atol=1e-3, rtol=0)


def test_sigma_learns_the_size_of_the_error():
    pixels = torch.tensor([[320.0, 240.0]])
    off = on_ray(pixels + 6.0, 1.0)
    log_sigma = torch.zeros(1, 1, requires_grad=True)
    optimizer = torch.optim.Adam([log_sigma], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        curriculum_loss(off, log_sigma.exp(), patches_at(pixels), 0.5, CONFIG).total.backward()
        optimizer.step()
    assert log_sigma.exp().item() == pytest.approx(12.0, rel=0.05)  # |du| + |dv|


@pytest.mark.parametrize('z', [0.5, 3.0])
def test_gradient_against_finite_differences(z):
    generator = torch.Generator().manual_seed(3)
    pixels = 640 * torch.rand(6, 2, generator=generator, dtype=torch.float64)
    points = on_ray(pixels, z) + 0.01 * torch.randn(6, 3, generator=generator, dtype=torch.float64)

    def loss(points: torch.Tensor) -> torch.Tensor:
        # so large a sigma that the doubt, which sees the error detached, hardly varies
        sigma = torch.full((6, 1), 1e9, dtype=torch.float64)
        return curriculum_loss(points, sigma, patches_at(pixels), 0.3, CONFIG).total

    assert torch.autograd.gradcheck(loss, points.requires_grad_(), eps=1e-7, atol=1e-3)


def slope(error_px: float, progress: float) -> float:
    """Derivative of the robust loss."""
    error = torch.tensor([error_px], requires_grad=True)
    robust(error, progress, CONFIG).backward()
    return error.grad.item()


def test_large_errors_count_early_and_not_late():
    assert slope(500.0, 0.0) > 0.05
    assert slope(500.0, 1.0) < 1e-6


@pytest.mark.parametrize('progress', [0.0, 0.4, 0.9])
def test_a_small_error_costs_itself(progress: float):
    assert slope(1e-3, progress) == pytest.approx(1.0, abs=1e-2)
