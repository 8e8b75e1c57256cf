# SPDX-License-Identifier: Apache-2.0
"""Train your own network with the DSAC loss: the expected pose error of differentiable RANSAC.

    python examples/dsac_loss.py

Any network will do that predicts a 3D point for each cell of an image. This one is tiny, and its
"images" are the colours of a wall that tell where on it they are, with noise and a scratch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsac_ros.config import EndToEndConfig
from dsac_ros.ransac.dsac import expected_loss
from dsac_ros.types import SceneCoordinates

ROWS, COLUMNS, FOCAL = 15, 20, 130.0


class YourNetwork(nn.Module):
    """Images (B, 3, h, w) to scene coordinates (B, h w, 3) [m], one for each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 1), nn.ReLU(), nn.Conv2d(64, 64, 1), nn.ReLU(), nn.Conv2d(64, 3, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Predict a point of the world for each cell."""
        return self.layers(images).flatten(2).mT


def main(steps: int = 60) -> None:
    """Initialize the network with known points, then train it end to end from poses alone."""
    torch.manual_seed(0)
    images, points_true, pixels, matrices, world_from_camera = make_views(8)
    network = YourNetwork()

    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(100):  # DSAC needs a start that is roughly right
        optimizer.zero_grad()
        (network(images) - points_true).abs().mean().backward()
        optimizer.step()

    config = EndToEndConfig(hypotheses=32, selection='dsac')
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), 3e-4)
    for step in range(steps):
        points = network(images)
        ones = torch.ones_like(points[..., 0])
        scene = SceneCoordinates(
            points,
            pixels,
            sigma_px=ones,
            valid=ones > 0,
            matrices=matrices,
            grid_hw=(ROWS, COLUMNS),
        )
        expectation = expected_loss(scene, world_from_camera, config, config.alpha, generator)
        optimizer.zero_grad()
        expectation.loss.mean().backward()
        optimizer.step()
        if step % 20 == 0 or step == steps - 1:
            print(f'step {step}: expected max(cm, deg) {expectation.loss.mean().item():.2f}')


def make_views(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Cameras that look at a wavy wall: images, true points, pixels, intrinsics and poses."""
    v, u = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing='ij')
    pixels = (torch.stack([u, v], -1).reshape(1, -1, 2) * 8.0 + 3.5).expand(count, -1, 2)
    matrix = torch.tensor(
        [[FOCAL, 0.0, 4.0 * COLUMNS - 0.5], [0.0, FOCAL, 4.0 * ROWS - 0.5], [0.0, 0.0, 1.0]]
    )
    depth = 2.0 + 0.3 * torch.sin(pixels[..., :1] / 25.0 + torch.arange(count)[:, None, None])
    rays = torch.cat([(pixels - matrix[:2, 2]) / FOCAL, torch.ones_like(depth)], -1)
    world_from_camera = torch.eye(4).repeat(count, 1, 1)
    world_from_camera[:, :3, 3] = 0.3 * torch.randn(count, 3)
    points_world = rays * depth + world_from_camera[:, None, :3, 3]
    colours = points_world + 0.01 * torch.randn_like(points_world)
    colours[:, :40] += 0.5 * torch.randn(count, 40, 3)  # a scratch: RANSAC leaves it out
    images = colours.mT.reshape(count, 3, ROWS, COLUMNS)
    return images, points_world, pixels, matrix.expand(count, 3, 3), world_from_camera


if __name__ == '__main__':
    main()
