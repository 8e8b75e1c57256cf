# SPDX-License-Identifier: Apache-2.0
"""Checks of intrinsics: values that no camera has are refused in one line.

The limits are far outside of fisheye and telephoto lenses in use, so that only mistakes reach
them: other units, another image size, a field that was left out.
"""

from __future__ import annotations

import numpy as np

from dsac_ros.errors import CameraError
from dsac_ros.types import EQUIDISTANT, Camera

MAX_SKEW = 1e-3  # relative to the focal length; OpenCV's models have no skew
# Least focal lengths relative to width or height. A rectilinear image of 157 degrees, against 120
# of the widest lenses; a fisheye whose image circle is a quarter of the image.
MIN_FOCAL, MIN_FOCAL_EQUIDISTANT = 0.1, 0.05
MAX_FOCAL = 100.0  # relative to the larger side: a field of view of 0.6 degrees
MAX_PIXEL_ASPECT = 4.0  # ratio of fx and fy: lines skipped or columns binned by four
MAX_ELONGATION = 10.0  # ratio of the sides; what is resampled from a longer image has no bound
MAX_SIDE = 32_000  # OpenCV resamples no larger images [px]
MIN_PRINCIPAL_POINT_PX = 0.5  # closer to the corner of the image: missing
MIN_VALID_SHARE = 0.1  # of the ideal pinhole's image that a lens model must cover


def check_camera(camera: Camera) -> None:
    """Raise CameraError if the intrinsics are invalid."""
    matrix = camera.matrix
    if np.shape(matrix) != (3, 3):
        raise CameraError(f'camera matrix has shape {np.shape(matrix)}, expected (3, 3)')
    if not (np.isfinite(matrix).all() and np.isfinite(camera.distortion).all()):
        raise CameraError('camera calibration holds NaN or infinity: calibrate the camera')
    width, height = camera.size_wh
    if width <= 0 or height <= 0:
        raise CameraError(
            f'camera calibration has the image size {width}x{height}, expected the '
            'size of the image in pixels'
        )
    _check_focal_lengths(camera)
    fx = float(matrix[0, 0])
    if np.abs(matrix[:2, 2]).max() <= MIN_PRINCIPAL_POINT_PX:
        raise CameraError(
            f'camera has the principal point ({matrix[0, 2]:g}, {matrix[1, 2]:g}), '
            'the corner of the image, expected one near its middle: calibrate the '
            'camera, or give a calibration file'
        )
    if abs(matrix[0, 1]) > MAX_SKEW * fx or not np.allclose(matrix[2], (0, 0, 1)):
        raise CameraError(
            f'camera matrix {matrix.tolist()} is not [fx 0 cx; 0 fy cy; 0 0 1]: '
            'undistort the images to a camera without skew first'
        )
    _check_size(camera)


def check_principal_point(matrix: np.ndarray, size_wh: tuple[int, int]) -> None:
    """Raise CameraError if the principal point of a full image lies outside of it.

    Args:
        matrix: camera matrix (3, 3) in the pixels of the full image.
        size_wh: of the full image. A part of it, such as a region of interest, may well leave
            out the principal point.
    """
    (cx, cy), (width, height) = np.asarray(matrix)[:2, 2], size_wh
    if -0.5 <= cx <= width - 0.5 and -0.5 <= cy <= height - 0.5:
        return
    raise CameraError(
        f'camera has the principal point ({cx:g}, {cy:g}), outside of its image of '
        f'{width}x{height}, expected one near the middle: use the calibration of this camera '
        'and image size'
    )


def check_valid_share(mask: np.ndarray, camera: Camera) -> None:
    """Raise CameraError if hardly a pixel (H, W) bool of the ideal pinhole lies in the image."""
    share = float(mask.mean())
    if share < MIN_VALID_SHARE:
        coefficients = ', '.join(f'{value:g}' for value in camera.distortion)
        raise CameraError(
            f'the distortion ({coefficients}) of {camera.model} leaves {100 * share:.0f} % of the '
            'image, expected most of it: calibrate the camera again'
        )


def _check_focal_lengths(camera: Camera) -> None:
    """Refuse focal lengths of no lens, or of another unit than pixels."""
    (width, height), matrix = camera.size_wh, camera.matrix
    fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
    found = f'camera has focal lengths fx = {fx:g}, fy = {fy:g}'
    if fx <= 0.0 or fy <= 0.0:
        raise CameraError(f'{found}, expected positive ones: is the camera calibrated?')
    least = MIN_FOCAL_EQUIDISTANT if camera.model == EQUIDISTANT else MIN_FOCAL
    if fx < least * width or fy < least * height:
        raise CameraError(
            f'{found} px for an image of {width}x{height}, expected at least '
            f'{least:g} times its size: are they in pixels?'
        )
    if max(fx, fy) > MAX_FOCAL * max(width, height):
        raise CameraError(
            f'{found} px for an image of {width}x{height}, expected at most '
            f'{MAX_FOCAL:g} times its size: are they in pixels?'
        )
    if max(fx / fy, fy / fx) > MAX_PIXEL_ASPECT:
        raise CameraError(
            f'{found} px, expected about the same in both directions: calibrate the camera'
        )


def _check_size(camera: Camera) -> None:
    """Refuse sizes that cannot be resampled."""
    width, height = camera.size_wh
    aspect = width / height * camera.matrix[1, 1] / camera.matrix[0, 0]  # in square pixels
    if max(width, height) > MAX_SIDE or max(aspect, 1 / aspect) > MAX_ELONGATION:
        raise CameraError(
            f'camera has images of {width}x{height}, expected sides of at most {MAX_SIDE} px '
            f'and one at most {MAX_ELONGATION:g} times the other'
        )
