# SPDX-License-Identifier: Apache-2.0
"""Intrinsics as files: a focal length, a matrix, or a document of a calibration tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import yaml

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.camera import camera_from_info, middle_of_another_size
from dsac_ros.sources.calibration_documents import (
    ini_document,
    is_ini,
    xml_document,
    yaml_documents,
)
from dsac_ros.sources.calibration_layouts import (
    EXPECTED,
    Intrinsics,
    NamedCamera,
    cameras_in,
    is_same_camera_info,
)
from dsac_ros.sources.text_files import read_text
from dsac_ros.sources.topic_names import base_topic, is_rectified
from dsac_ros.types import EQUIDISTANT, Camera

Calibration = Callable[[tuple[int, int]], Camera]
NAMES_BESIDE = (
    'camera_info.yaml',
    'camera.yaml',
    'calibration.yaml',
    'ost.yaml',
    'sensor.yaml',
    'intrinsics.yaml',
    'calibration.txt',
    'intrinsics.txt',
    'ost.txt',
    'focal.txt',
)
DOCUMENT_SUFFIXES = ('.yaml', '.yml', '.xml', '.json')
MATRIX_SHAPES = {9: (3, 3), 12: (3, 4), 16: (4, 4)}
# Half a pixel: DSAC*, ACE and COLMAP count from the corner of the first pixel, not its centre.
CORNER = 0.5


def calibration_from_focal(focal: float) -> Calibration:
    """A pinhole with the principal point in the centre of images of one size, either way up."""

    def camera_of(size_wh: tuple[int, int]) -> Camera:
        width, height = size_wh
        return camera_from_info(
            size_wh, (focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1)
        )

    return of_one_size(camera_of, f'a focal length of {focal:g} px', turned=True)


def calibration_from_matrix(
    matrix: np.ndarray,
    model: str = '',
    distortion: tuple[float, ...] = (),
    whole: bool = True,
) -> Calibration:
    """A camera with this K (3, 3), whose pixels are counted from the corner of the first one.

    It holds for images of one size; `whole` ones have their principal point near the middle.
    """
    centred = np.array(matrix, dtype=np.float64)
    centred[:2, 2] -= CORNER
    lens = Intrinsics(
        None, list(centred.reshape(-1)), list(distortion), [], model, fisheye=model == EQUIDISTANT
    )
    return of_one_size(
        partial(lens.camera, rectified=False), 'a camera matrix without an image size', whole=whole
    )


def read_calibration(
    path: Path,
    model: str = '',
    distortion: tuple[float, ...] = (),
    *,
    topic: str = '',
    name: str = '',
    whole: bool = True,
) -> Calibration:
    """The calibration in a file.

    Args:
        path: one number (focal length), a matrix of 3x3 (or 3x4, 4x4) numbers that counts pixels
            from the corner, or what `calibration_layouts` knows as YAML, XML or ini.
        model: lens of a matrix.
        distortion: its coefficients.
        topic: image topic, which tells the cameras of a Kalibr file apart and rectified images
            from raw ones.
        name: the camera of a file with several.
        whole: the images are not parts of larger ones, whose principal point is elsewhere.
    """
    try:
        text = read_text(path)
        if path.suffix.lower() in DOCUMENT_SUFFIXES or is_ini(text):
            return _calibration_from_document(path, text, topic, name)
        numbers = np.array(text.replace(',', ' ').split(), dtype=np.float64)
    except SourceError as error:
        raise CameraError(str(error)) from None
    except ValueError as error:
        raise CameraError(f'{path} cannot be read as a calibration: {error}') from None
    if numbers.size == 1:
        return naming_file(path, calibration_from_focal(float(numbers[0])))
    if numbers.size in MATRIX_SHAPES:
        matrix = numbers.reshape(MATRIX_SHAPES[numbers.size])[:3, :3]
        return naming_file(path, calibration_from_matrix(matrix, model, distortion, whole))
    raise CameraError(
        f'{path} holds {numbers.size} numbers, expected a focal length (1) or a '
        '3x3 camera matrix (9)'
    )


def named_calibration(text: str) -> tuple[Path, str] | None:
    """The file that a command line names, and its camera in FILE:CAMERA; None for no file."""
    if Path(text).is_file():
        return Path(text), ''
    file, _, name = text.rpartition(':')
    return (Path(file), name) if file and Path(file).is_file() else None


def _calibration_from_document(path: Path, text: str, topic: str, name: str) -> Calibration:
    """The calibration in YAML, XML or ini; CameraError names the file."""
    try:
        found, left_out = _camera_in(path, text, topic, name)
        rectified = is_rectified(topic)

        def camera_of(size_wh: tuple[int, int] | None) -> Camera:
            camera = found.camera(size_wh, rectified)
            return replace(camera, assumptions=left_out + camera.assumptions)

        if found.has_size:
            camera_of(None)  # what is wrong with it is told before the first image
            return naming_file(path, camera_of)
        return naming_file(path, of_one_size(camera_of, 'a calibration without an image size'))
    except CameraError as error:
        raise CameraError(f'{path}: {error}') from None
    except (
        ElementTree.ParseError,
        yaml.YAMLError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = ' '.join(str(error).split())
        raise CameraError(
            f'{path} is not a camera calibration ({type(error).__name__}: {reason}), {EXPECTED}'
        ) from None


def _camera_in(
    path: Path,
    text: str,
    topic: str,
    name: str,
) -> tuple[NamedCamera, tuple[str, ...]]:
    """The camera of a document, and what of the file is not read."""
    unread = 0
    if text.lstrip().startswith('<'):
        documents = [xml_document(text)]
    elif is_ini(text):
        documents = [ini_document(text)]
    else:
        documents, unread = yaml_documents(text)
    if not documents:
        raise ValueError('it holds no keys')
    if any(not is_same_camera_info(documents[0], other) for other in documents[1:]):
        raise CameraError(
            f'holds {len(documents)} calibrations that differ, expected one: keep '
            'the one that holds'
        )
    cameras = cameras_in(documents[0])
    if not cameras:
        raise ValueError(f'it has the keys {", ".join(map(str, list(documents[0])[:8]))}')
    told = (f'{unread} documents of {path} cannot be read and were left out',) if unread else ()
    return _chosen(path, cameras, topic, name), told


def _chosen(path: Path, cameras: list[NamedCamera], topic: str, name: str) -> NamedCamera:
    """The camera by its name, by its topic, or because it is the only one."""
    image = base_topic(topic)
    found = [
        one
        for one in cameras
        if (
            one.name == name
            if name
            else len(cameras) == 1 or (image and base_topic(one.topic) == image)
        )
    ]
    if len(found) == 1:
        return found[0]
    listing = ', '.join(
        f'{one.name} ({one.topic})' if one.topic else one.name or 'one' for one in cameras
    )
    if name:
        raise CameraError(f'has no camera {name!r}, its cameras are: {listing}')
    raise CameraError(
        f'holds the cameras {listing}, expected one to be named: --camera-info '
        f'{path}:{cameras[0].name}'
    )


def of_one_size(
    calibration: Calibration, what: str, *, turned: bool = False, whole: bool = True
) -> Calibration:
    """The same calibration, which does not say its size, for that of the first image alone.

    turned: images may also be the other way up; whole: they are not parts of larger ones.
    """
    sizes: list[tuple[int, int]] = []

    def camera_of(size_wh: tuple[int, int]) -> Camera:
        if not sizes:
            sizes.append(size_wh)
        first = sizes[0]
        if size_wh != first and not (turned and size_wh[::-1] == first):
            raise CameraError(
                f'{what} cannot hold for images of {first[0]}x{first[1]} and of '
                f'{size_wh[0]}x{size_wh[1]}, expected one size: give a calibration '
                'file with image_width and image_height, or one for each size'
            )
        camera = calibration(size_wh)
        if whole:
            _check_belongs(camera, what)
        return camera

    return camera_of


def _check_belongs(camera: Camera, what: str) -> None:
    """Refuse a principal point that lies where images of another size have their middle."""
    other = middle_of_another_size(camera.matrix, camera.size_wh)
    if other is not None:
        (width, height), centre = camera.size_wh, np.asarray(camera.matrix)[:2, 2] + CORNER
        raise CameraError(
            f'{what} has the principal point ({centre[0]:g}, {centre[1]:g}), which '
            f'is the middle of about {other[0]}x{other[1]}, but the images are '
            f'{width}x{height}: give a calibration of this size, or one with '
            'image_width and image_height'
        )


def naming_file(path: Path | str, calibration: Calibration) -> Calibration:
    """The same calibration, whose errors name the file."""

    def camera_of(size_wh: tuple[int, int]) -> Camera:
        try:
            return calibration(size_wh)
        except CameraError as error:
            raise CameraError(f'{path}: {error}') from None

    return camera_of


def camera_yaml(camera: Camera) -> dict[str, object]:
    """The keys of ROS's calibration YAML for a camera."""
    return {
        'image_width': int(camera.size_wh[0]),
        'image_height': int(camera.size_wh[1]),
        'camera_matrix': [float(x) for x in camera.matrix.reshape(-1)],
        'distortion_model': camera.model,
        'distortion_coefficients': [float(x) for x in camera.distortion],
    }


def corner_matrix_text(camera: Camera) -> str:
    """K as the text of a calibration file, its pixels counted from the corner."""
    matrix = np.array(camera.matrix, dtype=np.float64)
    matrix[:2, 2] += CORNER
    return '\n'.join(' '.join(f'{x:.9f}' for x in row) for row in matrix) + '\n'


def find_calibration(
    folder: Path,
    stem: str = '',
    read: Callable[[Path], Calibration] = read_calibration,
) -> Calibration | None:
    """The calibration that lies in a folder of images, if one does."""
    names = ([f'{stem}.txt', f'{stem}.yaml'] if stem else []) + list(NAMES_BESIDE)
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    return read(path) if path else None
