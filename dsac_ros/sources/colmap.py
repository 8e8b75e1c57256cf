# SPDX-License-Identifier: Apache-2.0
"""A COLMAP model with its images: cameras, images and points, as text or binary.

Format: https://colmap.github.io/format.html. COLMAP stores camera_from_world with a quaternion
w x y z and counts pixels from the corner of the first one; both are converted here. The scale is
the model's own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dsac_ros.colmap.files import SUFFIXES, ColmapCamera, ColmapImage, read_model
from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.colmap_cameras import camera_from_colmap
from dsac_ros.sources.colmap_points import ColmapPoints
from dsac_ros.sources.file_names import natural_key, natural_order, some_names
from dsac_ros.sources.frame_files import FileSource, FrameFiles, MaskReader
from dsac_ros.sources.image_files import is_image_file, read_mask
from dsac_ros.sources.named_files import files_named, images_below
from dsac_ros.sources.poses import poses_from_rows, rigid_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, LeftOut
from dsac_ros.sources.text_files import quoted
from dsac_ros.types import Camera

MASKS = 'masks'
LEVELS_BELOW = 4  # of folders in which a model is looked for


def find_model(path: Path) -> Path | None:
    """The folder of the model that a path stands for: itself, sparse/0 or sparse/."""
    if not path.is_dir():
        return None
    return next(
        (folder for folder in (path, path / 'sparse' / '0', path / 'sparse') if _is_model(folder)),
        None,
    )


def find_models_below(path: Path) -> list[Path]:
    """The models in the folders of a folder, such as outputs/sfm/."""
    patterns = [
        '/'.join(['*'] * depth + [f'cameras{suffix}'])
        for depth in range(1, LEVELS_BELOW + 1)
        for suffix in SUFFIXES
    ]
    return natural_order({file.parent for pattern in patterns for file in path.glob(pattern)})


def open_colmap(
    path: Path,
    calibration: Calibration | None = None,
    images: Path | None = None,
    depth_of_points: bool = False,
) -> FileSource:
    """The registered images of a model, in the natural order of their names.

    Args:
        path: the model, or the project folder that it lies in.
        calibration: stands in the place of the model's cameras.
        images: the folder in which the names of the model's images are found; None looks for it
            beside the model.
        depth_of_points: give each frame the depth of the points that its image shows.
    """
    folder = find_model(path)
    if folder is None:
        raise SourceError(f'{path} holds no COLMAP model, expected cameras.txt or cameras.bin')
    source = FileSource(path, 'COLMAP model', [], has_stamps=False)
    model = read_model(folder)
    for line in (*model.unread, *_other_models(path, folder)):
        source.unread.add(line)
    registered = sorted(model.images, key=lambda one: natural_key(one.name))
    if not registered:
        raise SourceError(f'{folder} has no registered images')
    found = find_images(source, folder, [image.name for image in registered], images)
    used = {image.camera_id for image in registered}
    cameras = (
        {}
        if calibration
        else {
            number: _camera(folder, number, camera)
            for number, camera in model.cameras.items()
            if number in used
        }
    )
    if calibration is None and used - cameras.keys():
        number = min(used - cameras.keys())
        name = next(image.name for image in registered if image.camera_id == number)
        raise SourceError(
            f'{folder}: image {quoted(name)} is of camera {number}, which the model does not have'
        )
    if depth_of_points and not ColmapPoints(folder):
        raise SourceError(
            f'{folder} has no points, and --depth points is that of theirs: leave it out'
        )
    points, masks = ColmapPoints(folder), _masks_folder(path, folder)
    if masks is not None:
        source.assume(f'pixels that are black in {masks} are not used')
    for index, (image, file) in enumerate(zip(registered, found, strict=True)):
        files = FrameFiles(
            image.name,
            file,
            index * MADE_UP_STEP_NS,
            calibration or _given(cameras[image.camera_id]),
            points=points.of(image.name) if points else None,
            mask=mask_of(image.name, masks),
            depth_of_points=depth_of_points,
        )
        source.files.append(files.posed(_world_from_camera(image)))
    return source


def _masks_folder(path: Path, model: Path) -> Path | None:
    """The folder of masks beside the images of a project, where there is one."""
    places = (path, model.parent.parent, model.parent)
    return next((place / MASKS for place in places if (place / MASKS).is_dir()), None)


def mask_of(name: str, masks: Path | None) -> MaskReader | None:
    """The reader of the mask of an image: NAME.png in the folder, as COLMAP's mask_path has it."""
    if masks is None or not os.path.isfile(masks / f'{name}.png'):
        return None
    return partial(read_mask, masks / f'{name}.png')


