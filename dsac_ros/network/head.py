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
GROUP = 256  # cells that a CPU answers at once


@dataclass(frozen=True)
class HeadConfig:
    """Size of the per-scene network."""

    width: int = setting(160, 'channels of the hidden layers of an expert', low=8)
    blocks: int = setting(1, 'residual blocks of three layers', low=0)
    experts: int = setting(8, 'clusters of descriptors, each with an expert of its own', low=1)


class Layers(nn.Module):
    """One linear layer for each of E experts, drawn as nn.Linear draws its own."""

    def __init__(self, experts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs ** -0.5
        self.weight = nn.Parameter(torch.empty(experts, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(experts, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor, whose: Tensor | None = None) -> Tensor:
        """Of groups of N inputs (G, N, I) for the experts `whose` (G,) they are, (G, N, O).

        Of one group for each expert, where nothing is said.
        """
        if whose is None:
            return torch.baddbmm(self.bias, x, self.weight)
        return torch.baddbmm(self.bias[whose], x, self.weight[whose])


class Experts(nn.Module):
    """E networks of the same shape and their own weights, asked together."""

    def __init__(self, descriptor: int, config: HeadConfig) -> None:
        super().__init__()
        count, width = config.experts, config.width
        self.enter = Layers(count, descriptor, width)
        self.blocks = nn.ModuleList(nn.ModuleList(Layers(count, width, width) for _ in range(3))
                                    for _ in range(config.blocks))
        self.leave = Layers(count, width, width)
        self.point = Layers(count, width, 4)
        self.spread = Layers(count, width, 1)

    def forward(self, descriptors: Tensor,
                whose: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of groups of N descriptors (G, N, C) for the experts `whose` (G,) they are.

        Their points (G, N, 3) in scene units and sigma (G, N, 1) [px].
        """
        x = relu(self.enter(descriptors, whose), inplace=True)
        for block in self.blocks:
            y = x
            for layers in block.children():
                y = relu(layers(y, whose), inplace=True)
            x = x + y
        x = relu(self.leave(x, whose), inplace=True).float()
        with torch.autocast(x.device.type, enabled=False):  # millimetres need all digits
            xyzw = self.point(x, whose)
        weight = softplus(xyzw[..., 3:], beta=SHARPNESS) + MIN_WEIGHT
        # the uncertainty reads the trunk and does not shape it: the points' loss alone does
        doubt = self.spread(layer_norm(x.detach(), x.shape[-1:]), whose).float().sigmoid()
        sigma = MIN_SIGMA_PX * (MAX_SIGMA_PX / MIN_SIGMA_PX) ** doubt
        return xyzw[..., :3] / weight, sigma


class Head(nn.Module):
    """Descriptors (..., C) -> points (..., 3) in scene units, sigma (..., 1) [px].

    centres (E, C), of unit length, say which expert a descriptor belongs to: `clusters.py` places
    them before the training, which leaves them alone.
    """

    centres: Tensor

    def __init__(self, descriptor: int, config: HeadConfig = HeadConfig()) -> None:
        super().__init__()
        self.config = config
        self.register_buffer('centres', torch.eye(config.experts, descriptor))
        self.experts = Experts(descriptor, config)

    def forward(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        shape = descriptors.shape[:-1]
        rows = descriptors.reshape(-1, descriptors.shape[-1])
        expert = (rows @ self.centres.T).argmax(1)
        points, sigma = self._grouped(rows, expert)
        return points.reshape(*shape, 3), sigma.reshape(*shape, 1)

    def _grouped(self, rows: Tensor, expert: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (N, C) in groups of the same size, each for one expert: few operations for all.

        In training, and on a GPU, as large as the largest expert needs, so that no weight is
        copied; a CPU that answers an image waits for the arithmetic, and hardly fills them up.
        """
        counts = expert.bincount(minlength=self.config.experts)
        whole = self.training or rows.is_cuda
        size = max(1, int(counts.max())) if whole else GROUP
        groups = torch.ones_like(counts) if whole else (counts + size - 1) // size
        whose = None if whole else torch.arange(len(counts)).repeat_interleave(groups)
        order = expert.argsort()
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        rank -= (counts.cumsum(0) - counts)[expert]
        place = (groups.cumsum(0) - groups)[expert] * size + rank
        filled = rows.new_zeros(int(groups.sum()) * size, rows.shape[1])
        filled = filled.index_copy(0, place, rows).view(-1, size, rows.shape[1])
        points, sigma = self.experts(filled, whose)
        return points.flatten(0, 1)[place], sigma.flatten(0, 1)[place]
