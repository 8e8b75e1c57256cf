# SPDX-License-Identifier: Apache-2.0
"""7-Scenes as it is published: seq-01/frame-000000.color.png, .pose.txt, .depth.png.

Shotton et al., Scene Coordinate Regression Forests, CVPR 2013. The depth of the raw data is that
of another camera (f 585) and not registered to the colour image (f 525), so it is not offered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.sources.calibration_files import (
    Calibration,
    calibration_from_focal,
    find_calibration,
)
from dsac_ros.sources.file_names import natural_order, some_names
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.image_files import is_image_file
from dsac_ros.sources.poses import read_pose_file
from dsac_ros.sources.source import POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.text_files import quoted, read_text

COLOUR_FOCAL_PX = 525.0
RATE_NS = 33_333_333
PATTERN = 'frame-*.color.*'
SEQUENCE = re.compile(r'(?:seq(?:uence)?)?[-_ ]?([0-9]{1,4})')


def is_seven_scenes(path: Path) -> bool:
    """Return True if a path is a sequence, a scene of sequences, or a split file of a scene."""
    if path.is_file():
        return path.name in ('TrainSplit.txt', 'TestSplit.txt')
    return any(path.glob(PATTERN)) or any(path.glob(f'seq-*/{PATTERN}'))


def open_seven_scenes(path: Path, calibration: Calibration | None = None) -> FileSource:
    """The frames of a sequence folder, or of the sequences that a split file names."""
    folder = path if path.is_dir() else path.parent
    calibration = calibration or find_calibration(folder)
    camera_of = calibration or published_calibration()
    source = FileSource(path, '7-Scenes', [], has_stamps=False)
    for sequence in _sequences(path):
        images = _images(sequence)
        twin = next(
            (pair for pair in zip(images, images[1:]) if _frame(pair[0]) == _frame(pair[1])), None
        )
        if twin:
            raise SourceError(
                f'{sequence} holds {some_names(twin)}, expected one colour image for each frame'
            )
        for image in images:
            pose = _pose(image.with_name(f'{_frame(image)}.pose.txt'))
            name, stamp = f'{sequence.name}/{_frame(image)}', len(source.files) * RATE_NS
            source.files.append(FrameFiles(name, image, stamp, camera_of).posed(pose))
        _tell_spare_poses(source, sequence, images)
    if not source.files:
        raise SourceError(
            f'{path} names no frames, expected frame-000000.color.png and so on in the sequences'
        )
    if calibration is None:
        source.assume(
            f'{path} is of the data set 7-Scenes, whose colour images have a focal '
            f'length of {COLOUR_FOCAL_PX:g} px; for images of another camera give '
            '--focal or --camera-info'
        )
    return source


def published_calibration() -> Calibration:
    """The colour camera of the data set, the principal point in the middle of 640x480."""
    camera = calibration_from_focal(COLOUR_FOCAL_PX)((640, 480))
    return lambda size_wh: camera


def _images(sequence: Path) -> list[Path]:
    """The colour images of a sequence in natural order."""
    return natural_order(path for path in sequence.glob(PATTERN) if is_image_file(path))


def _frame(image: Path) -> str:
    """The name of a frame, such as frame-000000."""
    return image.name.split('.')[0]


def _tell_spare_poses(source: FileSource, sequence: Path, images: Sequence[Path]) -> None:
    """Tell the pose files of a sequence that have no image."""
    frames = {_frame(image) for image in images}
    spare = natural_order(
        path for path in sequence.glob('frame-*.pose.txt') if _frame(path) not in frames
    )
    if spare:
        source.unread.add(
            f'{len(spare)} pose files of {sequence}, which are of no image: {some_names(spare)}'
        )


def _pose(path: Path) -> np.ndarray | LeftOut:
    """The pose in a file, or why there is none."""
    if not path.is_file():
        return LeftOut('no pose file', str(path), POSES_ELSEWHERE)
    pose = read_pose_file(path)
    return LeftOut(pose, str(path)) if isinstance(pose, str) else pose


def _sequences(path: Path) -> list[Path]:
    """The sequence folders that a path stands for."""
    if path.is_file():
        return _split(path)
    if any(path.glob(PATTERN)):
        return [path]
    names = [folder.name for folder in natural_order(path.glob('seq-*')) if folder.is_dir()]
    if len(names) == 1:
        return [path / names[0]]
    splits = [name for name in ('TrainSplit.txt', 'TestSplit.txt') if (path / name).is_file()]
    raise SourceError(
        f'{path} holds the sequences {", ".join(names)}: name one'
        + (f', or {" or ".join(str(path / s) for s in splits)}' if splits else '')
    )


def _split(path: Path) -> list[Path]:
    """The sequence folders that a split file names, such as sequence1 for seq-01."""
    named = []
    for line in filter(str.strip, read_text(path).splitlines()):
        number = SEQUENCE.fullmatch(line.strip())
        if number is None:
            raise SourceError(
                f'{path}: {quoted(line)} names no sequence, expected sequence1 and '
                'so on, one a line'
            )
        named.append(path.parent / f'seq-{int(number[1]):02d}')
    missing = [folder for folder in named if not folder.is_dir()]
    if missing:
        raise SourceError(
            f'{path} names {missing[0].name}, but there is no folder '
            f'{missing[0]}: unpack it there, or name one sequence alone'
        )
    return named
