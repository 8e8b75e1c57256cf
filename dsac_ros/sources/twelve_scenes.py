# SPDX-License-Identifier: Apache-2.0
"""12-Scenes as it is published: data/frame-000000.color.jpg and .pose.txt, info.txt, split.txt.

Valentin et al., Learning to Navigate the Energy Landscape, 3DV 2016. Poses are 4x4, world from
camera; those that the reconstruction lost are infinite. The first sequence of split.txt is the
test set, all others are training frames. Depth has another resolution and shape than the colour
images and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.file_names import natural_order
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.image_files import is_image_file
from dsac_ros.sources.poses import read_pose_file
from dsac_ros.sources.source import MADE_UP_STEP_NS, POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.text_files import quoted, read_text

DATA, INFO, SPLIT = 'data', 'info.txt', 'split.txt'
PATTERN = 'frame-*.color.*'
WIDTH, HEIGHT, MATRIX = 'm_colorWidth', 'm_colorHeight', 'm_calibrationColorIntrinsic'
SEQUENCE = re.compile(r'\[ *frames *= *([0-9]{1,7}) *\]')
TEST, TRAIN = 'test', 'train'


def is_twelve_scenes(path: Path) -> bool:
    """Return True if a folder is a scene of the data set."""
    return (path / INFO).is_file() and (path / DATA).is_dir() and any(_images(path))


def open_twelve_scenes(
    path: Path, calibration: Calibration | None = None, part: str = ''
) -> FileSource:
    """The frames of a scene.

    Args:
        path: the folder of the scene.
        calibration: stands in the place of info.txt.
        part: test for the first sequence of split.txt, train for the others; '' for all frames.
    """
    images = _images(path)
    if not images:
        raise SourceError(f'{path / DATA} holds no frames, expected frame-000000.color.jpg')
    camera = calibration or _camera(path / INFO)
    source = FileSource(path, '12-Scenes', [], has_stamps=False)
    if part:
        count = test_count(path / SPLIT, len(images))
        images = images[:count] if part == TEST else images[count:]
    elif (path / SPLIT).is_file():
        source.assume(
            f'all frames of {path} are read, those of its test set too; `dsac benchmark '
            '12scenes` keeps them apart'
        )
    for index, image in enumerate(images):
        frame = image.name.split('.')[0]
        pose = _pose(image.with_name(f'{frame}.pose.txt'))
        files = FrameFiles(f'{DATA}/{frame}', image, index * MADE_UP_STEP_NS, camera)
        source.files.append(files.posed(pose))
    if any((path / DATA).glob('frame-*.depth.*')):
        source.unread.add(f'the depth in {path / DATA}, which has another shape than the images')
    return source


def test_count(path: Path, images: int) -> int:
    """The number of test frames, those of the first sequence that split.txt lists."""
    lines = read_text(path).splitlines()
    found = SEQUENCE.search(lines[0]) if lines else None
    if found is None or not 0 < int(found[1]) < images:
        raise SourceError(
            f'{path}: {quoted(lines[0] if lines else "")} says no number of frames below the '
            f'{images} of the scene, expected sequence0 [frames=...]'
        )
    return int(found[1])


def _pose(file: Path) -> np.ndarray | LeftOut:
    """The pose in a file, or why there is none."""
    pose = read_pose_file(file) if file.is_file() else 'no pose file'
    return LeftOut(pose, str(file), POSES_ELSEWHERE) if isinstance(pose, str) else pose


def _images(path: Path) -> Sequence[Path]:
    """The colour images of a scene in natural order."""
    return natural_order(one for one in (path / DATA).glob(PATTERN) if is_image_file(one))


def _camera(path: Path) -> Calibration:
    """The colour camera of info.txt: lines of a name, = and numbers."""
    values = {}
    for line in read_text(path).splitlines():
        name, _, numbers = line.partition('=')
        values[name.strip()] = numbers.split()
    try:
        width, height = (int(values[key][0]) for key in (WIDTH, HEIGHT))
        matrix = [float(word) for word in values[MATRIX]]
        fx, cx, fy, cy = (matrix[index] for index in (0, 2, 5, 6))  # of a 4x4, row by row
    except (KeyError, IndexError, ValueError, OverflowError):
        raise CameraError(
            f'{path} has no intrinsics, expected {WIDTH}, {HEIGHT} and {MATRIX} = 4x4 numbers'
        ) from None
    try:
        camera = camera_from_info((width, height), (fx, 0, cx, 0, fy, cy, 0, 0, 1))
    except CameraError as error:
        raise CameraError(f'{path}: {error}') from None
    return lambda size_wh: camera
