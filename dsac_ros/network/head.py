# SPDX-License-Identifier: Apache-2.0
"""The per-scene half of the network: a descriptor to a scene coordinate. This is the map.

Descriptors fall into as many clusters as there are experts, and each cluster has an expert of its
own (mixture of experts: Jacobs et al., 1991; ESAC, Brachmann and Rother, 2019, which gates whole
images). A cell pays for one expert only: eight times what there is to remember costs no time.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, relu, softplus

from dsac_ros.config import setting

# Homogeneous coordinates (ACE, section 3.3): the weight stays above MIN_WEIGHT, which bounds how
# far a point can be thrown, and is 1 where the last layer says 0.
MIN_WEIGHT = 0.01
SHARPNESS = math.log(2.0) / (1.0 - MIN_WEIGHT)
MIN_SIGMA_PX, MAX_SIGMA_PX = 0.3, 200.0


@dataclass(frozen=True)
class HeadConfig:
    """Size of the per-scene network."""

    width: int = setting(160, 'channels of the hidden layers of an expert', low=8)
    blocks: int = setting(1, 'residual blocks of three layers', low=0)
    experts: int = setting(8, 'clusters of descriptors, each with an expert of its own', low=1)


class Block(nn.Module):
    """x + three rectified layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = relu(layer(y), inplace=True)
        return x + y


class Expert(nn.Module):
    """Descriptors (N, C) of one cluster -> points (N, 3) in scene units, sigma (N, 1) [px]."""

    def __init__(self, descriptor: int, config: HeadConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(descriptor, config.width)
        self.blocks = nn.ModuleList(Block(config.width) for _ in range(config.blocks))
        self.leave = nn.Linear(config.width, config.width)
        self.point = nn.Linear(config.width, 4)
        self.spread = nn.Linear(config.width, 1)

    def forward(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        x = relu(self.enter(descriptors), inplace=True)
        for block in self.blocks:
            x = block(x)
        x = relu(self.leave(x), inplace=True)
        with torch.autocast(x.device.type, enabled=False):  # millimetres need all digits
            xyzw = self.point(x.float())
        weight = softplus(xyzw[..., 3:], beta=SHARPNESS) + MIN_WEIGHT
        # the uncertainty reads the trunk and does not shape it: the points' loss alone does
        doubt = self.spread(layer_norm(x.detach(), x.shape[-1:])).float().sigmoid()
        sigma = MIN_SIGMA_PX * (MAX_SIGMA_PX / MIN_SIGMA_PX) ** doubt
        return xyzw[..., :3] / weight, sigma


class Head(nn.Module):
    """Descriptors (..., C) -> points (..., 3) in scene units, sigma (..., 1) [px].

    centres (E, C), of unit length, say which expert a descriptor belongs to: `clusters.py` places
    them before the training, which leaves them alone.
    """

    def __init__(self, descriptor: int, config: HeadConfig = HeadConfig()) -> None:
        super().__init__()
        self.config = config
        self.register_buffer('centres', torch.eye(config.experts, descriptor))
        self.experts = nn.ModuleList(Expert(descriptor, config) for _ in range(config.experts))

    def forward(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        shape = descriptors.shape[:-1]
        rows = descriptors.reshape(-1, descriptors.shape[-1])
        expert = (rows @ self.centres.T).argmax(1)
        order = expert.argsort()
        counts = expert.bincount(minlength=len(self.experts)).tolist()
        answers = [one(part) for one, part in zip(self.experts, rows[order].split(counts))]
        back = order.argsort()
        points, sigma = (torch.cat(column)[back] for column in zip(*answers))
        return points.reshape(*shape, 3), sigma.reshape(*shape, 1)
