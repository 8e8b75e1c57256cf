# SPDX-License-Identifier: Apache-2.0
"""Names of lens models in calibrations, and the coefficients that OpenCV wants for them."""
from __future__ import annotations

from typing import NamedTuple

from dsac_ros.errors import CameraError
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL_POLYNOMIAL

# '' and the names that say no more: the number of coefficients tells the model.
UNTOLD = ('', 'none', 'pinhole', 'perspective')
MODELS = {**dict.fromkeys(UNTOLD, PINHOLE),
          **dict.fromkeys(('plumb_bob', 'radtan', 'radial_tangential', 'plumbbob'), PLUMB_BOB),
          'rational_polynomial': RATIONAL_POLYNOMIAL, 'rational': RATIONAL_POLYNOMIAL,
          **dict.fromkeys(('equidistant', 'fisheye', 'kannala_brandt', 'kannala_brandt4'),
                          EQUIDISTANT)}
# Models that OpenCV does not have, whose coefficients of zero are a pinhole all the same.
OTHER_POLYNOMIALS = ('brown_conrady', 'inverse_brown_conrady', 'modified_brown_conrady',
                     'thin_prism', 'division')
PLUMB_BOB_COUNTS, RATIONAL_COUNTS = (4, 5), (8, 12, 14)
POLYNOMIAL_COUNTS = PLUMB_BOB_COUNTS + RATIONAL_COUNTS
EQUIDISTANT_COUNT = 4


class Distortion(NamedTuple):
    """A lens model of `types`, its coefficients in OpenCV's order, and what was assumed."""

    model: str
    coefficients: tuple[float, ...]
    assumption: str = ''


def distortion_of(model: str, coefficients: tuple[float, ...]) -> Distortion:
    """The lens that a calibration describes.

    Args:
        model: name as in CameraInfo or Kalibr; '' where there is none.
        coefficients: as many as the calibration holds; all zero means a pinhole.

    Raises:
        CameraError: the model is unknown, or its coefficients are not as many as it has.
    """
    key = '_'.join(model.strip().lower().replace('-', ' ').split())
    bent = any(coefficients)
    if key not in MODELS and (bent or key not in OTHER_POLYNOMIALS):
        raise CameraError(f'unknown distortion model {model!r}, expected one of plumb_bob (4 or 5 '
                          'coefficients), rational_polynomial (8, 12 or 14), equidistant (4) or '
                          f'none, found {len(coefficients)} coefficients: calibrate with one of '
                          'these, or undistort the images')
    name = MODELS.get(key, PINHOLE)
    if not bent:
        return Distortion(PINHOLE, (), f'{model!r} has distortion coefficients of zero: taken '
                          'as a pinhole, as ROS does' if name == EQUIDISTANT else '')
    if name == EQUIDISTANT:
        return Distortion(name, _equidistant(model, coefficients))
    return _polynomial(model, name, coefficients)


def _equidistant(model: str, coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """The four coefficients; further ones may only be zeros."""
    if len(coefficients) < EQUIDISTANT_COUNT or any(coefficients[EQUIDISTANT_COUNT:]):
        raise CameraError(f'{model} has {len(coefficients)} coefficients, expected '
                          f'{EQUIDISTANT_COUNT}')
    return coefficients[:EQUIDISTANT_COUNT]


def _polynomial(model: str, name: str, coefficients: tuple[float, ...]) -> Distortion:
    """plumb_bob or rational_polynomial: OpenCV tells them apart by the number of coefficients."""
    given = len(coefficients)
    wanted = PLUMB_BOB_COUNTS if name == PLUMB_BOB else POLYNOMIAL_COUNTS
    if given not in wanted:  # drivers pad with zeros
        whole = [count for count in wanted if count < given and not any(coefficients[count:])]
        coefficients = coefficients[:max(whole, default=given)]
    count = len(coefficients)
    told = repr(model) if model else 'a calibration without a model'
    if count not in POLYNOMIAL_COUNTS:
        raise CameraError(f'{told} has {given} distortion coefficients, expected '
                          '4, 5, 8, 12 or 14')
    found = PLUMB_BOB if count in PLUMB_BOB_COUNTS else RATIONAL_POLYNOMIAL
    assumption = ('' if found == name
                  else f'{told} has {given} distortion coefficients: taken as {found}')
    return Distortion(found, coefficients, assumption)
