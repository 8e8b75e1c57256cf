# SPDX-License-Identifier: Apache-2.0
"""A COLMAP model with its images: cameras and images, as text or binary.

Format: https://colmap.github.io/format.html. COLMAP stores camera_from_world with a quaternion
w x y z and counts pixels from the corner of the first one; both are converted here. The scale is
the model's own.
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.calibration_files import CORNER, Calibration
from dsac_ros.sources.poses import poses_from_rows, rigid_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, FileSource, FrameFiles
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL_POLYNOMIAL, Camera

# name: parameters, how many of them are focal lengths, our model; in the order of COLMAP's ids
MODELS = {'SIMPLE_PINHOLE': (3, 1, PINHOLE), 'PINHOLE': (4, 2, PINHOLE),
          'SIMPLE_RADIAL': (4, 1, PLUMB_BOB), 'RADIAL': (5, 1, PLUMB_BOB),
          'OPENCV': (8, 2, PLUMB_BOB), 'OPENCV_FISHEYE': (8, 2, EQUIDISTANT),
          'FULL_OPENCV': (12, 2, RATIONAL_POLYNOMIAL)}
MODEL_IDS = tuple(MODELS)


@dataclass(frozen=True)
class ColmapImage:
    """A registered image: camera_from_world as w x y z and translation."""

    name: str
    camera_id: int
    quaternion_wxyz: tuple[float, ...]
    translation: tuple[float, ...]


def find_model(path: Path) -> Path | None:
    """The folder of the model that a path stands for: itself, sparse/ or sparse/0."""
    if not path.is_dir():
        return None
    for folder in (path, path / 'sparse' / '0', path / 'sparse'):
        if any((folder / f'cameras{suffix}').is_file() for suffix in ('.txt', '.bin')):
            return folder
    return None


def open_colmap(path: Path, calibration: Calibration | None = None) -> FileSource:
    """The registered images of a model, in the order of their names.

    A calibration stands in the place of the model's cameras.
    """
    model = find_model(path)
    if model is None:
        raise SourceError(f'{path} holds no COLMAP model, expected cameras.txt or cameras.bin')
    binary = (model / 'cameras.bin').is_file()
    suffix = '.bin' if binary else '.txt'
    readers: tuple[Callable, Callable] = ((_binary_cameras, _binary_images) if binary
                                          else (_text_cameras, _text_images))
    cameras = dict(_guarded(readers[0], model / f'cameras{suffix}'))
    images = sorted(_guarded(readers[1], model / f'images{suffix}'), key=lambda one: one.name)
    if not images:
        raise SourceError(f'{model} has no registered images')
    folder = _image_folder(path, model, images[0].name)
    files = []
    for index, image in enumerate(images):
        if image.camera_id not in cameras:
            raise SourceError(f'{model}: image {image.name} is of camera {image.camera_id}, which '
                              'the model does not have')
        camera, pose = cameras[image.camera_id], _world_from_camera(image)
        found = isinstance(pose, np.ndarray)
        files.append(FrameFiles(image.name, folder / image.name, index * MADE_UP_STEP_NS,
                                calibration or (lambda size_wh, camera=camera: camera), None,
                                pose if found else None, '' if found else pose))
    return FileSource(path, 'COLMAP model', files, has_stamps=False)


def _world_from_camera(image: ColmapImage) -> np.ndarray | str:
    w, x, y, z = image.quaternion_wxyz
    pose = rigid_pose(poses_from_rows(np.array([[*image.translation, x, y, z, w]]))[0])
    return pose if isinstance(pose, str) else np.linalg.inv(pose)


def _image_folder(path: Path, model: Path, name: str) -> Path:
    """The folder in which the model's image names are found."""
    places = [path / 'images', path, model / 'images', model.parent / 'images',
              model.parent.parent / 'images']
    folder = next((place for place in places if (place / name).is_file()), None)
    if folder is None:
        raise SourceError(f'{path}: the image {name} of the model was not found, expected it in '
                          f'{path / "images"}')
    return folder


def _guarded(read: Callable, path: Path) -> list:
    """The items of a file; one line when it is missing or malformed."""
    try:
        return list(read(path))
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise SourceError(f'{path} cannot be read as a part of a COLMAP model: {error}') from None


def _camera(path: Path, model: str, size_wh: tuple[int, int], values: list[float]) -> Camera:
    """A camera of ours from COLMAP's parameters: focal lengths, centre, distortion."""
    if model not in MODELS:
        raise CameraError(f'{path}: unknown camera model {model}, expected one of '
                          f'{", ".join(MODELS)}: undistort with COLMAP first')
    count, focals, ours = MODELS[model]
    if len(values) != count:
        raise ValueError(f'{model} has {len(values)} parameters, expected {count}')
    fx, fy = values[0], values[focals - 1]
    cx, cy = (value - CORNER for value in values[focals:focals + 2])
    distortion = values[focals + 2:]
    if ours == PLUMB_BOB:
        distortion = distortion + [0.0] * (5 - len(distortion))
    return camera_from_info(size_wh, (fx, 0, cx, 0, fy, cy, 0, 0, 1), distortion, model=ours)


def _text_cameras(path: Path) -> Iterator[tuple[int, Camera]]:
    for line in path.read_text().splitlines():
        words = line.split()
        if words and not words[0].startswith('#'):
            yield int(words[0]), _camera(path, words[1], (int(words[2]), int(words[3])),
                                         [float(word) for word in words[4:]])


def _text_images(path: Path) -> Iterator[ColmapImage]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith('#')]
    # Every second line lists the image's points; it may be empty, but it is there.
    for line in lines[::2]:
        if line.strip():
            words = line.split(maxsplit=9)
            numbers = tuple(float(word) for word in words[1:8])
            yield ColmapImage(words[9].strip(), int(words[8]), numbers[:4], numbers[4:])


def _binary_cameras(path: Path) -> Iterator[tuple[int, Camera]]:
    data = path.read_bytes()
    (count,), at = struct.unpack_from('<Q', data), 8
    for _ in range(count):
        number, model_id, width, height = struct.unpack_from('<iiQQ', data, at)
        name = MODEL_IDS[model_id] if model_id < len(MODEL_IDS) else f'with the id {model_id}'
        parameters = MODELS[name][0] if name in MODELS else 0
        values = list(struct.unpack_from(f'<{parameters}d', data, at + 24))
        yield number, _camera(path, name, (width, height), values)
        at += 24 + 8 * parameters


def _binary_images(path: Path) -> Iterator[ColmapImage]:
    data = path.read_bytes()
    (count,), at = struct.unpack_from('<Q', data), 8
    for _ in range(count):
        _, *numbers, camera_id = struct.unpack_from('<i7di', data, at)
        end = data.index(b'\0', at + 64)
        yield ColmapImage(data[at + 64:end].decode(), camera_id, tuple(numbers[:4]),
                          tuple(numbers[4:]))
        (points,) = struct.unpack_from('<Q', data, end + 1)
        at = end + 9 + 24 * points
