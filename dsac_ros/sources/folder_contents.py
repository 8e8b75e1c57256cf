# SPDX-License-Identifier: Apache-2.0
"""Poses and size of a folder in the layout, without its images."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import numpy as np

from dsac_ros.sources.beside import list_files
from dsac_ros.sources.folder import IMAGES, POSE_SUFFIXES, POSES
from dsac_ros.sources.image_files import is_image_file
from dsac_ros.sources.poses import read_pose_file


def read_poses(path: Path) -> list[np.ndarray]:
    """Return the poses world_from_camera (4, 4) of all frames that have one."""
    found = (read_pose_file(file) for file in list_files(path / POSES, POSE_SUFFIXES))
    return [pose for pose in found if isinstance(pose, np.ndarray)]


def set_aside(path: Path) -> Path:
    """Rename a folder by the time of day, to a name that nothing has yet; return that."""
    dated = path.with_name(f'{path.name}.{datetime.now():%Y%m%d-%H%M%S}')
    names = (dated, *(dated.with_name(f'{dated.name}-{number}') for number in range(2, 1000)))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def image_bytes(path: Path, name: str = '') -> int:
    """Return the size of the image of a frame [bytes]; without a name, of all images."""
    if not (path / IMAGES).is_dir():
        return 0
    files = (path / IMAGES).glob(f'{name}.*' if name else '*')
    total = 0
    for file in files:
        with contextlib.suppress(OSError):  # removed meanwhile
            total += file.stat().st_size if is_image_file(file) else 0
    return total
