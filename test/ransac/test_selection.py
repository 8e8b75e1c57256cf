# SPDX-License-Identifier: Apache-2.0
"""ransac/selection.py: the hypothesis that wins, and its probability."""

import pytest
import torch

from dsac_ros.ransac import selection


def test_the_best_come_first_and_a_nan_never_wins():
    scores = torch.tensor([[1.0, torch.nan, 5.0, -torch.inf, 3.0]])
    assert selection.best(scores, 3).tolist() == [[2, 4, 0]]


def test_more_than_there_are_gives_all():
    assert selection.best(torch.tensor([[1.0, 2.0]]), 5).tolist() == [[1, 0]]


def test_take_keeps_what_belongs_together():
    values = torch.arange(24.0).reshape(2, 4, 3)
    assert torch.equal(
        selection.take(values, torch.tensor([[3, 0], [1, 1]])),
        torch.stack((values[0, [3, 0]], values[1, [1, 1]])),
    )


def test_the_first_that_a_mask_holds():
    mask = torch.tensor([[False, True, False, True, True], [False] * 5, [True] * 5])
    for count, expected in (
        (2, [[1, 3], [], [0, 1]]),
        (4, [[1, 3, 4], [], [0, 1, 2, 3]]),
        (7, [[1, 3, 4], [], [0, 1, 2, 3, 4]]),
    ):
        indices, filled = selection.first(mask, count)
        assert indices.shape == filled.shape == (3, count)
        assert [row[there].tolist() for row, there in zip(indices, filled)] == expected
        assert ((indices >= 0) & (indices < 5)).all()


def test_log_probability_gradient_is_score_minus_mean():
    """Eq. 5 of the supplement of DSAC."""
    scores = torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    probability = selection.distribution(scores, 0.7)
    for j in range(3):
        (gradient,) = torch.autograd.grad(probability[0, j].log(), scores, retain_graph=True)
        expected = 0.7 * (torch.eye(3).double()[j] - probability[0].detach())
        torch.testing.assert_close(gradient[0], expected)


def test_entropy_runs_from_none_to_all_bits():
    uniform = selection.distribution(torch.randn(1, 256), 0.0)
    certain = selection.distribution(torch.tensor([[0.0, 1.0]]), 1e4)
    assert selection.entropy_bits(uniform).item() == pytest.approx(8.0)
    assert selection.entropy_bits(certain).item() == pytest.approx(0.0)
