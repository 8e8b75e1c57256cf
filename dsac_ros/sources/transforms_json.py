# SPDX-License-Identifier: Apache-2.0
"""A transforms.json with its images, as nerfstudio and instant-ngp write and read it.

Format: https://docs.nerf.studio/quickstart/data_conventions.html. Exports of Polycam, KIRI Engine
and Record3D, of Metashape and RealityCapture come as such a file. transform_matrix is
world_from_camera with OpenGL's axes of the camera (x right, y up, z back), and pixels are counted
from the corner of the first one; both are converted here. applied_transform and applied_scale,
which led from the world of the capture to that of the file, are undone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import ImageError, SourceError
from dsac_ros.geometry.pose_convention import axes_from_optical
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.file_names import natural_key
from dsac_ros.sources.frame_files import DepthReader, FileSource, FrameFiles
from dsac_ros.sources.image_files import (
    IMAGE_SUFFIXES,
    check_is_file,
    is_image_file,
    read_depth,
    read_depth_array,
    read_mask,
)
from dsac_ros.sources.named_files import files_named, tell_unlisted
from dsac_ros.sources.poses import rigid_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, LeftOut
from dsac_ros.sources.text_files import quoted, read_json
from dsac_ros.sources.transforms_cameras import KEYS, camera_of_transforms, intrinsics_of

NAMES = ('transforms.json', 'transforms_train.json')
SPLITS = ('train_filenames', 'val_filenames', 'test_filenames')
DEPTH_UNITS = ('depth_unit_scale_factor', 'integer_depth_scale')  # nerfstudio, instant-ngp
DEFAULT_UNIT_M = 0.001  # nerfstudio's
UNUSABLE = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff]')  # in the name of a file
EXPECTED = 'expected "frames": a list of file_path and transform_matrix'
POSE_CURE = 'expected a transform_matrix of 4x4 numbers, world from camera, for each frame'


def find_transforms(path: Path) -> Path | None:
    """The file that a path stands for: itself, or the one in a folder."""
    if path.is_file():
        return path if path.suffix.lower() == '.json' else None
    return next((path / name for name in NAMES if (path / name).is_file()), None)


def open_transforms(
    path: Path,
    calibration: Calibration | None = None,
    depth: bool = True,
    depth_unit_m: float | None = None,
) -> FileSource:
    """The frames of a transforms.json, in the natural order of their images' names.

    Args:
        path: the file, or the folder that it lies in.
        calibration: stands in the place of the file's intrinsics.
        depth: read the depth that the file names.
        depth_unit_m: the unit of depth [m]; None takes the file's, or nerfstudio's 0.001.
    """
    file = find_transforms(path)
    if file is None:
        raise SourceError(f'{path} has no {NAMES[0]}, expected one as nerfstudio writes it')
    document, frames = _read(file)
    source = FileSource(path, 'transforms.json', [], has_stamps=False)
    images = files_named(
        source, file.parent, [_with_suffix(file.parent, _name(file, one)) for one in frames]
    )
    cameras = [calibration] * len(frames) if calibration else _cameras(file, document, frames)
    world_from_file, scale = _original_world(source, file, document)
    stamps = _stamps(source, frames)
    depths = (
        _depth(source, file, document, frames, depth_unit_m) if depth else [None] * len(frames)
    )
    masks = [_beside(file, one, 'mask_path') for one in frames]
    for index, one in enumerate(frames):
        files = FrameFiles(
            _name(file, one),
            images[index],
            stamps[index],
            cameras[index],
            depths[index],
            mask=partial(read_mask, mask) if (mask := masks[index]) else None,
        )
        source.files.append(files.posed(_pose(one, world_from_file, scale)))
    _tell(source, file, document)
    return source


def _read(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The document of a file, and its frames in natural order."""
    document = read_json(file)
    frames = document.get('frames') if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(frames, list):
        raise SourceError(f'{file} is no transforms.json of nerfstudio or instant-ngp, {EXPECTED}')
    if not frames:
        raise SourceError(f'{file} has no frames, {EXPECTED}')
    for number, one in enumerate(frames):
        name = one.get('file_path') if isinstance(one, dict) else None
        if not isinstance(name, str) or UNUSABLE.search(name) or not name.strip():
            raise SourceError(
                f'{file}, frame {number}: {quoted(ascii(one))} has no file_path of an image, '
                f'{EXPECTED}'
            )
    return document, sorted(frames, key=lambda one: natural_key(_name(file, one)))


def _stamps(source: FileSource, frames: Sequence[dict[str, Any]]) -> list[int]:
    """The stamp_ns of each frame, as `dsac convert` writes it, else made up from the order."""
    found = [one.get('stamp_ns') for one in frames]
    told = [one for one in found if type(one) is int and abs(one) < 2**63]
    source.has_stamps = len(told) == len(frames)
    return told if source.has_stamps else [i * MADE_UP_STEP_NS for i in range(len(frames))]


def _name(file: Path, frame: dict[str, Any]) -> str:
    """The name of a frame's image in the file, relative to the folder where it is below that."""
    name = str(frame['file_path']).replace('\\', '/')
    while name.startswith('./'):
        name = name[2:].lstrip('/')
    return name.removeprefix(f'{file.parent.absolute().as_posix()}/')


def _with_suffix(folder: Path, name: str) -> str:
    """A name with the ending that its file has, where the list leaves it out as Blender's does."""
    if is_image_file(Path(name)) or os.path.isfile(folder / name):
        return name
    endings = (ending for lower in IMAGE_SUFFIXES for ending in (lower, lower.upper()))
    found = next((end for end in endings if os.path.isfile(folder / f'{name}{end}')), '')
    return f'{name}{found}'


