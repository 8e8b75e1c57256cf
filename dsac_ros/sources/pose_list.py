# SPDX-License-Identifier: Apache-2.0
"""Pseudo ground truth of 7-Scenes and 12-Scenes: a line `file qw qx qy qz tx ty tz f` an image.

Brachmann et al., On the Limits of Pseudo Ground Truth in Visual Camera Re-Localization, ICCV 2021.
Poses lead from the world to the camera, as COLMAP's do; f is the focal length of the colour camera
[px], whose principal point is in the middle of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.sources.calibration_files import Calibration, calibration_from_focal, naming_file
from dsac_ros.sources.file_names import some_names
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.poses import poses_from_rows, rigid_pose
from dsac_ros.sources.source import LeftOut
from dsac_ros.sources.text_files import is_comment, quoted, read_text

WORDS = 8  # file qw qx qy qz tx ty tz, and perhaps the focal length
EXPECTED = 'expected a file name and the numbers qw qx qy qz tx ty tz f'


@dataclass(frozen=True)
class ListedPose:
    """The pose world_from_camera (4, 4) of an image, or why it is none, and its focal length."""

    pose: np.ndarray | str
    focal: float | None


def frame_key(name: str) -> str:
    """The name of a frame without the ending of its image: seq-01/frame-000000."""
    folder, slash, file = name.replace('\\', '/').rpartition('/')
    return folder + slash + file.partition('.')[0]


def read_pose_list(path: Path) -> dict[str, ListedPose]:
    """The poses of a list by the key of their frame."""
    found: dict[str, ListedPose] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or is_comment(line):
            continue
        name, *words = line.split()
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) not in (WORDS - 1, WORDS):
            raise SourceError(f'{path}, line {number}: {quoted(line)} is no pose, {EXPECTED}')
        w, x, y, z, *position = values[:7]
        pose = rigid_pose(poses_from_rows(np.array([[*position, x, y, z, w]]))[0])
        found[frame_key(name)] = ListedPose(
            pose if isinstance(pose, str) else np.linalg.inv(pose),
            values[7] if len(values) == WORDS else None,
        )
    if not found:
        raise SourceError(f'{path} lists no poses, {EXPECTED}')
    return found


def with_pose_list(
    source: FileSource, path: Path, key_of: Callable[[FrameFiles], str] = lambda one: one.name
) -> FileSource:
    """The source with the poses and focal lengths of a list; images that it lacks are left out.

    Args:
        source: is changed and returned.
        path: the list.
        key_of: the key of a frame in the list.
    """
    listed = read_pose_list(path)
    cameras: dict[float, Calibration] = {}
    files = []
    for one in source.files:
        entry = listed.pop(frame_key(key_of(one)), None)
        if entry is None:
            files.append(
                replace(
                    one,
                    world_from_camera=None,
                    no_pose=LeftOut(f'no pose in {path.name}', str(path)),
                )
            )
            continue
        if entry.focal is not None:
            calibration = cameras.get(entry.focal)
            if calibration is None:
                calibration = naming_file(path, calibration_from_focal(entry.focal))
                cameras[entry.focal] = calibration
            one = replace(one, calibration=calibration)
        pose = LeftOut(entry.pose, str(path)) if isinstance(entry.pose, str) else entry.pose
        files.append(replace(one, world_from_camera=None).posed(pose))
    source.files = files
    if listed:
        source.unread.add(
            f'{len(listed)} poses of {path}, of which there are no images: '
            f'{some_names([Path(name) for name in listed])}'
        )
    return source
