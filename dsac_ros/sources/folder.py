# SPDX-License-Identifier: Apache-2.0
"""The folder layout of DSAC* and ACE: rgb/ poses/ calibration/ [depth/ masks/], read and written.

Files of one frame share a name, or else the number in it. poses/: 4x4 world_from_camera;
calibration/: a focal length or a 3x3 matrix with pixels counted from the corner of the first one
(converted here), one file per frame or one for all; depth/: png, uint16 millimetres;
masks/: png, black where a pixel is not used. What the
layout cannot say stands beside it: `dataset.yaml` (lens distortion, frame of the map) and
`stamps.txt` (name and nanoseconds). A recording with odometry has its files as well, see
folder_odometry.py.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import yaml

from dsac_ros.compute.files import write_whole
from dsac_ros.errors import ImageError, SourceError
from dsac_ros.sources.beside import (
    STAMPS,
    files_beside,
    list_files,
    stamps_beside,
    tell_foreign_images,
    told_contents,
)
from dsac_ros.sources.calibration_files import (
    Calibration,
    camera_yaml,
    corner_matrix_text,
    read_calibration,
)
from dsac_ros.sources.file_names import natural_order
from dsac_ros.sources.folder_odometry import append_odometry, append_segment, remove_cut_lines
from dsac_ros.sources.frame_files import DepthReader, FileSource, FrameFiles
from dsac_ros.sources.frame_files_writer import write_mask
from dsac_ros.sources.image_files import (
    append_line,
    list_images,
    read_depth,
    read_image,
    read_mask,
    write_depth,
    write_image,
)
from dsac_ros.sources.poses import read_pose_file
from dsac_ros.sources.source import POSES_ELSEWHERE, LeftOut
from dsac_ros.sources.text_files import read_yaml
from dsac_ros.types import Camera, Frame

IMAGES, POSES, CALIBRATION, DEPTH, MASKS = 'rgb', 'poses', 'calibration', 'depth', 'masks'
DATASET = 'dataset.yaml'
POSE_SUFFIXES = ('.txt',)
POSE_CURE = 'expected 4x4 numbers, world from camera, in the file of each image'
DEPTH_SUFFIXES = ('.png', '.tif', '.tiff', '.pgm')
MASK_SUFFIXES = ('.png', '.pgm', '.bmp')
CALIBRATION_SUFFIXES = ('.txt', '.yaml', '.yml')
KEYS = frozenset(('format', 'version', 'map_frame', 'camera'))  # of dataset.yaml


def is_scene_folder(path: Path) -> bool:
    """Return True if a folder has the layout, or holds folders that have."""
    return (path / IMAGES).is_dir() or any(_parts(path))


def count_frames(path: Path) -> int:
    """Return the number of frames in a folder of the layout; 0 if there is none."""
    return len(list_images(path / IMAGES)) if (path / IMAGES).is_dir() else 0


def open_folder(
    path: Path, calibration: Calibration | None = None, depth: bool = True, poses: str = POSES
) -> FileSource:
    """The frames of a folder in the layout; `poses` names the folder of the poses in it."""
    if not (path / IMAGES).is_dir():
        parts = _parts(path)
        if len(parts) > 1:
            names = ', '.join(str(part) for part in parts)
            raise SourceError(f'{path} holds several sets of frames: name one of {names}')
        path = parts[0]
    images = list_images(path / IMAGES)
    if not images:
        raise SourceError(
            f'{path / IMAGES} holds no images{told_contents(path / IMAGES)}, '
            'expected .png or .jpg files'
        )
    about = _about(path)
    source = FileSource(path, 'folder', [], map_frame=str(about.get('map_frame', 'map')))
    if about.keys() - KEYS:
        source.unread.add(
            f'{", ".join(sorted(map(str, about.keys() - KEYS)))} of {path / DATASET}'
        )
    tell_foreign_images(source, path / IMAGES)
    pose_files = files_beside(source, images, path / poses, POSE_SUFFIXES)
    depth_files = _depth(source, images, path) if depth else [None] * len(images)
    cameras = (
        [calibration] * len(images) if calibration else _calibrations(source, images, path, about)
    )
    stamps = stamps_beside(source, images, path)
    masks = files_beside(source, images, path / MASKS, MASK_SUFFIXES)
    if any(masks):
        source.assume(f'pixels that are black in {path / MASKS} are not used')
    files = [
        FrameFiles(
            image.stem,
            image,
            stamp,
            camera,
            depth_file,
            mask=partial(read_mask, mask) if mask else None,
        ).posed(_pose(pose_file))
        for image, stamp, camera, depth_file, pose_file, mask in zip(
            images, stamps, cameras, depth_files, pose_files, masks, strict=True
        )
    ]
    source.files = sorted(files, key=lambda one: one.stamp_ns)
    return source


def _parts(path: Path) -> list[Path]:
    """The folders inside `path` that have the layout."""
    return natural_order(part for part in path.iterdir() if (part / IMAGES).is_dir())


def _pose(file: Path | None) -> np.ndarray | LeftOut:
    """The pose in a file, or why there is none."""
    if file is None:
        return LeftOut('no pose file', cure=POSES_ELSEWHERE)
    pose = read_pose_file(file)
    return LeftOut(pose, str(file), POSE_CURE) if isinstance(pose, str) else pose


def _depth(
    source: FileSource,
    images: Sequence[Path],
    path: Path,
) -> Sequence[DepthReader | None]:
    """Readers of the depth of each image; one that has none, though others do, lacks it."""
    files = files_beside(source, images, path / DEPTH, DEPTH_SUFFIXES)
    if not any(files):
        return [None] * len(files)
    return [partial(read_depth, file) if file else _no_depth for file in files]


def _no_depth(size_wh: tuple[int, int]) -> np.ndarray:
    raise ImageError('there is no depth file')


def _calibrations(
    source: FileSource,
    images: Sequence[Path],
    path: Path,
    about: dict[str, Any],
) -> list[Calibration]:
    """The camera of each image: from its own file, or from the only one."""
    folder = path / CALIBRATION
    found = list_files(folder, CALIBRATION_SUFFIXES)
    if not found:
        raise SourceError(
            f'{folder} holds no calibration, expected .txt files with a focal '
            'length or a 3x3 matrix'
        )
    lens = about.get('camera') or {}
    read: Callable[[Path], Calibration] = partial(
        read_calibration,
        model=str(lens.get('distortion_model', '')),
        distortion=tuple(lens.get('distortion_coefficients', ())),
        whole='image_width' not in lens,
    )  # else the images were written with their calibration
    if len(found) == 1:
        return [read(found[0])] * len(images)
    files = files_beside(source, images, folder, CALIBRATION_SUFFIXES)
    if None in files:
        missing = images[files.index(None)].stem
        raise SourceError(
            f'{folder} holds no calibration of {missing}, expected a file for each '
            'image or one for all'
        )
    return [read(file) for file in files if file]


def _about(path: Path) -> dict[str, Any]:
    """The contents of dataset.yaml, empty where there is none."""
    file = path / DATASET
    about = (read_yaml(file) or {}) if file.is_file() else {}
    if not isinstance(about, dict):
        raise SourceError(f'{file} holds no keys, expected camera: and map_frame:')
    lens = about.get('camera') or {}
    if not isinstance(lens, dict) or not is_numbers(lens.get('distortion_coefficients', [])):
        raise SourceError(
            f'{file}: camera is {reprlib.repr(lens)}, expected the keys '
            'distortion_model: and distortion_coefficients: with a list of numbers'
        )
    return about


def is_numbers(value: object) -> bool:
    """Return True if a value of a YAML file is a list of numbers."""
    return isinstance(value, list) and all(isinstance(x, (int, float)) for x in value)


class FolderWriter:
    """Writes frames in the layout. A frame's image comes last, whole, so there are no halves."""

    def __init__(
        self,
        path: Path | str,
        *,
        map_frame: str = 'map',
        image_suffix: str = '.png',
        append: bool = False,
    ) -> None:
        """Takes the folder to make; one that has frames already is continued only on `append`."""
        self.path = Path(path)
        self.map_frame, self.image_suffix = map_frame, image_suffix
        self.camera: Camera | None = None
        self.count = count_frames(self.path)
        if self.count and not append:
            raise SourceError(
                f'{self.path} holds {self.count} frames already, expected a new folder'
            )
        if self.count:
            self._continue()
        for name in (IMAGES, POSES, CALIBRATION):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def write(
        self,
        frame: Frame,
        world_from_camera: np.ndarray | None,
        odom_from_camera: np.ndarray | None = None,
        begins_segment: bool = False,
    ) -> str:
        """Add a frame and return its name.

        Args:
            frame: the frame.
            world_from_camera: (4, 4); a frame without a pose can only be a query.
            odom_from_camera: (4, 4), the pose by odometry alone, which is stored apart.
            begins_segment: True if poses before and after this frame may disagree.
        """
        self._check_lens(frame.camera)
        name = f'frame-{self.count:06d}'
        self._remove_files_of(name)
        if begins_segment:
            append_segment(self.path, name)
        if world_from_camera is not None and odom_from_camera is not None:
            append_odometry(self.path, frame.stamp_ns, odom_from_camera, world_from_camera)
        write_whole(self.path / CALIBRATION / f'{name}.txt', corner_matrix_text(frame.camera))
        if world_from_camera is not None:
            rows = (' '.join(f'{x:.12f}' for x in row) for row in world_from_camera)
            write_whole(self.path / POSES / f'{name}.txt', '\n'.join(rows) + '\n')
        if frame.depth is not None:
            (self.path / DEPTH).mkdir(exist_ok=True)
            write_depth(self.path / DEPTH / f'{name}.png', frame.depth)
        if frame.mask is not None:
            write_mask(self.path / MASKS / f'{name}.png', frame.mask)
        append_line(self.path / STAMPS, f'{name} {int(frame.stamp_ns)}')
        write_image(self.path / IMAGES / f'{name}{self.image_suffix}', frame.image)
        self.count += 1
        return name

    def close(self) -> None:
        """Nothing is pending: every frame was complete when `write` returned."""

    def __enter__(self) -> FolderWriter:
        """Use as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _remove_files_of(self, name: str) -> None:
        """Remove what a writer left that was killed before the image of this name."""
        for folder, suffix in ((POSES, '.txt'), (DEPTH, '.png'), (MASKS, '.png')):
            (self.path / folder / f'{name}{suffix}').unlink(missing_ok=True)

    def _continue(self) -> None:
        """Take up the lens and the numbering of the frames that are there."""
        remove_cut_lines(self.path)
        for unfinished in self.path.rglob('.*.partial'):
            unfinished.unlink(missing_ok=True)
        images = list_images(self.path / IMAGES)
        last = images[-1].stem.removeprefix('frame-')
        if not last.isdecimal():
            raise SourceError(
                f'{self.path} holds frames named {images[-1].name}, expected '
                'frame-000000 and so on'
            )
        self.count = int(last) + 1
        source = FileSource(self.path, 'folder', [])
        # Of the first image alone: a long dataset has thousands of files.
        (calibration,) = _calibrations(source, images[:1], self.path, _about(self.path))
        height, width = read_image(images[0]).shape[:2]
        self.camera = calibration((width, height))

    def _check_lens(self, camera: Camera) -> None:
        """Write dataset.yaml with the first frame; the layout has one lens for all."""
        if self.camera is None:
            about = {
                'format': 'dsac_ros dataset',
                'version': 1,
                'map_frame': self.map_frame,
                'camera': camera_yaml(camera),
            }
            write_whole(self.path / DATASET, yaml.safe_dump(about, sort_keys=False))
            self.camera = camera
        elif (camera.model, camera.distortion) != (self.camera.model, self.camera.distortion):
            raise SourceError(
                f'{self.path} holds images of a {self.camera.model} lens with '
                f'{self.camera.distortion}, expected the same, not {camera.model} '
                f'with {camera.distortion}: use a folder for each camera'
            )
