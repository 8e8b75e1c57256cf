# SPDX-License-Identifier: Apache-2.0
"""Seeded sampling of cells with replacement, identical on every device."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_cells(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw cells (B, count) with probability proportional to `weight` (B, N).

    Cells of weight 0 are never drawn, except in a row of zeros, whose cells the valid mask
    rejects.
    """
    cumulative = weight.double().cumsum(-1)
    # Drawn where the generator lives, so that a seed means the same on a CPU and on a GPU.
    uniform = torch.rand(
        weight.shape[0], count, dtype=torch.float64, generator=generator, device=generator.device
    ).to(weight.device)
    cells = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    return cells.clamp(max=weight.shape[1] - 1)


def draw_minimal_sets(weight: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw minimal sets (B, count, size) of cells; a repeated cell makes a set degenerate."""
    return draw_cells(weight, count * size, generator).reshape(len(weight), count, size)
