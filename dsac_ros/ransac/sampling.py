# SPDX-License-Identifier: Apache-2.0
"""Which cells are drawn: seeded, with replacement, the same on every device."""
from __future__ import annotations

import torch
from torch import Tensor


def draw_cells(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Cells (B, count) drawn with probability proportional to `weight` (B, N), never one of 0.

    A row without any weight gives cells all the same, which its mask then refuses.
    """
    cumulative = weight.double().cumsum(-1)
    # Drawn where the generator lives, so that a seed means the same on a CPU and on a GPU.
    uniform = torch.rand(weight.shape[0], count, dtype=torch.float64, generator=generator,
                         device=generator.device).to(weight.device)
    cells = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    return cells.clamp(max=weight.shape[1] - 1)


def draw_minimal_sets(weight: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Minimal sets (B, count, size) of cells; a cell drawn twice makes a degenerate set."""
    return draw_cells(weight, count * size, generator).reshape(len(weight), count, size)
