# SPDX-License-Identifier: Apache-2.0
"""Intrinsics as files: a focal length, a 3x3 matrix, or the YAML of ROS's calibrator."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.types import Camera

Calibration = Callable[[tuple[int, int]], Camera]
NAMES_BESIDE = ('camera_info.yaml', 'camera.yaml', 'calibration.yaml', 'ost.yaml',
                'calibration.txt', 'intrinsics.txt', 'focal.txt')
# Half a pixel: DSAC*, ACE and COLMAP count from the corner of the first pixel, not its centre.
CORNER = 0.5


def calibration_from_focal(focal: float) -> Calibration:
    """A pinhole with the principal point in the centre of whatever image comes."""
    def camera_of(size_wh: tuple[int, int]) -> Camera:
        width, height = size_wh
        return camera_from_info(size_wh, (focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2,
                                          0, 0, 1))
    return camera_of


def calibration_from_matrix(matrix: np.ndarray, model: str = '',
                            distortion: tuple[float, ...] = ()) -> Calibration:
    """A camera with this K (3, 3), whose pixels are counted from the corner of the first one."""
    centred = np.array(matrix, dtype=np.float64)
    centred[:2, 2] -= CORNER
    return lambda size_wh: camera_from_info(size_wh, centred.reshape(-1), distortion, model=model)


def read_calibration(path: Path, model: str = '',
                     distortion: tuple[float, ...] = ()) -> Calibration:
    """The calibration in a file: one number, 3x3 numbers (corner pixels), or ROS's YAML."""
    if path.suffix.lower() in ('.yaml', '.yml'):
        camera = read_camera_yaml(path)
        return lambda size_wh: camera
    try:
        numbers = np.array(path.read_text().replace(',', ' ').split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise CameraError(f'{path} cannot be read as a calibration: {error}') from None
    if numbers.size == 1:
        return _named(path, calibration_from_focal(float(numbers[0])))
    if numbers.size == 9:
        return _named(path, calibration_from_matrix(numbers.reshape(3, 3), model, distortion))
    raise CameraError(f'{path} holds {numbers.size} numbers, expected a focal length (1) or a '
                      '3x3 camera matrix (9)')


def _named(path: Path, calibration: Calibration) -> Calibration:
    """The same calibration, whose errors name the file."""
    def camera_of(size_wh: tuple[int, int]) -> Camera:
        try:
            return calibration(size_wh)
        except CameraError as error:
            raise CameraError(f'{path}: {error}') from None
    return camera_of


def read_camera_yaml(path: Path) -> Camera:
    """The camera in a YAML of ROS's camera_calibration (image_width, camera_matrix ...)."""
    try:
        values = yaml.safe_load(path.read_text())
        matrix = _numbers(values['camera_matrix'])
        return camera_from_info((int(values['image_width']), int(values['image_height'])), matrix,
                                _numbers(values.get('distortion_coefficients', [])),
                                _numbers(values.get('projection_matrix', [])),
                                str(values.get('distortion_model') or ''))
    except CameraError as error:
        raise CameraError(f'{path}: {error}') from None
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = ' '.join(str(error).split())
        raise CameraError(f'{path} is not a camera calibration ({type(error).__name__}: {reason}),'
                          ' expected image_width, image_height, camera_matrix, distortion_model, '
                          'distortion_coefficients') from None


def camera_yaml(camera: Camera) -> dict[str, object]:
    """The keys of ROS's calibration YAML for a camera."""
    return {'image_width': int(camera.size_wh[0]), 'image_height': int(camera.size_wh[1]),
            'camera_matrix': [float(x) for x in camera.matrix.reshape(-1)],
            'distortion_model': camera.model,
            'distortion_coefficients': [float(x) for x in camera.distortion]}


def corner_matrix_text(camera: Camera) -> str:
    """K as the text of a calibration file, its pixels counted from the corner."""
    matrix = np.array(camera.matrix, dtype=np.float64)
    matrix[:2, 2] += CORNER
    return '\n'.join(' '.join(f'{x:.9f}' for x in row) for row in matrix) + '\n'


def find_calibration(folder: Path, stem: str = '') -> Calibration | None:
    """The calibration that lies in a folder of images, if one does."""
    names = ([f'{stem}.txt', f'{stem}.yaml'] if stem else []) + list(NAMES_BESIDE)
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    return read_calibration(path) if path else None


def _numbers(value: object) -> list[float]:
    """The numbers of a list, or of the `data` of a matrix as OpenCV writes it."""
    data = value['data'] if isinstance(value, dict) else value
    return [float(x) for x in np.asarray(data, dtype=np.float64).reshape(-1)]
