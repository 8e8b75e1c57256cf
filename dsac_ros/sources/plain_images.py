# SPDX-License-Identifier: Apache-2.0
"""Images without poses, for queries: one file, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dsac_ros.errors import SourceError
from dsac_ros.sources.beside import list_files, stamps_beside, tell_foreign_images
from dsac_ros.sources.calibration_files import Calibration, find_calibration, read_calibration
from dsac_ros.sources.file_names import pair_files
from dsac_ros.sources.folder import CALIBRATION, CALIBRATION_SUFFIXES, IMAGES, POSES
from dsac_ros.sources.frame_files import FileSource, FrameFiles
from dsac_ros.sources.image_files import list_images
from dsac_ros.sources.source import LeftOut

NO_POSE = 'no pose: these are plain images'


def open_images(path: Path, calibration: Calibration | None = None) -> FileSource:
    """The images at `path`, with the calibration given or one that lies beside them."""
    images = [path] if path.is_file() else list_images(path)
    source = FileSource(path, 'images', [], has_stamps=False)
    cameras = [calibration] * len(images) if calibration else _beside(images)
    no_pose, stamps = _no_pose(images[0].parent), [0]
    if path.is_dir():
        tell_foreign_images(source, path)
        stamps = stamps_beside(source, images, path)
    source.files = sorted(
        (
            FrameFiles(image.stem, image, stamp, camera, no_pose=no_pose)
            for image, stamp, camera in zip(images, stamps, cameras, strict=True)
        ),
        key=lambda one: one.stamp_ns,
    )
    return source


def _no_pose(folder: Path) -> LeftOut | str:
    """Why plain images have no pose: those of the layout have, where their folder is named."""
    if folder.name == IMAGES and (folder.parent / POSES).is_dir():
        return LeftOut(NO_POSE, cure=f'name {folder.parent} to read its {POSES}/ too')
    return NO_POSE


def _beside(images: Sequence[Path]) -> list[Calibration]:
    """The calibration of each image, in its folder or in the calibration/ beside that."""
    read = cache(read_calibration)
    found = [find_calibration(image.parent, image.stem, read) for image in images]
    told = [calibration for calibration in found if calibration is not None]
    if len(told) == len(found):
        return told
    image = images[found.index(None)]
    files = list_files(image.parent.parent / CALIBRATION, CALIBRATION_SUFFIXES)
    paired = files * len(images) if len(files) == 1 else pair_files(images, files).files
    if None in paired:
        raise SourceError(
            f'{image} has no calibration beside it: give a calibration file '
            '(focal length, 3x3 matrix, or camera_info YAML) or a focal length'
        )
    return [read(file) for file in paired]
