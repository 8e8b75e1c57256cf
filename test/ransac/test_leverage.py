# SPDX-License-Identifier: Apache-2.0
"""Leverage: its sum, its meaning, and that weights are lowered only where it is high."""

import numpy as np
import pytest
import torch
from ransac_scenes import poses_near, scene

from dsac_ros.ransac import refine
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.leverage import bounded_influence, leverage
from dsac_ros.types import SceneCoordinates

MATRIX = np.array([[280.0, 0, 159.5], [0, 280.0, 119.5], [0, 0, 1]])


def wall_and(near: np.ndarray, count: int = 120) -> refine.Linearised:
    """Linearise a wall 3 m away and points (M, 3) near the camera, seen from the origin."""
    rng = np.random.default_rng(0)
    wall = np.c_[rng.uniform(-1.5, 1.5, count), rng.uniform(-1, 1, count), np.full(count, 3.0)]
    points = np.concatenate([wall, near])
    pixels = points[:, :2] / points[:, 2:] * 280.0 + MATRIX[:2, 2]
    ones = torch.ones(1, len(points))
    correspondences = normalize_correspondences(
        SceneCoordinates(
            torch.from_numpy(points)[None],
            torch.from_numpy(pixels)[None],
            ones,
            ones > 0,
            torch.from_numpy(MATRIX)[None],
            (1, len(points)),
        )
    )
    pose = correspondences.camera_from_scaled(torch.eye(4, dtype=torch.float64)[None, None])
    return refine.linearise(pose, correspondences)


def test_leverages_sum_to_half_the_parameters():
    coordinates, truth = scene(3, rows=6, columns=8, dtype=torch.float64)
    correspondences = normalize_correspondences(coordinates)
    at = refine.linearise(poses_near(0, 2, correspondences, truth), correspondences)
    weight = torch.rand(1, 2, 48, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(
        leverage(at, weight).sum(-1), torch.full((1, 2), 3.0, dtype=torch.float64)
    )


def test_a_wall_alone_keeps_its_weights():
    at = wall_and(np.zeros((0, 3)))
    weight = torch.ones(1, 1, 120, dtype=torch.float64)
    factor = bounded_influence(at, weight)
    assert float((factor == 1.0).double().mean()) > 0.9 and float(factor.min()) > 0.4


@pytest.mark.parametrize('copies', [1, 3])
def test_near_points_lose_their_high_leverage(copies):
    """Several landmarks of one place, too, which would hide one another behind each other."""
    near = np.array([[0.05, 0.03, 0.2]]) + 1e-3 * np.arange(copies)[:, None]
    at = wall_and(near)
    weight = torch.ones(1, 1, 120 + copies, dtype=torch.float64)
    before = leverage(at, weight)[0, 0, 120:]
    factor = bounded_influence(at, weight)
    after = leverage(at, weight * factor)[0, 0, 120:]
    assert float(before.sum()) > 0.9
    assert float(after.sum()) < 0.5 and float(after.max()) < 0.2
    assert float(factor[..., 120:].max()) < 0.1


def test_weights_of_zero_have_no_leverage():
    at = wall_and(np.array([[0.05, 0.03, 0.2]]))
    weight = torch.ones(1, 1, 121, dtype=torch.float64)
    weight[..., 0] = 0.0
    assert float(leverage(at, weight)[0, 0, 0]) == 0.0
    none = bounded_influence(at, torch.zeros_like(weight))
    assert torch.isfinite(none).all() and float(none.min()) == 1.0
