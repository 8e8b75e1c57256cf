# SPDX-License-Identifier: Apache-2.0
"""TUM's RGB-D folder: rgb.txt, depth.txt and groundtruth.txt.

Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dsac_ros.errors import ImageError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.calibration_files import Calibration, find_calibration
from dsac_ros.sources.frame_files import DepthReader, FileSource, FrameFiles
from dsac_ros.sources.image_files import read_depth
from dsac_ros.sources.named_files import stamped_files, tell_unlisted
from dsac_ros.sources.source import MAX_GAP_NS, POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.trajectory_files import add_trajectory

DEPTH_UNITS_PER_METRE = 5000.0
MAX_DEPTH_OFFSET_NS = 20_000_000
# fx fy cx cy and distortion, published with the data set
SEQUENCES = {
    'freiburg1': (517.3, 516.5, 318.6, 255.3, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    'freiburg2': (520.9, 521.0, 325.1, 249.7, (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    'freiburg3': (535.4, 539.2, 320.1, 247.6, ()),
}
PUBLISHED = re.compile(r'(?<![a-z0-9])(?:freiburg|fr)([123])(?![0-9])')


def is_tum_folder(path: Path) -> bool:
    """Return True if a folder is in TUM's RGB-D layout."""
    return (path / 'rgb.txt').is_file()


def open_tum_folder(
    path: Path,
    calibration: Calibration | None = None,
    depth: bool = True,
    max_gap_ns: int = MAX_GAP_NS,
) -> FileSource:
    """The frames of an RGB-D folder: rgb.txt, depth.txt and groundtruth.txt, joined by stamp."""
    source = FileSource(path, 'TUM RGB-D folder', [])
    calibration = calibration or find_calibration(path) or _published(source)
    images = stamped_files(source, path / 'rgb.txt')
    if not images:
        raise SourceError(
            f'{path / "rgb.txt"} lists no images, expected lines of a stamp and a file'
        )
    listed = depth and (path / 'depth.txt').is_file()
    depth_of = _depth_readers(stamped_files(source, path / 'depth.txt') if listed else [])
    source.files = [
        FrameFiles(
            image.stem,
            image,
            stamp,
            calibration,
            depth_of(stamp),
            no_pose=LeftOut('no groundtruth.txt', cure=POSES_ELSEWHERE),
        )
        for stamp, image in images
    ]
    tell_unlisted(source, 'rgb.txt')
    if (path / 'groundtruth.txt').is_file():
        add_trajectory(source, path / 'groundtruth.txt', max_gap_ns)
    return source


def _depth_readers(depths: Sequence[tuple[int, Path]]) -> Callable[[int], DepthReader | None]:
    """The reader of the depth image nearest to a stamp, one that fails where none is near."""
    stamps = np.array([stamp for stamp, _ in depths], dtype=np.int64)

    def depth_of(stamp: int) -> DepthReader | None:
        if not depths:
            return None
        nearest = int(np.abs(stamps - stamp).argmin())
        return (
            _depth_reader(depths[nearest][1])
            if abs(int(stamps[nearest]) - stamp) <= MAX_DEPTH_OFFSET_NS
            else _no_depth
        )

    return depth_of


def _published(source: FileSource) -> Calibration:
    """The intrinsics published for the sequence that the folder's name says."""
    found = PUBLISHED.search(source.path.resolve().name.lower())
    if found is None:
        raise SourceError(
            f'{source.path} has no calibration, and its name is of no sequence of '
            'the data set (freiburg1, 2 or 3), expected a calibration.txt or '
            'camera.yaml in it: give --camera-info or --focal'
        )
    sequence = f'freiburg{found[1]}'
    fx, fy, cx, cy, distortion = SEQUENCES[sequence]
    camera = camera_from_info(
        (640, 480), (fx, 0, cx, 0, fy, cy, 0, 0, 1), distortion, model='plumb_bob'
    )
    source.assume(
        f'the intrinsics published for {sequence} hold for {source.path}, as its name '
        'says; for images of another camera give --camera-info or --focal'
    )
    return lambda size_wh: camera


def _depth_reader(path: Path) -> DepthReader:
    return lambda size_wh: read_depth(path, size_wh, DEPTH_UNITS_PER_METRE)


def _no_depth(size_wh: tuple[int, int]) -> np.ndarray:
    raise ImageError('no depth image is near in time')
