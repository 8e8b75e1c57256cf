# SPDX-License-Identifier: Apache-2.0
"""Regression of a camera's pose from the descriptors of its image.

PoseNet (Kendall, Grimes and Cipolla, ICCV 2015) with another backbone: the shipped encoder, whose
descriptors are averaged in the parts of a grid, so that the layout of the image is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, relu

from dsac_ros.geometry import se3
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.procrustes import nearest_rotation
from dsac_ros.geometry.representations import REPRESENTATIONS
from dsac_ros.geometry.resample import STRIDE
from dsac_ros.systems.posenet.config import PoseNetConfig

LEAST_VALID = 0.1  # share of a part of the image below which it is not seen
SMALL = 0.1  # of the first weights of the output: training starts at the mean pose


def pooled(descriptors: Tensor, mask: Tensor, grid: int) -> Tensor:
    """Average descriptors (B, C, h, w) over the valid cells of each part: (B, C, grid, grid).

    mask (B, H, W) bool, True for pixels that come from the camera. Parts that show nearly nothing
    are zero.
    """
    check_shapes(descriptors=(descriptors, 'B C h w'), mask=(mask, 'B H W'))
    weight = avg_pool2d(mask[:, None].to(descriptors), STRIDE)
    sums = adaptive_avg_pool2d(descriptors * weight, grid)
    share = adaptive_avg_pool2d(weight, grid)
    return sums / share.clamp(min=LEAST_VALID) * (share > LEAST_VALID)


class PoseRegression(nn.Module):
    """Pooled descriptors (B, C, grid, grid) -> scene_from_camera (B, 4, 4) in scene units."""

    def __init__(self, descriptor: int, config: PoseNetConfig) -> None:
        super().__init__()
        self.representation = REPRESENTATIONS[config.representation]
        self.dropout = config.dropout
        self.reduce = nn.Conv2d(descriptor, config.channels, 1)
        widths = [config.channels * config.grid**2] + [config.hidden] * config.layers
        self.hidden = nn.ModuleList(
            [nn.Linear(inputs, outputs) for inputs, outputs in zip(widths, widths[1:])]
        )
        self.pose = nn.Linear(config.hidden, 3 + self.representation.dims)

    def start_at(self, poses: Tensor) -> None:
        """Let the untrained network answer with about the mean of poses (N, 4, 4)."""
        rotation = nearest_rotation(poses[:, :3, :3].mean(0))[0]
        with torch.no_grad():
            self.pose.weight.mul_(SMALL)
            self.pose.bias[:3] = poses[:, :3, 3].mean(0)
            self.pose.bias[3:] = self.representation.from_matrix(rotation)

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Predict poses; with a generator hidden channels are left out at random."""
        x = self.reduce(features).flatten(1)
        for layer in self.hidden:
            x = relu(layer(x))
            if generator is not None and self.dropout:
                kept = torch.rand(x.shape, generator=generator, device=x.device) >= self.dropout
                x = x * kept / (1.0 - self.dropout)
        x = self.pose(x)
        return se3.from_parts(self.representation.to_matrix(x[:, 3:]), x[:, :3])

    def samples(self, features: Tensor, count: int) -> Tensor:
        """Draw poses (count, 4, 4) of one image's features (1, C, grid, grid) under dropout.

        Approximate samples of the posterior (Kendall and Cipolla, "Modelling Uncertainty in Deep
        Learning for Camera Relocalization", ICRA 2016); always the same for the same features.
        """
        generator = torch.Generator(device=features.device).manual_seed(0)
        return self(features.expand(count, -1, -1, -1), generator)


def spread(samples: Tensor, mean: Tensor) -> Tensor:
    """Return the covariance (6, 6) of poses (S, 4, 4) about one (4, 4).

    It is that of twists in world axes [scene units, rad].
    """
    rotation = se3.log(samples @ se3.inverse(mean))[:, 3:]
    twists = torch.cat([samples[:, :3, 3] - mean[:3, 3], rotation], 1).double()
    return twists.T @ twists / len(twists)
