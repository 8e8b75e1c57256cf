# SPDX-License-Identifier: Apache-2.0
"""Odometry of a recorded dataset, apart from the localizer's corrections, and poses made of both.

odom.tum holds odom_from_camera at the stamp of each frame, map_odom.tum map_from_odom (TF's
map -> odom): a pose in poses/ is map_from_odom @ odom_from_camera. Both are lines
`t x y z qx qy qz qw`. segments.txt names the first frame of each segment, and its number from 1
on; map -> odom is continuous within one.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.image_files import append_line
from dsac_ros.sources.poses import missing_pose
from dsac_ros.sources.source import LeftOut
from dsac_ros.sources.trajectory_files import read_trajectory, tum_line

ODOMETRY, CORRECTIONS, SEGMENTS = 'odom.tum', 'map_odom.tum', 'segments.txt'
STAMP_TOLERANCE_NS = 1000
BLOCK = 4096  # bytes, of which a line has fewer


def append_odometry(
    folder: Path, stamp_ns: int, odom_from_camera: np.ndarray, map_from_camera: np.ndarray
) -> None:
    """Add the odometry of a frame, and what corrects it to its pose; both (4, 4)."""
    map_from_odom = map_from_camera @ np.linalg.inv(odom_from_camera)
    append_line(folder / ODOMETRY, tum_line(stamp_ns, odom_from_camera))
    append_line(folder / CORRECTIONS, tum_line(stamp_ns, map_from_odom))


def append_segment(folder: Path, frame_name: str) -> None:
    """Begin a segment with this frame."""
    append_line(folder / SEGMENTS, f'{frame_name} {count_segments(folder) + 1}')


def count_segments(folder: Path) -> int:
    """Return the number of segments in a dataset."""
    file = folder / SEGMENTS
    return file.read_bytes().count(b'\n') if file.is_file() else 0


def remove_cut_lines(folder: Path) -> None:
    """Remove a last line that a power cut left unfinished, before lines are added."""
    for name in (ODOMETRY, CORRECTIONS, SEGMENTS):
        if (folder / name).is_file():
            _remove_cut_line(folder / name)


def _remove_cut_line(path: Path) -> None:
    with path.open('r+b') as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - BLOCK)
        file.seek(start)
        tail = file.read()
        if not tail.endswith(b'\n'):
            file.truncate(start + tail.rfind(b'\n') + 1)


def recompute_poses(source: FileSource, map_odom: Path, max_gap_ns: int) -> None:
    """Give the frames of a dataset other poses: its odometry, corrected by another map -> odom.

    Args:
        source: a dataset with odom.tum.
        map_odom: file of map_from_odom by time, interpolated but not extrapolated.
        max_gap_ns: longest gap between two of its samples that is interpolated.

    Raises:
        SourceError: the dataset has no odometry, or a file holds no poses.
    """
    file = source.path / ODOMETRY
    if not file.is_file():
        raise SourceError(
            f'{source.path} has no {ODOMETRY}, expected a dataset that was recorded with '
            'odometry in TF (parameter odom_frame of the mapper): --map-odom needs both'
        )
    odometry, corrections = read_trajectory(file), read_trajectory(map_odom)
    odometry.tell(source)
    corrections.tell(source)

    def recomputed(one: FrameFiles) -> FrameFiles:
        odom_from_camera = odometry.trajectory.at(one.stamp_ns, max_gap_ns=STAMP_TOLERANCE_NS)
        if odom_from_camera is None:
            missing = LeftOut(f'a stamp that {file} has no odometry at')
            return replace(one, world_from_camera=None, no_pose=missing)
        map_from_odom = corrections.trajectory.at(one.stamp_ns, max_gap_ns)
        if map_from_odom is None:
            missing = LeftOut(
                missing_pose(corrections.trajectory, one.stamp_ns, max_gap_ns, str(map_odom))
            )
            return replace(one, world_from_camera=None, no_pose=missing)
        return replace(one, world_from_camera=map_from_odom @ odom_from_camera)

    source.files = [recomputed(one) for one in source.files]
