# SPDX-License-Identifier: Apache-2.0
"""7-Scenes as it is published: seq-01/frame-000000.color.png, .pose.txt, .depth.png.

Shotton et al., Scene Coordinate Regression Forests, CVPR 2013. The depth of the raw data is that
of another camera (f 585) and not registered to the colour image (f 525), so it is not offered.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.sources.calibration_files import Calibration, calibration_from_focal
from dsac_ros.sources.poses import read_pose_file
from dsac_ros.sources.source import FileSource, FrameFiles

COLOUR_FOCAL_PX = 525.0
RATE_NS = 33_333_333
PATTERN = 'frame-*.color.*'


def is_seven_scenes(path: Path) -> bool:
    """Whether a path is a sequence, a scene of sequences, or a split file of a scene."""
    if path.is_file():
        return path.name in ('TrainSplit.txt', 'TestSplit.txt')
    return any(path.glob(PATTERN)) or any(path.glob(f'seq-*/{PATTERN}'))


def open_seven_scenes(path: Path, calibration: Calibration | None = None) -> FileSource:
    """The frames of a sequence folder, or of the sequences that a split file names."""
    camera_of = calibration or calibration_from_focal(COLOUR_FOCAL_PX)
    files: list[FrameFiles] = []
    for sequence in _sequences(path):
        for image in sorted(sequence.glob(PATTERN)):
            index = image.name.split('.')[0]
            pose = _pose(image.with_name(f'{index}.pose.txt'))
            found = isinstance(pose, np.ndarray)
            files.append(FrameFiles(f'{sequence.name}/{index}', image, len(files) * RATE_NS,
                                    camera_of, None, pose if found else None,
                                    '' if found else pose))
    if not files:
        raise SourceError(f'{path} names no frames, expected frame-000000.color.png and so on in '
                          'the sequences')
    source = FileSource(path, '7-Scenes', files, has_stamps=False)
    if calibration is None:
        source.assume(f'{path} is of the data set 7-Scenes, whose colour images have a focal '
                      f'length of {COLOUR_FOCAL_PX:g} px; for images of another camera give '
                      '--focal or --camera-info')
    return source


def _pose(path: Path) -> np.ndarray | str:
    return read_pose_file(path) if path.is_file() else 'no pose file'


def _sequences(path: Path) -> list[Path]:
    """The sequence folders that a path stands for."""
    if path.is_file():
        numbers = [int(''.join(c for c in line if c.isdigit()))
                   for line in path.read_text().split() if any(c.isdigit() for c in line)]
        named = [path.parent / f'seq-{number:02d}' for number in numbers]
        missing = [folder for folder in named if not folder.is_dir()]
        if missing:
            raise SourceError(f'{path} names {missing[0].name}, but there is no folder '
                              f'{missing[0]}: unpack it there, or name one sequence alone')
        return named
    if any(path.glob(PATTERN)):
        return [path]
    names = sorted(folder.name for folder in path.glob('seq-*') if folder.is_dir())
    if len(names) == 1:
        return [path / names[0]]
    splits = [name for name in ('TrainSplit.txt', 'TestSplit.txt') if (path / name).is_file()]
    raise SourceError(f'{path} holds the sequences {", ".join(names)}: name one'
                      + (f', or {" or ".join(str(path / s) for s in splits)}' if splits else ''))
