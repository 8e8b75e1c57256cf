# SPDX-License-Identifier: Apache-2.0
"""Correspondences of a camera whose focal length is another than the one given."""

from __future__ import annotations

import torch

from dsac_ros.geometry import se3
from dsac_ros.types import SceneCoordinates

FOCAL = 500.0
POSE = se3.exp(torch.tensor([0.3, -0.2, 0.1, 0.2, -0.3, 0.1], dtype=torch.float64))


def scene(
    given: float, depth: tuple[float, float] = (2.0, 6.0), outliers: int = 0, count: int = 300
) -> SceneCoordinates:
    """Points before a camera of FOCAL at POSE, in pixels, with a focal length `given`."""
    generator = torch.Generator().manual_seed(1)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    pixels = uniform(count, 2) * torch.tensor([640.0, 480.0]) - torch.tensor([320.0, 240.0])
    z = depth[0] + (depth[1] - depth[0]) * uniform(count, 1)
    camera = torch.cat((pixels / FOCAL * z, z), 1)
    points = camera @ POSE[:3, :3].T + POSE[:3, 3]
    pixels[:outliers] = uniform(outliers, 2) * 480.0 - 240.0
    pixels += 0.5 * torch.randn(count, 2, generator=generator, dtype=torch.float64)
    matrix = torch.diag(torch.tensor([given, given, 1.0], dtype=torch.float64))
    ones = torch.ones(1, count, dtype=torch.float64)
    return SceneCoordinates(
        points_world=points[None],
        pixels=pixels[None],
        sigma_px=ones,
        valid=ones > 0,
        matrices=matrix[None],
        grid_hw=(1, count),
    )
