# SPDX-License-Identifier: Apache-2.0
"""ransac/conics.py: roots, lines and crossings, against numpy and by what defines them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsac_ros.ransac.conics import intersect, real_root, split_into_lines

ROWS, COLUMNS = np.triu_indices(3)


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def matrix(conic):
    """Symmetric matrices (S, 3, 3) of conics (6, S)."""
    full = torch.zeros(3, 3, conic.shape[-1], dtype=conic.dtype)
    full[ROWS, COLUMNS], full[COLUMNS, ROWS] = conic, conic
    return full.movedim(-1, 0)


def test_real_root_is_the_best_separated_one():
    b, c, d = draw(3, 200)
    for x, coefficients in zip(real_root(b, c, d), torch.stack((b, c, d), 1)):
        roots = np.roots([1.0, *coefficients.tolist()])
        real = roots[np.abs(roots.imag) < 1e-9].real
        apart = [np.sort(np.abs(real - one))[1:].min(initial=np.inf) for one in real]
        assert float(x) == pytest.approx(real[np.argmax(apart)], abs=1e-9)


@pytest.mark.parametrize(
    ('b', 'c', 'd', 'root'),
    [(0.0, 0.0, 0.0, 0.0), (-3.0, 3.0, -1.0, 1.0), (0.0, 0.0, -8.0, 2.0), (-5.0, 7.0, -3.0, 3.0)],
)
def test_a_cubic_with_roots_that_meet(b, c, d, root):
    x = real_root(*(torch.tensor([value], dtype=torch.float64) for value in (b, c, d)))
    assert float(x) == pytest.approx(root, abs=1e-4)


def test_a_pair_of_lines_falls_apart_into_them():
    a, b = draw(2, 3, 100)
    product = a[:, None] * b[None] + b[:, None] * a[None]
    lines, real = split_into_lines(product[ROWS, COLUMNS])
    assert real.all()
    found = torch.nn.functional.normalize(lines, dim=0)
    given = torch.nn.functional.normalize(torch.stack((a, b), 1), dim=0)
    likeness = torch.einsum('cis,cjs->ijs', found, given).abs()
    straight, crossed = likeness[0, 0] * likeness[1, 1], likeness[0, 1] * likeness[1, 0]
    torch.testing.assert_close(torch.maximum(straight, crossed), torch.ones(100).double())


def test_a_point_is_no_pair_of_real_lines():
    point = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])[:, None]  # x^2 + y^2 = 0
    assert not split_into_lines(point)[1].any()


def test_crossings_lie_on_the_line_and_on_the_conic():
    lines, conic = draw(3, 2, 200), draw(6, 200, seed=1)
    points, real = intersect(lines, conic)
    points = torch.nn.functional.normalize(points, dim=0)
    on_line = (points * lines.repeat(1, 2, 1)).sum(0).abs()
    on_conic = torch.einsum('cks,scd,dks->ks', points, matrix(conic), points).abs()
    assert 0.2 < real.double().mean() < 0.9
    assert on_line.max() < 1e-9 and on_conic[real].max() < 1e-9


@pytest.mark.parametrize(('height', 'expected'), [(0.5, True), (1.0, True), (1.5, False)])
def test_a_line_cuts_touches_or_misses_a_circle(height, expected):
    circle = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, -1.0])[:, None].double()
    line = torch.tensor([0.0, 1.0, -height], dtype=torch.float64)[:, None, None].expand(3, 2, 1)
    points, real = intersect(line, circle)
    assert bool(real.all()) is expected and bool(real.any()) is expected
    if expected:
        # where both crossings are one, the shorter of the two vectors is nothing but rounding
        both = points.reshape(3, 2, 2)
        x, y = both[:2] / both[2]
        nonzero = both.square().sum(0) > 1e-12
        assert nonzero.any(0).all()
        torch.testing.assert_close(y[nonzero], torch.full_like(y[nonzero], height))
        torch.testing.assert_close(
            x[nonzero].abs(),
            torch.full_like(x[nonzero], (1 - height**2) ** 0.5),
            atol=1e-6,
            rtol=0.0,
        )
