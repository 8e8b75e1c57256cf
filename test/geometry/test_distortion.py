# SPDX-License-Identifier: Apache-2.0
"""Lens models by name and number of coefficients: taken, told or refused, never dropped."""

from __future__ import annotations

import pytest

from dsac_ros.errors import CameraError
from dsac_ros.geometry.distortion import distortion_of

BENT = (-0.3, 0.1, 1e-3, -1e-3, 0.01, 0.4, -0.2, 0.05, 1e-3, 2e-3, 3e-3, 4e-3, 0.01, 0.02)


@pytest.mark.parametrize('model', ['', 'none', 'pinhole', ' Pinhole '])
@pytest.mark.parametrize(
    'count, found',
    [
        (4, 'plumb_bob'),
        (5, 'plumb_bob'),
        (8, 'rational_polynomial'),
        (12, 'rational_polynomial'),
        (14, 'rational_polynomial'),
    ],
)
def test_the_count_tells_an_untold_model(model, count, found):
    lens = distortion_of(model, BENT[:count])
    assert lens[:2] == (found, BENT[:count])
    assert f'has {count} distortion coefficients: taken as {found}' in lens.assumption


@pytest.mark.parametrize('model', ['', 'none', 'pinhole', 'plumb_bob', 'rational_polynomial'])
@pytest.mark.parametrize('count', [1, 2, 3, 6, 7, 9, 10, 11, 13])
def test_no_other_count_is_taken(model, count):
    with pytest.raises(CameraError, match=f'{count} distortion coeffic.*expected 4') as caught:
        distortion_of(model, BENT[:count])
    assert (model or 'without a model') in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'model, count, found, told',
    [
        ('plumb_bob', 4, 'plumb_bob', False),
        ('plumb_bob', 5, 'plumb_bob', False),
        ('plumb_bob', 8, 'rational_polynomial', True),
        ('plumb_bob', 12, 'rational_polynomial', True),
        ('rational_polynomial', 5, 'plumb_bob', True),
        ('rational_polynomial', 8, 'rational_polynomial', False),
        ('rational_polynomial', 14, 'rational_polynomial', False),
        ('Plumb Bob', 5, 'plumb_bob', False),
        ('radial-tangential', 4, 'plumb_bob', False),
        ('equidistant', 4, 'equidistant', False),
        ('kannala_brandt4', 4, 'equidistant', False),
    ],
)
def test_a_named_model_and_its_count(model, count, found, told):
    lens = distortion_of(model, BENT[:count])
    assert lens[:2] == (found, BENT[:count])
    assert bool(lens.assumption) is told


def test_zeros_that_pad_coefficients_are_cut():
    assert distortion_of('plumb_bob', (*BENT[:5], 0.0, 0.0, 0.0)) == ('plumb_bob', BENT[:5], '')
    assert distortion_of('equidistant', (*BENT[:4], 0.0))[1] == BENT[:4]
    assert distortion_of('', (*BENT[:5], 0.0))[:2] == ('plumb_bob', BENT[:5])


@pytest.mark.parametrize('count', [1, 3, 5, 8])
def test_equidistant_drops_no_coefficient(count):
    with pytest.raises(CameraError, match=f"'equidistant' has {count} coefficients, expected 4"):
        distortion_of('equidistant', BENT[:count])


@pytest.mark.parametrize(
    'model, count',
    [('brown_conrady', 5), ('thin_prism', 12), ('double_sphere', 2), ('fov', 1), ('omni', 4)],
)
def test_a_model_opencv_lacks_is_refused(model, count):
    with pytest.raises(
        CameraError,
        match=f'unknown distortion model .{model}., expected one of '
        rf'plumb_bob .* found {count} coefficients',
    ):
        distortion_of(model, BENT[:count])


def test_zeros_of_a_polynomial_are_a_pinhole():
    for model in ('', 'none', 'plumb_bob', 'brown_conrady', 'inverse_brown_conrady', 'thin_prism'):
        for count in (0, 2, 5, 12):
            assert distortion_of(model, (0.0,) * count) == ('pinhole', (), '')
    assert ': taken as a pinhole' in distortion_of('equidistant', (0.0,) * 4).assumption
    with pytest.raises(CameraError, match='double_sphere'):
        distortion_of('double_sphere', (0.0, 0.0))
