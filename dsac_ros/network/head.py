# SPDX-License-Identifier: Apache-2.0
"""The per-scene half of the network: a descriptor to a scene coordinate. This is the map."""
from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import layer_norm, relu, softplus

from dsac_ros.config import setting

# Homogeneous scale (ACE, section 3.3): points as far as MAX_DISTANCE units and never nearer to
# the origin's infinity than MIN_SCALE allows; w = 1 where the last layer says 0.
MIN_WEIGHT = 0.01
SHARPNESS = math.log(2.0) / (1.0 - MIN_WEIGHT)
MIN_SIGMA_PX, MAX_SIGMA_PX = 0.3, 200.0


@dataclass(frozen=True)
class HeadConfig:
    """Size of the per-scene network."""

    width: int = setting(384, 'channels of the hidden layers', low=8)
    blocks: int = setting(1, 'residual blocks of three layers', low=0)


class Block(nn.Module):
    """x + three rectified layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = relu(layer(y))
        return x + y


class Head(nn.Module):
    """Descriptors (..., C) -> points (..., 3) in scene units, sigma (..., 1) [px]."""

    def __init__(self, descriptor: int, config: HeadConfig = HeadConfig()) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(descriptor, config.width)
        self.blocks = nn.ModuleList(Block(config.width) for _ in range(config.blocks))
        self.leave = nn.Linear(config.width, config.width)
        self.point = nn.Linear(config.width, 4)
        self.spread = nn.Linear(config.width, 1)

    def forward(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        x = relu(self.enter(descriptors))
        for block in self.blocks:
            x = block(x)
        x = relu(self.leave(x))
        xyzw = self.point(x).float()
        weight = softplus(xyzw[..., 3:], beta=SHARPNESS) + MIN_WEIGHT
        # the uncertainty reads the trunk and does not shape it: the points' loss alone does
        doubt = self.spread(layer_norm(x.detach(), x.shape[-1:])).float().sigmoid()
        sigma = MIN_SIGMA_PX * (MAX_SIGMA_PX / MIN_SIGMA_PX) ** doubt
        return xyzw[..., :3] / weight, sigma
