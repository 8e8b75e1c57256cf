# SPDX-License-Identifier: Apache-2.0
"""Intrinsics of a transforms.json: of all frames, or of one frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import camera_from_info, fisheye_camera
from dsac_ros.sources.calibration_files import CORNER, Calibration, naming_file, of_one_size
from dsac_ros.types import PLUMB_BOB, RATIONAL_POLYNOMIAL, Camera

NUMBERS = (
    *('w', 'h', 'fl_x', 'fl_y', 'cx', 'cy', 'camera_angle_x', 'camera_angle_y'),
    *('k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'p1', 'p2'),
)
KEYS = (*NUMBERS, 'camera_model', 'is_fisheye')
PERSPECTIVE = ('', 'SIMPLE_PINHOLE', 'PINHOLE', 'SIMPLE_RADIAL', 'RADIAL', 'OPENCV')
FISHEYE = (
    *('OPENCV_FISHEYE', 'FISHEYE', 'SIMPLE_FISHEYE'),
    *('RADIAL_FISHEYE', 'SIMPLE_RADIAL_FISHEYE'),
)
RATIONAL = 'FULL_OPENCV'
MAX_SIDE = 1_000_000  # px


def intrinsics_of(frame: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of intrinsics that hold for a frame; its own stand above those of all frames."""
    return {key: value for key in KEYS if (value := frame.get(key, document.get(key))) is not None}


def camera_of_transforms(intrinsics: Mapping[str, Any], where: str) -> Calibration:
    """The camera of intrinsics that count pixels from the corner of the first one.

    Args:
        intrinsics: fl_x or camera_angle_x, and what else of KEYS is given.
        where: the file, and the frame where it has its own intrinsics, for errors.

    Raises:
        CameraError: there is no focal length, a value that is no number, or another lens.
    """
    try:
        values = _numbers(intrinsics)
        lens = _lens(intrinsics, values)
        size_wh = _size(values)
        if size_wh is not None:
            camera = _camera(values, lens, size_wh)
            return naming_file(where, lambda _: camera)
        _check_focal(values)
    except CameraError as error:
        raise CameraError(f'{where}: {error}') from None

    camera_of: Calibration = partial(_camera, values, lens)
    if values.keys() & {'fl_x', 'fl_y', 'cx', 'cy'}:
        camera_of = of_one_size(camera_of, 'a camera without w and h')
    return naming_file(where, camera_of)


def _numbers(intrinsics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among the intrinsics."""
    found = {}
    for key in NUMBERS:
        if key not in intrinsics:
            continue
        value = intrinsics[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise CameraError(f'{key} is {str(value)[:40]!r}, expected a number')
        try:
            found[key] = float(value)
        except OverflowError:
            found[key] = math.inf
        if not math.isfinite(found[key]):
            raise CameraError(f'{key} is {found[key]}, expected a finite number')
    return found


def _size(values: Mapping[str, float]) -> tuple[int, int] | None:
    """Width and height [px], None where they are not given."""
    if not {'w', 'h'} <= values.keys():
        return None
    width, height = values['w'], values['h']
    if not (0 < width < MAX_SIDE and 0 < height < MAX_SIDE):
        raise CameraError(f'w and h are {width:g} and {height:g}, expected the size of the images')
    return int(width), int(height)


def _lens(
    intrinsics: Mapping[str, Any], values: Mapping[str, float]
) -> tuple[str, tuple[float, ...]]:
    """The distortion model, '' for a fisheye, and its coefficients."""
    given = str(intrinsics.get('camera_model') or '')[:40]
    model = given.upper()
    is_fisheye = model in FISHEYE or bool(intrinsics.get('is_fisheye'))
    k = [values.get(f'k{index}', 0.0) for index in range(1, 7)]
    p = [values.get(f'p{index}', 0.0) for index in (1, 2)]
    if model not in (*PERSPECTIVE, *FISHEYE, RATIONAL):
        raise CameraError(
            f'unknown camera_model {given!r}, expected one of '
            f'{", ".join((*PERSPECTIVE[1:], RATIONAL, *FISHEYE))}: undistort the images first'
        )
    if is_fisheye:
        return '', tuple(k[:4])
    if model == RATIONAL:
        return RATIONAL_POLYNOMIAL, (*k[:2], *p, *k[2:])
    if any(k[3:]):
        raise CameraError(
            f'k4 is {k[3]:g}, a term of r^8 that {model or "OPENCV"} does not have, expected '
            f'0, or camera_model OPENCV_FISHEYE or {RATIONAL}: undistort the images first'
        )
    return PLUMB_BOB, (*k[:2], *p, k[2])


def _check_focal(values: Mapping[str, float]) -> None:
    """Refuse intrinsics that hold neither a focal length nor an angle of view."""
    for key in ('camera_angle_x', 'camera_angle_y'):
        if key in values and not 0 < values[key] < math.pi:
            raise CameraError(f'{key} is {values[key]:g}, expected radians between 0 and pi')
    if not values.keys() & {'fl_x', 'fl_y', 'camera_angle_x', 'camera_angle_y'}:
        raise CameraError(
            'there is no focal length, expected fl_x or camera_angle_x: give --focal or '
            '--camera-info'
        )


def _camera(
    values: Mapping[str, float], lens: tuple[str, tuple[float, ...]], size_wh: tuple[int, int]
) -> Camera:
    """The camera of images of a size."""
    _check_focal(values)
    width, height = size_wh
    focals = [
        values.get(f'fl_{axis}') or _focal(values.get(f'camera_angle_{axis}'), side)
        for axis, side in (('x', width), ('y', height))
    ]
    fx, fy = (focal or other for focal, other in zip(focals, reversed(focals)))
    cx, cy = (values.get('cx', width / 2) - CORNER, values.get('cy', height / 2) - CORNER)
    k = (fx or 0.0, 0.0, cx, 0.0, fy or 0.0, cy, 0.0, 0.0, 1.0)
    model, distortion = lens
    if not model:
        return fisheye_camera(size_wh, k, distortion)
    return camera_from_info(size_wh, k, distortion, model=model)


def _focal(angle: float | None, side: int) -> float | None:
    """The focal length [px] of an angle of view over a side of the image."""
    return None if angle is None else side / 2 / math.tan(angle / 2)
