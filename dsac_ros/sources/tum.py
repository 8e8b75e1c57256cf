# SPDX-License-Identifier: Apache-2.0
"""TUM's formats: a trajectory `t x y z qx qy qz qw`, and the RGB-D folder.

Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.calibration_files import Calibration, find_calibration
from dsac_ros.sources.image_files import read_depth, write_whole
from dsac_ros.sources.poses import poses_from_rows, row_from_pose
from dsac_ros.sources.source import MAX_GAP_NS, FileSource, FrameFiles, with_trajectory

DEPTH_UNITS_PER_METRE = 5000.0
MAX_DEPTH_OFFSET_NS = 20_000_000
# fx fy cx cy and distortion, published with the data set; the last one is its default.
SEQUENCES = {
    'freiburg1': (517.3, 516.5, 318.6, 255.3, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    'freiburg2': (520.9, 521.0, 325.1, 249.7, (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    'freiburg3': (535.4, 539.2, 320.1, 247.6, ()),
    '': (525.0, 525.0, 319.5, 239.5, ()),
}


def read_tum(path: Path | str) -> Trajectory:
    """The trajectory in a file of lines `t x y z qx qy qz qw`, t in seconds."""
    stamps, rows = [], []
    for number, words in _lines(Path(path)):
        try:
            values = [float(word) for word in words[1:8]]
            if len(words) != 8:
                raise ValueError
            stamps.append(nanoseconds(words[0]))
        except (ValueError, InvalidOperation, OverflowError):
            raise SourceError(f'{path}, line {number}: {" ".join(words)!r} is not a pose, '
                              'expected 8 numbers: t x y z qx qy qz qw') from None
        rows.append(values)
    if not rows:
        raise SourceError(f'{path} holds no poses, expected lines of t x y z qx qy qz qw')
    return Trajectory(np.array(stamps, dtype=np.int64), poses_from_rows(np.array(rows)))


def write_tum(path: Path | str, stamps_ns: Sequence[int], poses: Sequence[np.ndarray]) -> None:
    """Write poses (4, 4) at their stamps, nanoseconds kept."""
    lines = ['# t x y z qx qy qz qw']
    for stamp, pose in zip(stamps_ns, poses, strict=True):
        seconds, rest = divmod(int(stamp), 1_000_000_000)
        lines.append(f'{seconds}.{rest:09d} ' + ' '.join(f'{x:.9f}' for x in row_from_pose(pose)))
    write_whole(Path(path), '\n'.join(lines) + '\n')


def nanoseconds(text: str) -> int:
    """Seconds as text to integer nanoseconds; a float would round them to microseconds."""
    return int((Decimal(text) * 1_000_000_000).to_integral_value())


def is_tum_folder(path: Path) -> bool:
    """Whether a folder is TUM's RGB-D layout."""
    return (path / 'rgb.txt').is_file()


def open_tum_folder(path: Path, calibration: Calibration | None = None, depth: bool = True,
                    max_gap_ns: int = MAX_GAP_NS) -> FileSource:
    """The frames of an RGB-D folder: rgb.txt, depth.txt and groundtruth.txt, joined by stamp."""
    calibration = calibration or find_calibration(path) or published_calibration(path)
    depths = _stamped_files(path / 'depth.txt') if depth and (path / 'depth.txt').is_file() else []
    depth_stamps = np.array([stamp for stamp, _ in depths], dtype=np.int64)
    files = []
    for stamp, image in _stamped_files(path / 'rgb.txt'):
        nearest = int(np.abs(depth_stamps - stamp).argmin()) if depths else -1
        beside = depths and abs(depth_stamps[nearest] - stamp) <= MAX_DEPTH_OFFSET_NS
        files.append(FrameFiles(image.stem, image, stamp, calibration,
                                _depth_reader(depths[nearest][1]) if beside else None,
                                no_pose='no groundtruth.txt'))
    if (path / 'groundtruth.txt').is_file():
        files = with_trajectory(files, read_tum(path / 'groundtruth.txt'), max_gap_ns)
    return FileSource(path, 'TUM RGB-D folder', files)


def published_calibration(path: Path) -> Calibration:
    """The intrinsics published for the sequence that the folder's name says."""
    name = next(name for name in SEQUENCES if name in path.resolve().name)
    fx, fy, cx, cy, distortion = SEQUENCES[name]
    return lambda size_wh: camera_from_info((640, 480), (fx, 0, cx, 0, fy, cy, 0, 0, 1),
                                            distortion, model='plumb_bob')


def _depth_reader(path: Path) -> Callable[[tuple[int, int]], np.ndarray]:
    return lambda size_wh: read_depth(path, size_wh, DEPTH_UNITS_PER_METRE)


def _stamped_files(path: Path) -> list[tuple[int, Path]]:
    """The stamps and files that a list such as rgb.txt names, in the order of time."""
    try:
        return sorted((nanoseconds(words[0]), path.parent / words[1])
                      for _, words in _lines(path))
    except (IndexError, InvalidOperation) as error:
        raise SourceError(f'{path} is not a list of stamps and files: {error}') from None


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and words of a text file without its comments."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'{path} cannot be read: {error}') from None
    return [(number, line.replace(',', ' ').split())
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.lstrip().startswith('#')]
