# SPDX-License-Identifier: Apache-2.0
"""Camera models: validated intrinsics and projection; distortion by OpenCV.

Pixels are (u, v) with integers at pixel centres. The size and the matrix of a `Camera` are those
of the image as received: region of interest and binning of a CameraInfo are applied here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera_checks import check_camera
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.distortion import distortion_of
from dsac_ros.types import EQUIDISTANT, PINHOLE, Camera

Numbers = Sequence[float] | np.ndarray

MAX_ASPECT_ERROR = 0.1  # relative difference of the principal point in width and height
CENTRAL = (0.3, 0.7)  # range of a plausible principal point, relative to the image size
TANGENT_SAMPLES = 4096
MAX_TANGENT = 10.0  # tangent of the largest sampled angle, 84 degrees


def camera_from_info(
    size_wh: tuple[int, int],
    k: Numbers,
    d: Numbers = (),
    p: Numbers = (),
    model: str = '',
    roi: tuple[int, int, int, int] | None = None,
    binning: tuple[int, int] = (1, 1),
) -> Camera:
    """Make the camera of a calibration, in the pixels of the received image.

    Args:
        size_wh: width and height of the full calibrated image [px].
        k: K, 9 values or (3, 3), of the raw image.
        d: distortion coefficients; all zero means none.
        p: P, 12 values or (3, 4), of the rectified image; used if K is zero.
        model: distortion model as in CameraInfo; '' to infer it from the number of coefficients.
        roi: x, y, width, height of the received region, in full pixels; zeros mean all.
        binning: full pixels per received pixel; 0 means 1 (REP 104).
    """
    matrix, distortion, left_out = _raw_or_rectified_matrix(k, d, p)
    lens = distortion_of(model, distortion)
    x, y, width, height = roi if roi and roi[2] and roi[3] else (0, 0, *size_wh)
    bin_x, bin_y = (max(1, int(b)) for b in binning)
    with np.errstate(invalid='ignore', over='ignore'):  # non-finite values are rejected below
        matrix = (
            np.array(
                [
                    [1 / bin_x, 0, (0.5 - x) / bin_x - 0.5],
                    [0, 1 / bin_y, (0.5 - y) / bin_y - 0.5],
                    [0, 0, 1],
                ]
            )
            @ matrix
        )
    camera = Camera(
        (int(width) // bin_x, int(height) // bin_y),
        matrix,
        lens.model,
        lens.coefficients,
        tuple(filter(None, (left_out, lens.assumption))),
    )
    check_camera(camera)
    return camera


def fisheye_camera(size_wh: tuple[int, int], k: Numbers, d: Numbers) -> Camera:
    """Make an equidistant camera, r = f theta, even if all (up to four) coefficients are zero."""
    if len(d) > 4:
        raise CameraError(f'equidistant has {len(d)} coefficients, expected 4')
    camera = Camera(
        size_wh,
        np.array(k, dtype=np.float64).reshape(3, 3),
        EQUIDISTANT,
        (*(float(value) for value in d), *(0.0,) * (4 - len(d))),
    )
    check_camera(camera)
    return camera


def check_image_matches(camera: Camera, image: np.ndarray) -> None:
    """Raise CameraError if an image (H, W, ...) does not have the calibrated size."""
    height, width = image.shape[:2]
    if (width, height) != tuple(camera.size_wh):
        scaled = (
            ', or give it as a file, which is scaled to resized images'
            if is_resized(camera.size_wh, (width, height))
            else ''
        )
        raise CameraError(
            f'image is {width}x{height} but its calibration is for '
            f'{camera.size_wh[0]}x{camera.size_wh[1]}: use the calibration of this '
            f'image stream{scaled}'
        )


def camera_of_image(camera: Camera, image_wh: tuple[int, int]) -> Camera:
    """Return the camera in the pixels of an image, scaled if the image was resized.

    Raises:
        CameraError: the image has another aspect ratio, or the principal point is not near the
            centre of the calibrated size, so that the image may be a crop.
    """
    if image_wh == tuple(camera.size_wh):
        return camera
    (width, height), matrix = camera.size_wh, np.array(camera.matrix, dtype=np.float64)
    scale_x, scale_y = image_wh[0] / width, image_wh[1] / height
    resized = is_resized(camera.size_wh, image_wh)
    if not resized or not is_central(matrix, camera.size_wh):
        raise CameraError(
            f'image is {image_wh[0]}x{image_wh[1]} but its calibration is for '
            f'{width}x{height}'
            + (
                f' with the principal point ({matrix[0, 2]:g}, {matrix[1, 2]:g})'
                if resized
                else ''
            )
            + ': use the calibration of this image stream'
        )
    shrink = np.array(
        [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5], [0, 0, 1]]
    )
    assumption = (
        f'the calibration is for {width}x{height} and was scaled to images of {image_wh[0]}x'
        f'{image_wh[1]}: right for resized images, wrong for a part of the sensor'
    )
    return replace(
        camera,
        size_wh=image_wh,
        matrix=shrink @ matrix,
        assumptions=(*camera.assumptions, assumption),
    )


def is_resized(size_wh: tuple[int, int], image_wh: tuple[int, int]) -> bool:
    """Return whether two sizes have the same aspect ratio up to rounding to whole pixels."""
    (width, height), (image_width, image_height) = size_wh, image_wh
    return (
        abs(height * image_width / width - image_height) <= 1.0
        or abs(width * image_height / height - image_width) <= 1.0
    )


def is_central(matrix: np.ndarray, size_wh: tuple[int, int]) -> bool:
    """Return whether the principal point is plausible for a full image of this size."""
    shares = (np.asarray(matrix)[:2, 2] + 0.5) / size_wh
    return bool(((shares >= CENTRAL[0]) & (shares <= CENTRAL[1])).all())


def middle_of_another_size(
    matrix: np.ndarray,
    size_wh: tuple[int, int],
) -> tuple[int, int] | None:
    """Return the size (about) whose centre is the principal point, if clearly a different one.

    Only sizes of the same aspect ratio count: the offset of a crop rarely matches in both axes.
    """
    centre = np.asarray(matrix)[:2, 2] + 0.5
    relative_x, relative_y = centre / size_wh
    consistent = abs(relative_x - relative_y) <= MAX_ASPECT_ERROR * max(
        abs(relative_x), abs(relative_y)
    )
    if not consistent or is_central(matrix, size_wh):
        return None
    return round(2 * centre[0]), round(2 * centre[1])


def project(camera: Camera, points_camera: np.ndarray) -> np.ndarray:
    """Project points (..., N, 3) to pixels (..., N, 2); NaN behind or beyond the lens model."""
    check_shapes(points_camera=(points_camera, '... N 3'))
    points = np.asarray(points_camera, dtype=np.float64).reshape(-1, 3)
    visible, limit = points[:, 2] > 0.0, field_limit(camera)
    if limit < np.inf:
        with np.errstate(divide='ignore', invalid='ignore'):
            visible &= np.hypot(points[:, 0], points[:, 1]) / points[:, 2] <= limit
    if len(points) and visible.all():
        pixels = _project_visible(camera, points)
    else:
        pixels = np.full((len(points), 2), np.nan)
        if visible.any():
            pixels[visible] = _project_visible(camera, points[visible])
    return pixels.reshape(*np.shape(points_camera)[:-1], 2)


def field_limit(camera: Camera) -> float:
    """Return the tangent of the largest angle with a monotonic distortion; inf if unlimited.

    Beyond it a polynomial folds back and maps several angles to the same pixel.
    """
    if camera.model == PINHOLE:
        return np.inf
    tangents = np.linspace(0.0, MAX_TANGENT, TANGENT_SAMPLES)
    points = np.stack([tangents, np.zeros_like(tangents), np.ones_like(tangents)], axis=1)
    radial = Camera(camera.size_wh, np.eye(3), camera.model, _radial_part(camera))
    radius = _project_visible(radial, points)[:, 0]
    folds = np.flatnonzero(~(np.diff(radius) > 0.0))
    return float(tangents[folds[0]]) if len(folds) else np.inf


def _radial_part(camera: Camera) -> tuple[float, ...]:
    """Return the distortion coefficients without the tangential, prism and tilt terms."""
    if camera.model == EQUIDISTANT:
        return camera.distortion
    return tuple(
        value if index in (0, 1, 4, 5, 6, 7) else 0.0
        for index, value in enumerate(camera.distortion)
    )


def _project_visible(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Project points (N, 3), all in front of the camera, to pixels (N, 2)."""
    matrix, distortion = np.asarray(camera.matrix, np.float64), np.array(camera.distortion)
    if camera.model == PINHOLE:
        return np.stack(
            [
                points[:, axis] / points[:, 2] * matrix[axis, axis] + matrix[axis, 2]
                for axis in (0, 1)
            ],
            1,
        )
    zero = np.zeros(3)
    if camera.model == EQUIDISTANT:
        pixels, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, matrix, distortion)
    else:
        pixels, _ = cv2.projectPoints(points[:, None], zero, zero, matrix, distortion)
    return pixels.reshape(-1, 2)


def _raw_or_rectified_matrix(
    k: Numbers,
    d: Numbers,
    p: Numbers,
) -> tuple[np.ndarray, tuple[float, ...], str]:
    """Return K, D and the assumption made: if K is zero, P without distortion."""
    matrix = np.array(k, dtype=np.float64).reshape(-1)
    if matrix.size != 9:
        raise CameraError(f'camera matrix K has {matrix.size} values, expected 9')
    distortion = tuple(float(x) for x in np.asarray(d, dtype=np.float64).reshape(-1))
    if not matrix.any():
        rectified = np.array(p, dtype=np.float64).reshape(-1)
        if rectified.size != 12 or not rectified.any():
            raise CameraError('camera matrix K is zero and so is P: calibrate the camera')
        assumption = (
            'K is zero, so that P holds and the distortion is left out: right for rectified '
            'images alone'
            if any(distortion)
            else ''
        )
        return rectified.reshape(3, 4)[:, :3].copy(), (), assumption
    return matrix.reshape(3, 3), distortion, ''
