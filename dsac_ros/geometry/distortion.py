# SPDX-License-Identifier: Apache-2.0
"""Names of lens models in calibrations, and their coefficients in OpenCV's order."""

from __future__ import annotations

from typing import NamedTuple

from dsac_ros.errors import CameraError
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL_POLYNOMIAL

# Names that leave the model to the number of coefficients.
UNSPECIFIED = ('', 'none', 'pinhole', 'perspective')
MODELS = {
    **dict.fromkeys(UNSPECIFIED, PINHOLE),
    **dict.fromkeys(('plumb_bob', 'radtan', 'radial_tangential', 'plumbbob'), PLUMB_BOB),
    'rational_polynomial': RATIONAL_POLYNOMIAL,
    'rational': RATIONAL_POLYNOMIAL,
    **dict.fromkeys(('equidistant', 'fisheye', 'kannala_brandt', 'kannala_brandt4'), EQUIDISTANT),
}
# Models that OpenCV does not support; with zero coefficients they are a pinhole.
OTHER_POLYNOMIALS = (
    'brown_conrady',
    'inverse_brown_conrady',
    'modified_brown_conrady',
    'thin_prism',
    'division',
)
PLUMB_BOB_COUNTS, RATIONAL_COUNTS = (4, 5), (8, 12, 14)
POLYNOMIAL_COUNTS = PLUMB_BOB_COUNTS + RATIONAL_COUNTS
EQUIDISTANT_COUNT = 4


class Distortion(NamedTuple):
    """A lens model of `types`, its coefficients in OpenCV's order, and the assumption made."""

    model: str
    coefficients: tuple[float, ...]
    assumption: str = ''


def distortion_of(model: str, coefficients: tuple[float, ...]) -> Distortion:
    """Return the lens model of a calibration.

    Args:
        model: name as in CameraInfo or Kalibr; '' if there is none.
        coefficients: of the calibration; all zero means a pinhole.

    Raises:
        CameraError: the model is unknown, or has another number of coefficients.
    """
    key = '_'.join(model.strip().lower().replace('-', ' ').split())
    is_distorted = any(coefficients)
    if key not in MODELS and (is_distorted or key not in OTHER_POLYNOMIALS):
        raise CameraError(
            f'unknown distortion model {model!r}, expected one of plumb_bob (4 or 5 '
            'coefficients), rational_polynomial (8, 12 or 14), equidistant (4) or '
            f'none, found {len(coefficients)} coefficients: calibrate with one of '
            'these, or undistort the images'
        )
    name = MODELS.get(key, PINHOLE)
    if not is_distorted:
        return Distortion(
            PINHOLE,
            (),
            f'{model!r} has distortion coefficients of zero: taken as a pinhole, as ROS does'
            if name == EQUIDISTANT
            else '',
        )
    if name == EQUIDISTANT:
        return Distortion(name, _equidistant(model, coefficients))
    return _polynomial(model, name, coefficients)


def _equidistant(model: str, coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """Return the four coefficients; further ones must be zero."""
    if len(coefficients) < EQUIDISTANT_COUNT or any(coefficients[EQUIDISTANT_COUNT:]):
        raise CameraError(
            f'{model!r} has {len(coefficients)} coefficients, expected {EQUIDISTANT_COUNT}'
        )
    return coefficients[:EQUIDISTANT_COUNT]


def _polynomial(model: str, name: str, coefficients: tuple[float, ...]) -> Distortion:
    """Return plumb_bob or rational_polynomial, which OpenCV distinguishes by their number."""
    given = len(coefficients)
    wanted = PLUMB_BOB_COUNTS if name == PLUMB_BOB else POLYNOMIAL_COUNTS
    if given not in wanted:  # drivers pad with zeros
        whole = [count for count in wanted if count < given and not any(coefficients[count:])]
        coefficients = coefficients[: max(whole, default=given)]
    count = len(coefficients)
    named = repr(model) if model else 'a calibration without a model'
    if count not in POLYNOMIAL_COUNTS:
        raise CameraError(
            f'{named} has {given} distortion coefficients, expected 4, 5, 8, 12 or 14'
        )
    found = PLUMB_BOB if count in PLUMB_BOB_COUNTS else RATIONAL_POLYNOMIAL
    assumption = (
        '' if found == name else f'{named} has {given} distortion coefficients: taken as {found}'
    )
    return Distortion(found, coefficients, assumption)
