# SPDX-License-Identifier: Apache-2.0
"""Letters are bound across arguments."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.geometry.checks import check_shapes


def test_sizes_are_returned_and_shared():
    sizes = check_shapes(
        points=(np.zeros((2, 5, 3)), 'B N 3'), pixels=(np.zeros((2, 5, 2)), 'B N 2')
    )
    assert sizes == {'B': 2, 'N': 5}
    assert check_shapes(a=(np.zeros((7, 1, 4, 3)), '... N 3')) == {'N': 4}


@pytest.mark.parametrize(
    'shape, message',
    [
        ((2, 6, 2), r'pixels has shape \(2, 6, 2\), expected \(B N 2\) with B=2, N=5'),
        ((2, 5, 3), r'pixels has shape \(2, 5, 3\), expected \(B N 2\)'),
        ((2, 5), r'pixels has shape \(2, 5\), expected \(B N 2\)'),
    ],
)
def test_contradictions_are_printed(shape, message):
    with pytest.raises(ValueError, match=message):
        check_shapes(points=(np.zeros((2, 5, 3)), 'B N 3'), pixels=(np.zeros(shape), 'B N 2'))


def test_too_few_dimensions_under_an_ellipsis():
    with pytest.raises(ValueError, match=r'a has shape \(3,\)'):
        check_shapes(a=(np.zeros(3), '... N 3'))
