# SPDX-License-Identifier: Apache-2.0
"""The raw data of Polycam, an app over ARKit: keyframes/ with images/, cameras/ and depth/.

cameras/ holds a JSON file for each image: t_00 to t_23 are rows and columns of world_from_camera
with OpenGL's axes as ARKit has them, beside fx, fy, cx, cy, width and height; pixels are counted
from the corner. Those of corrected_images/ and corrected_cameras/ were optimised by the app and go
first. depth/ is png, uint16 millimetres. The world is ARKit's, in metres, y up.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import ImageError, SourceError
from dsac_ros.geometry.pose_convention import axes_from_optical
from dsac_ros.sources.beside import files_beside
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.image_files import list_images, read_depth
from dsac_ros.sources.poses import rigid_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, LeftOut
from dsac_ros.sources.text_files import read_json
from dsac_ros.sources.transforms_cameras import camera_of_transforms

FOLDERS = (('corrected_images', 'corrected_cameras'), ('images', 'cameras'))
DEPTH = 'depth'
INTRINSICS = {'width': 'w', 'height': 'h', 'fx': 'fl_x', 'fy': 'fl_y', 'cx': 'cx', 'cy': 'cy'}
POSE = tuple(f't_{row}{column}' for row in range(3) for column in range(4))
POSE_CURE = 'expected the numbers t_00 to t_23 in the file of each image'


def find_keyframes(path: Path) -> Path | None:
    """The folder keyframes/ that a path stands for: in it, or itself."""
    return next((one for one in (path / 'keyframes', path) if _folders(one)), None)


def open_polycam(
    path: Path, calibration: Calibration | None = None, depth: bool = True
) -> FileSource:
    """The keyframes of a capture, in the natural order of their names, which are no stamps."""
    base = find_keyframes(path)
    folders = _folders(base) if base else None
    if base is None or folders is None:
        raise SourceError(f'{path} is no raw data of Polycam, expected keyframes/cameras/')
    source = FileSource(path, 'Polycam capture', [], has_stamps=False)
    images = list_images(folders[0])
    if not images:
        raise SourceError(f'{folders[0]} holds no images, expected a jpg for each camera')
    cameras = files_beside(source, images, folders[1], ('.json',))
    depths = files_beside(source, images, base / DEPTH, ('.png',)) if depth else []
    has_depth = any(depths)
    for index, (image, file) in enumerate(zip(images, cameras, strict=True)):
        values = None if file is None else _values(file)
        if calibration is None and values is None:
            raise SourceError(
                f'{folders[1]} holds no camera of {image.name}, expected a json file'
            )
        camera = calibration or camera_of_transforms(_intrinsics(values or {}), str(file))
        depth_file = depths[index] if has_depth else None
        files = FrameFiles(
            image.stem,
            image,
            index * MADE_UP_STEP_NS,
            camera,
            partial(read_depth, depth_file) if depth_file else _no_depth if has_depth else None,
        )
        source.files.append(files.posed(_pose(values or {}, str(file))))
    return source


def _folders(base: Path) -> tuple[Path, Path] | None:
    """The folders of images and cameras in keyframes/, the corrected ones first."""
    pairs = [(base / images, base / cameras) for images, cameras in FOLDERS]
    return next(
        (
            (images, cameras)
            for images, cameras in pairs
            if images.is_dir() and cameras.is_dir() and any(cameras.glob('*.json'))
        ),
        None,
    )


def _values(file: Path) -> dict[str, Any]:
    """The keys of the file of a camera."""
    values = read_json(file)
    if not isinstance(values, dict):
        raise SourceError(f'{file} is no camera of Polycam, expected the keys fx and t_00 to t_23')
    return values


def _intrinsics(values: dict[str, Any]) -> dict[str, Any]:
    """The same intrinsics by the names of a transforms.json."""
    return {ours: values[key] for key, ours in INTRINSICS.items() if key in values}


def _pose(values: dict[str, Any], name: str) -> np.ndarray | LeftOut:
    """The pose in a file with the axes of the optical frame, or why there is none."""
    try:
        matrix = np.array([values[key] for key in POSE], dtype=np.float64).reshape(3, 4)
    except (KeyError, TypeError, ValueError, OverflowError):
        return LeftOut('no pose in its json file', name, POSE_CURE)
    pose = rigid_pose(matrix)
    if isinstance(pose, str):
        return LeftOut(pose, name, POSE_CURE)
    pose[:3, :3] = pose[:3, :3] @ axes_from_optical('opengl')
    return pose


def _no_depth(size_wh: tuple[int, int]) -> np.ndarray:
    raise ImageError('there is no depth file')