def _is_model(folder: Path) -> bool:
    return any((folder / f'cameras{suffix}').is_file() for suffix in SUFFIXES)


def _other_models(path: Path, folder: Path) -> list[str]:
    """The other models of a project: COLMAP begins a new one where images do not join."""
    if path == folder or not folder.name.isdecimal():
        return []
    others = [
        other
        for other in (folder.parent, *natural_order(folder.parent.iterdir()))
        if other != folder and _is_model(other)
    ]
    return [
        f'the model {other}: {folder} is read; name the other one to read it' for other in others
    ]


def _world_from_camera(image: ColmapImage) -> np.ndarray | LeftOut:
    w, x, y, z = image.quaternion_wxyz
    pose = rigid_pose(poses_from_rows(np.array([[*image.translation, x, y, z, w]]))[0])
    if isinstance(pose, str):
        return LeftOut(pose, quoted(f'{image.name}: {w:g} {x:g} {y:g} {z:g}'))
    return np.linalg.inv(pose)


def find_images(
    source: FileSource,
    model: Path,
    names: Sequence[str],
    images: Path | None,
) -> list[Path]:
    """The file of each image of a model, in the folder that holds most of them.

    A name that is not found as it is written is looked for with other slashes, another case or
    another Unicode form, and without its first folders. Images that the model does not register
    are told.
    """
    path = source.path
    places = (
        [images]
        if images
        else list(
            dict.fromkeys(
                [
                    path / 'images',
                    path,
                    model / 'images',
                    model.parent / 'images',
                    model.parent.parent / 'images',
                    model.parent.parent.parent / 'images',
                ]
            )
        )
    )
    places = [place for place in places if place.is_dir()]
    count: dict[Path, int] = {}
    for place in places:
        count[place] = sum(os.path.isfile(place / name) for name in names)
        if count[place] == len(names):
            break
    best = max(count, key=count.__getitem__, default=None)
    for place in [best] if best and count[best] else places:
        files = files_named(source, place, names)
        if any(map(os.path.isfile, files)):
            _tell_unregistered(source, place, model, files)
            return files
    where = f'in {images}' if images else 'beside the model'
    raise SourceError(
        f'{path}: none of the {len(names)} images of the model, such as '
        f'{quoted(names[0])}, was found {where}: name the folder that they lie in '
        'with --images'
    )


def _tell_unregistered(
    source: FileSource, folder: Path, model: Path, files: Sequence[Path]
) -> None:
    """Tell how many images beside those of the model are on disk."""
    files = [file for file in files if os.path.isfile(file)]
    used = {os.path.realpath(file) for file in files}
    if folder in (model, *model.parents):  # what else lies there need not be of the project
        there = [
            file
            for parent in {file.parent for file in files}
            for file in parent.iterdir()
            if is_image_file(file) and file.is_file()
        ]
    else:
        there = images_below(folder)
    others = natural_order(file for file in there if os.path.realpath(file) not in used)
    if others:
        source.unread.add(
            f'{len(others)} of {len(there)} images of {folder}, which the model '
            f'does not register: {some_names(others)}'
        )


def _given(camera: Camera) -> Calibration:
    """Give the same camera for images of any size."""
    return lambda size_wh: camera


def _camera(folder: Path, number: int, camera: ColmapCamera) -> Camera:
    """A camera of ours; an error names the one of the model."""
    try:
        return camera_from_colmap(camera.model, camera.size_wh, camera.parameters)
    except CameraError as error:
        raise CameraError(f'{folder}, camera {number}: {error}') from None
