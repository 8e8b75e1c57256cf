# SPDX-License-Identifier: Apache-2.0
"""Rotations that tests share: random ones, and those at the angles where formulas break."""

from __future__ import annotations

import math

import torch
from scipy.spatial.transform import Rotation

BATCHES = [(), (1,), (3, 1, 2)]


def random_rotations(count, seed=0):
    """Uniform rotations (count, 3, 3) in float64."""
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix())


def special_rotations():
    """The identity, quarter and half turns about the axes, half turns about others (R, 3, 3)."""
    axes = torch.eye(3, dtype=torch.float64)
    turns = [
        torch.zeros(1, 3).double(),
        math.pi * axes,
        -math.pi / 2 * axes,
        math.pi / 2 * axes,
        math.pi / 2**0.5 * (axes + axes.roll(1, 0)),
        1e-9 * axes,
        1e-4 * axes,
        (math.pi - 1e-6) * axes,
    ]
    return torch.from_numpy(Rotation.from_rotvec(torch.cat(turns).numpy()).as_matrix())


def random_poses(count, seed=0):
    """Poses (count, 4, 4) in float64."""
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    poses[:, :3, :3] = random_rotations(count, seed)
    generator = torch.Generator().manual_seed(seed)
    poses[:, :3, 3] = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return poses


def assert_proper(rotation):
    """Orthonormal with determinant 1."""
    identity = torch.eye(3, dtype=rotation.dtype).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.mT, identity, rtol=0.0, atol=1e-12)
    determinant = torch.linalg.det(rotation)
    torch.testing.assert_close(determinant, torch.ones_like(determinant), rtol=0.0, atol=1e-12)
