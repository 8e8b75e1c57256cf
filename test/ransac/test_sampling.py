# SPDX-License-Identifier: Apache-2.0
"""Drawing cells."""

import torch

from dsac_ros.ransac.sampling import draw_cells, draw_minimal_sets


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cells_without_weight_are_never_drawn():
    weight = torch.tensor([[0.0, 0.0, 1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    cells = draw_cells(weight, 1000, generator())
    assert set(cells[0].tolist()) == {2, 4}
    assert set(cells[1].tolist()) == {0}


def test_cells_are_drawn_in_proportion():
    cells = draw_cells(torch.tensor([[1.0, 3.0]]), 10000, generator())
    assert 0.73 < cells.double().mean().item() < 0.77


def test_a_row_without_weight_draws_something():
    assert draw_minimal_sets(torch.zeros(1, 5), 7, 3, generator()).shape == (1, 7, 3)


def test_the_same_seed_draws_the_same():
    weight = torch.ones(2, 50)
    first, second, other = (draw_minimal_sets(weight, 20, 3, generator(s)) for s in (4, 4, 5))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