def _cameras(
    file: Path, document: dict[str, Any], frames: Sequence[dict[str, Any]]
) -> list[Calibration]:
    """The camera of each frame; frames of the same intrinsics share one."""
    known: dict[str, Calibration] = {}
    cameras = []
    for one in frames:
        intrinsics = intrinsics_of(one, document)
        own = any(key in one for key in KEYS)
        key = repr(sorted(intrinsics.items()))
        if key not in known:
            where = f'{file}, {quoted(_name(file, one))}' if own else str(file)
            known[key] = camera_of_transforms(intrinsics, where)
        cameras.append(known[key])
    return cameras


def _original_world(
    source: FileSource, file: Path, document: dict[str, Any]
) -> tuple[np.ndarray, float]:
    """World of the capture from that of the file: a matrix (4, 4), and a scale before it."""
    given, scale = document.get('applied_transform'), document.get('applied_scale')
    factor = _positive(file, 'applied_scale', 1.0 if scale is None else scale)
    pose = np.eye(4) if given is None else rigid_pose(_matrix(given))
    if isinstance(pose, str):
        raise SourceError(
            f'{file}: applied_transform is {pose}, expected 3x4 numbers of a rigid motion: '
            'correct or remove that key'
        )
    if not np.array_equal(pose, np.eye(4)) or factor != 1:
        source.assume(
            f'the applied_transform and applied_scale of {file} are undone: the poses are in the '
            'world of the capture; for the world of the file remove these keys'
        )
    return np.linalg.inv(pose), 1.0 / factor


def _pose(
    frame: dict[str, Any], world_from_file: np.ndarray, scale: float
) -> np.ndarray | LeftOut:
    """The pose of a frame with the axes of the optical frame, or why it has none."""
    name = quoted(ascii(frame['file_path']))
    if frame.get('transform_matrix') is None:
        return LeftOut('no transform_matrix', name, POSE_CURE)
    pose = rigid_pose(_matrix(frame['transform_matrix']))
    if isinstance(pose, str):
        return LeftOut(pose, name, POSE_CURE)
    pose[:3, 3] *= scale
    pose[:3, :3] = pose[:3, :3] @ axes_from_optical('opengl')
    moved: np.ndarray = world_from_file @ pose
    return moved


def _matrix(value: object) -> np.ndarray:
    """The numbers of nested lists; of no shape of a pose where they are none."""
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.zeros(0)


def _positive(file: Path, key: str, value: object) -> float:
    """A number above 0 of a file."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise SourceError(
            f'{file}: {key} is {quoted(ascii(value))}, expected a number greater than 0'
        )
    return float(value)


def _beside(file: Path, frame: dict[str, Any], *keys: str) -> Path | None:
    """The file that one of these keys of a frame names."""
    value = next((frame[key] for key in keys if frame.get(key) not in (None, '')), None)
    if value is None:
        return None
    if not isinstance(value, str) or UNUSABLE.search(value):
        raise SourceError(
            f'{file}: {keys[0]} is {quoted(ascii(value))}, expected the path of a file'
        )
    name = value.replace('\\', '/')
    return file.parent / _with_suffix(file.parent, name)


def _depth(
    source: FileSource,
    file: Path,
    document: dict[str, Any],
    frames: Sequence[dict[str, Any]],
    unit_m: float | None,
) -> Sequence[DepthReader | None]:
    """Readers of the depth of each frame; one that has none, though others do, lacks it."""
    files = [_beside(file, one, 'depth_file_path', 'depth_path') for one in frames]
    if not any(files):
        return [None] * len(files)
    key = next((key for key in DEPTH_UNITS if document.get(key) is not None), None)
    if unit_m is None and key is not None:
        unit_m = _positive(file, key, document[key])
    elif unit_m is None:
        unit_m = DEFAULT_UNIT_M
        source.assume(
            f'depth of {file} is in units of {unit_m:g} m, as nerfstudio takes it; --depth-unit '
            'says otherwise'
        )
    return [_depth_reader(one, unit_m) if one else _no_depth for one in files]


def _depth_reader(path: Path, unit_m: float) -> DepthReader:
    def depth_of(size_wh: tuple[int, int]) -> np.ndarray:
        check_is_file(path)
        if path.suffix.lower() == '.npy':
            return read_depth_array(path, size_wh, unit_m)
        return read_depth(path, size_wh, 1.0 / unit_m)

    return depth_of


def _no_depth(size_wh: tuple[int, int]) -> np.ndarray:
    raise ImageError('the file names no depth of this frame')


def _tell(source: FileSource, file: Path, document: dict[str, Any]) -> None:
    """Tell how the poses were read, and what of the folder was not."""
    if any(one.world_from_camera is not None for one in source.files):
        source.assume(
            f'the camera of the poses of {file} has the axes of OpenGL (x right, y up, z back), '
            'as nerfstudio has it; where it has those of OpenCV, --pose-axes opengl turns them '
            'back'
        )
    others = sorted(one.name for one in file.parent.glob('transforms*.json') if one != file)
    if others:
        source.unread.add(
            f'{", ".join(others[:3])} beside {file}: name that file to read it instead'
        )
    splits = [key for key in SPLITS if document.get(key)]
    if splits:
        source.unread.add(f'{", ".join(splits)} of {file}: the frames of all splits are read')
    tell_unlisted(source, file.name)
