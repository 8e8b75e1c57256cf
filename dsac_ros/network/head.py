# SPDX-License-Identifier: Apache-2.0
"""The scene-specific head: a descriptor to a scene coordinate.

Descriptors are clustered, with one expert per cluster (mixture of experts: Jacobs et al., 1991;
ESAC, Brachmann and Rother, 2019, which gates whole images). Each cell evaluates a single expert:
eight times the capacity at the same cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, relu, softplus

from dsac_ros.config import setting

# Homogeneous coordinates (ACE, section 3.3): the weight is at least MIN_WEIGHT, which bounds the
# distance of a point, and 1 where the last layer outputs 0.
MIN_WEIGHT = 0.01
SHARPNESS = math.log(2.0) / (1.0 - MIN_WEIGHT)
MIN_SIGMA_PX, MAX_SIGMA_PX = 0.3, 200.0
CPU_GROUP_SIZE = 256  # cells per group on a CPU


@dataclass(frozen=True)
class HeadConfig:
    """Size of the scene-specific head."""

    width: int = setting(160, 'channels of the hidden layers of an expert', low=8)
    blocks: int = setting(1, 'residual blocks of three layers', low=0)
    experts: int = setting(8, 'clusters of descriptors, each with an expert of its own', low=1)


class ExpertLinear(nn.Module):
    """One linear layer for each of E experts, initialised like nn.Linear."""

    def __init__(self, experts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(experts, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(experts, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor, expert_ids: Tensor | None = None) -> Tensor:
        """Apply the layers of the experts `expert_ids` (G,) to groups of N inputs (G, N, I).

        Without expert_ids there is one group per expert. Returns (G, N, O).
        """
        if expert_ids is None:
            return torch.baddbmm(self.bias, x, self.weight)
        return torch.baddbmm(self.bias[expert_ids], x, self.weight[expert_ids])


class Experts(nn.Module):
    """E networks of equal shape with separate weights, evaluated together."""

    def __init__(self, descriptor: int, config: HeadConfig) -> None:
        super().__init__()
        count, width = config.experts, config.width
        self.enter = ExpertLinear(count, descriptor, width)
        self.blocks = nn.ModuleList(
            nn.ModuleList(ExpertLinear(count, width, width) for _ in range(3))
            for _ in range(config.blocks)
        )
        self.leave = ExpertLinear(count, width, width)
        self.point = ExpertLinear(count, width, 4)
        self.spread = ExpertLinear(count, width, 1)

    def forward(
        self, descriptors: Tensor, expert_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Evaluate the experts `expert_ids` (G,) on groups of N descriptors (G, N, C).

        Returns:
            Points (G, N, 3) in scene units and sigma (G, N, 1) [px].
        """
        x = relu(self.enter(descriptors, expert_ids), inplace=True)
        for block in self.blocks:
            y = x
            for layers in block.children():
                y = relu(layers(y, expert_ids), inplace=True)
            x = x + y
        x = relu(self.leave(x, expert_ids), inplace=True).float()
        with torch.autocast(x.device.type, enabled=False):  # millimetres need all digits
            xyzw = self.point(x, expert_ids)
        weight = softplus(xyzw[..., 3:], beta=SHARPNESS) + MIN_WEIGHT
        # the uncertainty does not train the trunk; only the loss of the points does
        relative_log_sigma = (
            self.spread(layer_norm(x.detach(), x.shape[-1:]), expert_ids).float().sigmoid()
        )
        sigma = MIN_SIGMA_PX * (MAX_SIGMA_PX / MIN_SIGMA_PX) ** relative_log_sigma
        return xyzw[..., :3] / weight, sigma


class Head(nn.Module):
    """Descriptors (..., C) -> points (..., 3) in scene units, sigma (..., 1) [px].

    centres (E, C), of unit length, assign descriptors to experts: `clusters.py` computes them
    before the training, which does not change them.
    """

    centres: Tensor

    def __init__(self, descriptor: int, config: HeadConfig = HeadConfig()) -> None:
        super().__init__()
        self.config = config
        # An identity. On the device `meta`, where `map_file` counts weights, torch.eye imports all
        # of torch's compiler: a second for each process that loads a map.
        centres = torch.zeros(config.experts, descriptor)
        centres.diagonal().fill_(1.0)
        self.register_buffer('centres', centres)
        self.experts = Experts(descriptor, config)

    def forward(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        shape = descriptors.shape[:-1]
        rows = descriptors.reshape(-1, descriptors.shape[-1])
        expert = (rows @ self.centres.T).argmax(1)
        points, sigma = self._grouped(rows, expert)
        return points.reshape(*shape, 3), sigma.reshape(*shape, 1)

    def _grouped(self, rows: Tensor, expert: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate rows (N, C) in equally sized groups, each for one expert.

        In training and on a GPU a group has the size of the largest cluster, so that no weight is
        copied; on a CPU, which is bound by arithmetic, groups are small to limit padding.
        """
        counts = expert.bincount(minlength=self.config.experts)
        whole = self.training or rows.is_cuda
        size = max(1, int(counts.max())) if whole else CPU_GROUP_SIZE
        groups = torch.ones_like(counts) if whole else (counts + size - 1) // size
        expert_ids = None if whole else torch.arange(len(counts)).repeat_interleave(groups)
        order = expert.argsort()
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        rank -= (counts.cumsum(0) - counts)[expert]
        place = (groups.cumsum(0) - groups)[expert] * size + rank
        filled = rows.new_zeros(int(groups.sum()) * size, rows.shape[1])
        filled = filled.index_copy(0, place, rows).view(-1, size, rows.shape[1])
        points, sigma = self.experts(filled, expert_ids)
        return points.flatten(0, 1)[place], sigma.flatten(0, 1)[place]
