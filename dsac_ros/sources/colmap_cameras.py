# SPDX-License-Identifier: Apache-2.0
"""COLMAP's camera models in ours: parameters are focal lengths, centre, distortion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import camera_from_info, fisheye_camera
from dsac_ros.sources.calibration_files import CORNER
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL_POLYNOMIAL, Camera

# name: parameters, how many of them are focal lengths, our model
MODELS = {
    'SIMPLE_PINHOLE': (3, 1, PINHOLE),
    'PINHOLE': (4, 2, PINHOLE),
    'SIMPLE_RADIAL': (4, 1, PLUMB_BOB),
    'RADIAL': (5, 1, PLUMB_BOB),
    'OPENCV': (8, 2, PLUMB_BOB),
    'FULL_OPENCV': (12, 2, RATIONAL_POLYNOMIAL),
    'SIMPLE_RADIAL_FISHEYE': (4, 1, EQUIDISTANT),
    'RADIAL_FISHEYE': (5, 1, EQUIDISTANT),
    'SIMPLE_FISHEYE': (3, 1, EQUIDISTANT),
    'FISHEYE': (4, 2, EQUIDISTANT),
    'OPENCV_FISHEYE': (8, 2, EQUIDISTANT),
}


def camera_from_colmap(
    model: str,
    size_wh: tuple[int, int],
    parameters: Sequence[float],
) -> Camera:
    """The camera of a COLMAP model, whose pixels are counted from the corner of the first one.

    Raises:
        CameraError: OpenCV does not have the lens, or its parameters are not as many as it has.
    """
    if model not in MODELS:
        raise CameraError(
            f'unknown camera model {model}, expected one of {", ".join(MODELS)}: '
            'undistort with COLMAP first'
        )
    count, focals, ours = MODELS[model]
    if len(parameters) != count:
        raise CameraError(f'{model} has {len(parameters)} parameters, expected {count}')
    fx, fy = parameters[0], parameters[focals - 1]
    cx, cy = (value - CORNER for value in parameters[focals : focals + 2])
    k = (fx, 0, cx, 0, fy, cy, 0, 0, 1)
    distortion = tuple(parameters[focals + 2 :])
    if ours == EQUIDISTANT:
        return fisheye_camera(size_wh, k, distortion)
    if ours == RATIONAL_POLYNOMIAL and not any(distortion[5:]):
        ours, distortion = PLUMB_BOB, distortion[:5]
    if ours == PLUMB_BOB:  # k1 and k2 of RADIAL come without p1 and p2
        distortion += (0.0,) * (5 - len(distortion))
    return camera_from_info(size_wh, k, distortion, model=ours)


def colmap_from_camera(camera: Camera) -> tuple[str, tuple[float, ...]]:
    """The model of COLMAP and its parameters for a camera of ours.

    Raises:
        CameraError: COLMAP has no such lens.
    """
    (fx, _, cx), (_, fy, cy) = np.asarray(camera.matrix, np.float64)[:2]
    pinhole = tuple(float(value) for value in (fx, fy, cx + CORNER, cy + CORNER))
    d = (*(float(value) for value in camera.distortion), *(0.0,) * 8)
    if camera.model == PINHOLE:
        return 'PINHOLE', pinhole
    if camera.model == EQUIDISTANT:
        return 'OPENCV_FISHEYE', pinhole + d[:4]
    if camera.model in (PLUMB_BOB, RATIONAL_POLYNOMIAL) and not any(d[8:]):
        return ('FULL_OPENCV', pinhole + d[:8]) if any(d[4:]) else ('OPENCV', pinhole + d[:4])
    raise CameraError(
        f'COLMAP has no lens {camera.model} with {len(camera.distortion)} coefficients: '
        '--undistort writes the images of a pinhole'
    )
