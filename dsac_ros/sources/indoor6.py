# SPDX-License-Identifier: Apache-2.0
"""Indoor-6 as it is published: images/*.color.jpg, .pose.txt, .intrinsics.txt, train_test_val.pkl.

Do et al., Learning to Detect Scene Landmarks for Camera Localization, CVPR 2022. A pose is 3x4,
camera from world; intrinsics are one line that begins with width, height, focal length and
principal point, counted from the corner of the first pixel as COLMAP does. What follows on that
line is not used by the authors' own reader and not read here. The pickle holds the names of the
images of each part; it is read without running what it may contain.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.calibration_files import CORNER, Calibration
from dsac_ros.sources.file_names import natural_order
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.poses import read_pose_file
from dsac_ros.sources.source import MADE_UP_STEP_NS, POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.text_files import quoted, read_text

IMAGES, PARTS = 'images', 'train_test_val.pkl'
IMAGE, POSE, INTRINSICS = '.color.jpg', '.pose.txt', '.intrinsics.txt'
MOST_BYTES = 100_000_000  # of the pickle: names of some thousand images are far fewer
# An array of numbers or names needs these, and nothing else is made.
HARMLESS = {
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
    *(
        (f'numpy.{core}.multiarray', name)
        for core in ('core', '_core')
        for name in ('_reconstruct', 'scalar')
    ),
    ('_codecs', 'encode'),
}


def is_indoor6(path: Path) -> bool:
    """Return True if a folder is a scene of the data set."""
    return (path / PARTS).is_file() and (path / IMAGES).is_dir()


def open_indoor6(path: Path, calibration: Calibration | None = None, part: str = '') -> FileSource:
    """The frames of a scene.

    Args:
        path: the folder of the scene.
        calibration: stands in the place of the intrinsics of each image.
        part: train, test or val; '' for the images of all.
    """
    source = FileSource(path, 'Indoor-6', [], has_stamps=False)
    if part:
        names: Sequence[str] = read_parts(path / PARTS, part)
    else:
        names = [one.name for one in natural_order((path / IMAGES).glob(f'*{IMAGE}'))]
        source.assume(
            f'all images of {path} are read, those of its test set too; `dsac benchmark indoor6` '
            'keeps them apart'
        )
    if not names:
        raise SourceError(f'{path / IMAGES} holds no images, expected files NAME{IMAGE}')
    for index, name in enumerate(names):
        image = path / IMAGES / name
        stem = image.with_name(name.removesuffix(IMAGE))
        pose = _pose(Path(f'{stem}{POSE}'))
        camera = calibration or _camera_of(Path(f'{stem}{INTRINSICS}'))
        files = FrameFiles(name, image, index * MADE_UP_STEP_NS, camera)
        source.files.append(files.posed(pose))
    return source


def _pose(file: Path) -> np.ndarray | LeftOut:
    """The pose world_from_camera (4, 4) of a file of camera_from_world, or why there is none."""
    found = read_pose_file(file) if file.is_file() else 'no pose file'
    if isinstance(found, str):
        return LeftOut(found, str(file), POSES_ELSEWHERE)
    return np.linalg.inv(found)


def _camera_of(file: Path) -> Calibration:
    """The camera of an image, read when the image is."""

    def camera_of(size_wh: tuple[int, int]) -> Any:
        try:
            line = read_text(file).strip()
        except SourceError as error:
            raise CameraError(str(error)) from None
        try:
            width, height, focal, cx, cy = (float(word) for word in line.split()[:5])
            k = (focal, 0, cx - CORNER, 0, focal, cy - CORNER, 0, 0, 1)
            return camera_from_info((int(width), int(height)), k)
        except (ValueError, OverflowError):
            raise CameraError(
                f'{file}: {quoted(line)} is no camera, expected width, height, focal length, cx '
                'and cy'
            ) from None
        except CameraError as error:
            raise CameraError(f'{file}: {error}') from None

    return camera_of


class _Names(pickle.Unpickler):
    """Reads lists, dictionaries, text, numbers and arrays of them, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}')
        return super().find_class(module, name)


def read_parts(path: Path, part: str) -> list[str]:
    """The names of the images of a part."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ValueError(f'{size} bytes')
        parts = _Names(io.BytesIO(path.read_bytes())).load()
        names = [str(name) for name in parts[part]]
    except Exception as error:  # a damaged pickle raises whatever it meets
        told = ' '.join(str(error).split())
        raise SourceError(
            f'{path} cannot be read as the parts of Indoor-6 ({quoted(told)}), expected a pickle '
            'of lists of names under train, test and val'
        ) from None
    wrong = next((one for one in names if Path(one).name != one or not one.endswith(IMAGE)), None)
    if wrong is not None:
        raise SourceError(f'{path}: {quoted(wrong)} is no image, expected names NAME{IMAGE}')
    return names
