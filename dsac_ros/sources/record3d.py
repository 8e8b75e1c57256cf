# SPDX-License-Identifier: Apache-2.0
"""A raw capture of Record3D, an app over ARKit: metadata, and rgbd/0.jpg or rgb/0.jpg and so on.

The folder of an unpacked .r3d file, or of the export of images. metadata is JSON: poses are rows
qx qy qz qw x y z, world_from_camera with OpenGL's axes as ARKit has them; K is column by column,
perFrameIntrinsicCoeffs are fx fy cx cy; pixels are counted from the corner. The world is ARKit's,
in metres, y up.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.pose_convention import axes_from_optical
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.image_files import list_images
from dsac_ros.sources.poses import poses_from_rows, rigid_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.stamps import in_nanoseconds
from dsac_ros.sources.text_files import quoted, read_json
from dsac_ros.sources.transforms_cameras import camera_of_transforms

METADATA = ('metadata', 'metadata.json')
IMAGES = ('rgbd', 'rgb')
PACKED = '.r3d'
DEPTH = ('.depth', '.exr')
COEFFICIENTS = ('fl_x', 'fl_y', 'cx', 'cy')  # of perFrameIntrinsicCoeffs, in this order
EXPECTED = 'expected "poses": rows of qx qy qz qw x y z, beside "K", "w" and "h"'


def find_metadata(path: Path) -> Path | None:
    """The metadata of a folder that holds a capture."""
    if not any((path / name).is_dir() for name in IMAGES) or (path / 'poses').is_dir():
        return None
    return next((path / name for name in METADATA if (path / name).is_file()), None)


def open_record3d(path: Path, calibration: Calibration | None = None) -> FileSource:
    """The frames of a capture, in the order of their numbers."""
    file = find_metadata(path)
    if file is None:
        raise SourceError(f'{path} is no capture of Record3D, expected {METADATA[0]} and rgbd/')
    metadata = read_json(file)
    poses = metadata.get('poses') if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(poses, list):
        raise SourceError(f'{file} is no metadata of Record3D, {EXPECTED}')
    folder = next(path / name for name in IMAGES if (path / name).is_dir())
    images = {int(one.stem): one for one in list_images(folder) if _is_number(one.stem)}
    if not images:
        raise SourceError(f'{folder} holds no images, expected 0.jpg, 1.jpg and so on')
    source = FileSource(path, 'Record3D capture', [])
    stamps = _stamps(source, metadata, len(poses), max(images))
    for number, image in sorted(images.items()):
        camera = calibration or _camera(file, metadata, number)
        files = FrameFiles(f'{folder.name}/{image.name}', image, stamps[number], camera)
        source.files.append(files.posed(_pose(poses, number)))
    _tell(source, file, len(poses), images.keys())
    return source


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _stamps(source: FileSource, metadata: dict[str, Any], count: int, last: int) -> dict[int, int]:
    """The stamp of each frame [ns], made up where the metadata does not hold one for each."""
    given = metadata.get('frameTimestamps')
    if isinstance(given, list) and len(given) == count > last:
        numbers = _numbers(given, count)
        if numbers is not None and (np.abs(numbers) < 1e9).all():
            return {
                number: in_nanoseconds(Decimal(repr(float(stamp))))
                for number, stamp in enumerate(numbers)
            }
    source.has_stamps = False
    return {number: number * MADE_UP_STEP_NS for number in range(last + 1)}


def _numbers(value: object, count: int) -> np.ndarray | None:
    """A list of so many finite numbers, None where it is none."""
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None


def _camera(file: Path, metadata: dict[str, Any], number: int) -> Calibration:
    """The camera of a frame: its own coefficients, or those of all frames."""
    own = metadata.get('perFrameIntrinsicCoeffs')
    intrinsics = {key: metadata[key] for key in ('w', 'h') if metadata.get(key) is not None}
    if isinstance(own, list) and number < len(own):
        found, where = _numbers(own[number], 4), f'perFrameIntrinsicCoeffs, frame {number}'
        values = None if found is None else found.tolist()
    else:
        found, where = _numbers(metadata.get('K'), 9), 'K'
        values = None if found is None else [float(found[index]) for index in (0, 4, 6, 7)]
    if values is None:
        raise CameraError(
            f'{file}: {where} holds no intrinsics, expected '
            + ('9 numbers, column by column' if where == 'K' else '4 numbers: fx fy cx cy')
        )
    return camera_of_transforms(
        {**intrinsics, **dict(zip(COEFFICIENTS, values, strict=True))}, f'{file}, {where}'
    )


def _pose(poses: Sequence[object], number: int) -> np.ndarray | LeftOut:
    """The pose of a frame with the axes of the optical frame, or why it has none."""
    if number >= len(poses):
        return LeftOut('no pose in the metadata', f'frame {number}', POSES_ELSEWHERE)
    row = _numbers(poses[number], 7)
    if row is None:
        return LeftOut('a pose that is not 7 numbers', quoted(ascii(poses[number])), EXPECTED)
    pose = rigid_pose(poses_from_rows(np.array([[*row[4:], *row[:4]]]))[0])
    if isinstance(pose, str):
        return LeftOut(pose, f'frame {number}', EXPECTED)
    pose[:3, :3] = pose[:3, :3] @ axes_from_optical('opengl')
    return pose


def _tell(source: FileSource, file: Path, poses: int, numbers: Collection[int]) -> None:
    """Tell what of the capture was not read."""
    spare = sum(number not in numbers for number in range(poses))
    if spare:
        source.unread.add(f'{spare} of {poses} poses of {file}, which are of no image')
    for folder in (file.parent / 'rgbd', file.parent / 'depth'):
        if folder.is_dir() and any(one.suffix.lower() in DEPTH for one in folder.iterdir()):
            source.unread.add(
                f'the depth in {folder}: LZFSE and EXR are not read; a transforms.json with '
                'depth as png or npy is'
            )
