# SPDX-License-Identifier: Apache-2.0
"""Cameras: checked intrinsics and projection; OpenCV does the distortion.

Pixels are (u, v) with integers at pixel centres. The size and the matrix of a `Camera` are those
of the image as it arrives: region of interest and binning of a CameraInfo are applied here, once.
"""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dsac_ros.errors import CameraError
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL_POLYNOMIAL, Camera

MODELS = {'': PINHOLE, 'none': PINHOLE, 'pinhole': PINHOLE, 'plumb_bob': PLUMB_BOB,
          'radtan': PLUMB_BOB, 'rational_polynomial': RATIONAL_POLYNOMIAL,
          'equidistant': EQUIDISTANT, 'fisheye': EQUIDISTANT}
MAX_SKEW = 1e-3  # share of the focal length; OpenCV's cameras have none
FIELD_SAMPLES = 4096
FIELD_END = 10.0  # tan of the widest ray that is asked for, 84 degrees off the axis


def camera_from_info(size_wh: tuple[int, int], k: Sequence[float], d: Sequence[float] = (),
                     p: Sequence[float] = (), model: str = '',
                     roi: tuple[int, int, int, int] | None = None,
                     binning: tuple[int, int] = (1, 1)) -> Camera:
    """The camera that a calibration describes, in the pixels of the image that was sent.

    Args:
        size_wh: width and height of the full image that was calibrated [px].
        k: K, 9 values or (3, 3), of the raw image.
        d: distortion coefficients; all zero means none.
        p: P, 12 values or (3, 4), of the rectified image; stands in for a K of zeros.
        model: distortion model as in CameraInfo; '' means none.
        roi: x, y, width, height of the part that was sent, in full pixels; zeros mean all.
        binning: full pixels per pixel sent; 0 means 1 (REP 104).
    """
    matrix, distortion = _raw_or_rectified_matrix(k, d, p)
    name, distortion = _distortion(model, distortion)
    x, y, width, height = roi if roi and roi[2] and roi[3] else (0, 0, *size_wh)
    bin_x, bin_y = (max(1, int(b)) for b in binning)
    matrix = np.array([[1 / bin_x, 0, (0.5 - x) / bin_x - 0.5],
                       [0, 1 / bin_y, (0.5 - y) / bin_y - 0.5], [0, 0, 1]]) @ matrix
    camera = Camera((int(width) // bin_x, int(height) // bin_y), matrix, name, distortion)
    check_camera(camera)
    return camera


def check_camera(camera: Camera) -> None:
    """Raise CameraError when the intrinsics cannot belong to a camera."""
    matrix, (width, height) = camera.matrix, camera.size_wh
    if np.shape(matrix) != (3, 3):
        raise CameraError(f'camera matrix has shape {np.shape(matrix)}, expected (3, 3)')
    if not (np.isfinite(matrix).all() and np.isfinite(camera.distortion).all()):
        raise CameraError('camera calibration holds NaN or infinity: calibrate the camera')
    fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
    if fx <= 0.0 or fy <= 0.0:
        raise CameraError(f'camera has focal lengths fx = {fx:g}, fy = {fy:g}, expected positive '
                          'ones: is the camera calibrated?')
    if abs(matrix[0, 1]) > MAX_SKEW * fx or not np.allclose(matrix[2], (0, 0, 1)):
        raise CameraError(f'camera matrix {matrix.tolist()} is not [fx 0 cx; 0 fy cy; 0 0 1]: '
                          'undistort the images to a camera without skew first')
    if width <= 0 or height <= 0:
        raise CameraError(f'camera calibration has the image size {width}x{height}, expected the '
                          'size of the image in pixels')


def check_image_matches(camera: Camera, image: np.ndarray) -> None:
    """Raise CameraError when an image (H, W, ...) has not the size that was calibrated."""
    height, width = image.shape[:2]
    if (width, height) != tuple(camera.size_wh):
        raise CameraError(f'image is {width}x{height} but its calibration is for '
                          f'{camera.size_wh[0]}x{camera.size_wh[1]}: use the calibration of this '
                          'image stream')


def project(camera: Camera, points_camera: np.ndarray) -> np.ndarray:
    """Pixels (..., N, 2) of points (..., N, 3); NaN behind the camera or beyond the lens model."""
    check_shapes(points_camera=(points_camera, '... N 3'))
    points = np.asarray(points_camera, dtype=np.float64).reshape(-1, 3)
    pixels = np.full((len(points), 2), np.nan)
    with np.errstate(divide='ignore', invalid='ignore'):
        radius = np.hypot(points[:, 0], points[:, 1]) / points[:, 2]
    seen = (points[:, 2] > 0.0) & (radius <= field_limit(camera))
    if seen.any():
        pixels[seen] = _project_visible(camera, points[seen])
    return pixels.reshape(*np.shape(points_camera)[:-1], 2)


def field_limit(camera: Camera) -> float:
    """Tangent of the angle off the axis up to which the distortion grows; inf if everywhere.

    Past it a polynomial folds back and would show the same pixel twice.
    """
    if camera.model == PINHOLE:
        return np.inf
    tangents = np.linspace(0.0, FIELD_END, FIELD_SAMPLES)
    points = np.stack([tangents, np.zeros_like(tangents), np.ones_like(tangents)], axis=1)
    radial = Camera(camera.size_wh, np.eye(3), camera.model, _radial_part(camera))
    radius = _project_visible(radial, points)[:, 0]
    folds = np.flatnonzero(~(np.diff(radius) > 0.0))
    return float(tangents[folds[0]]) if len(folds) else np.inf


def _radial_part(camera: Camera) -> tuple[float, ...]:
    """The distortion coefficients without the tangential, prism and tilt terms."""
    if camera.model == EQUIDISTANT:
        return camera.distortion
    return tuple(value if index in (0, 1, 4, 5, 6, 7) else 0.0
                 for index, value in enumerate(camera.distortion))


def _project_visible(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) of points (N, 3) that all lie before the camera."""
    matrix, distortion = np.asarray(camera.matrix, np.float64), np.array(camera.distortion)
    if camera.model == PINHOLE:
        return points[:, :2] / points[:, 2:] * np.diag(matrix)[:2] + matrix[:2, 2]
    zero = np.zeros(3)
    if camera.model == EQUIDISTANT:
        pixels, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, matrix, distortion)
    else:
        pixels, _ = cv2.projectPoints(points[:, None], zero, zero, matrix, distortion)
    return pixels.reshape(-1, 2)


def _raw_or_rectified_matrix(k: Sequence[float], d: Sequence[float], p: Sequence[float],
                             ) -> tuple[np.ndarray, tuple[float, ...]]:
    """K and D; where K is zero, the left part of P, whose image has no distortion."""
    matrix = np.array(k, dtype=np.float64).reshape(-1)
    if matrix.size != 9:
        raise CameraError(f'camera matrix K has {matrix.size} values, expected 9')
    distortion = tuple(float(x) for x in np.asarray(d, dtype=np.float64).reshape(-1))
    if not matrix.any():
        rectified = np.array(p, dtype=np.float64).reshape(-1)
        if rectified.size != 12 or not rectified.any():
            raise CameraError('camera matrix K is zero and so is P: calibrate the camera')
        return rectified.reshape(3, 4)[:, :3].copy(), ()
    return matrix.reshape(3, 3), distortion


def _distortion(model: str, distortion: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    """The model's name here and as many coefficients as OpenCV wants."""
    name = MODELS.get(model.strip().lower())
    if name is None:
        raise CameraError(f'unknown distortion model {model!r}, expected one of '
                          f'{", ".join(m for m in MODELS if m)}')
    if name == PINHOLE or not any(distortion):
        return PINHOLE, ()
    if name == EQUIDISTANT:
        if len(distortion) < 4:
            raise CameraError(f'equidistant has {len(distortion)} coefficients, expected 4')
        return name, distortion[:4]
    if len(distortion) not in (4, 5, 8, 12, 14):
        raise CameraError(f'{model} has {len(distortion)} distortion coefficients, expected '
                          '4, 5, 8, 12 or 14')
    return name, distortion
