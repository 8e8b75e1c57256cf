# SPDX-License-Identifier: Apache-2.0
"""Opens sources whose frames are files, recognised by the files that lie there."""

from __future__ import annotations

from pathlib import Path

from dsac_ros.errors import SourceError
from dsac_ros.sources.arkit_scenes import find_arkit, open_arkit
from dsac_ros.sources.beside import told_contents
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.cambridge import is_cambridge, open_cambridge
from dsac_ros.sources.colmap import find_model, find_models_below, open_colmap
from dsac_ros.sources.euroc import find_camera, open_euroc
from dsac_ros.sources.file_names import natural_order
from dsac_ros.sources.folder import POSES, is_scene_folder, open_folder
from dsac_ros.sources.frame_files import FileSource
from dsac_ros.sources.image_files import is_image_file, list_images
from dsac_ros.sources.indoor6 import is_indoor6, open_indoor6
from dsac_ros.sources.kapture import find_kapture, open_kapture
from dsac_ros.sources.plain_images import open_images
from dsac_ros.sources.polycam import find_keyframes, open_polycam
from dsac_ros.sources.record3d import PACKED, find_metadata, open_record3d
from dsac_ros.sources.seven_scenes import is_seven_scenes, open_seven_scenes
from dsac_ros.sources.trajectory_files import add_trajectory
from dsac_ros.sources.transforms_json import find_transforms, open_transforms
from dsac_ros.sources.tum import is_tum_folder, open_tum_folder
from dsac_ros.sources.twelve_scenes import is_twelve_scenes, open_twelve_scenes
from dsac_ros.sources.video import is_video

EXPECTED = (
    'expected a bag (rosbag2 folder, .mcap, .db3, .bag, packed or not), a folder '
    'with rgb/ poses/ calibration/, 7-Scenes, 12-Scenes, Cambridge Landmarks, Indoor-6, '
    'TUM RGB-D, EuRoC, kapture, a COLMAP model, a transforms.json, Record3D, ARKitScenes, '
    'a video, or images'
)


def open_files(
    path: Path,
    calibration: Calibration | None,
    depth: bool,
    poses: str | None,
    images: Path | None,
    max_gap_ns: int,
    depth_unit_m: float | None = None,
    depth_of_points: bool = False,
) -> FileSource:
    """A source whose frames are files, with the poses of a TUM file put in if one is named.

    Args:
        path: of the source.
        calibration: stands in the place of that of the source.
        depth: read measured depth.
        poses: a TUM file, or for the layout of DSAC* and ACE a folder.
        images: folder of the images of a COLMAP model.
        max_gap_ns: the longest gap between two poses that is interpolated.
        depth_unit_m: unit of the depth of a transforms.json [m].
        depth_of_points: take the depth of a COLMAP model's points.
    """
    tum = Path(poses) if poses is not None and Path(poses).is_file() else None
    if images is None and (is_image_file(path) or (path.is_dir() and _is_plain(path))):
        source = open_images(path, calibration)
    elif is_seven_scenes(path):
        source = open_seven_scenes(path, calibration)
    elif is_twelve_scenes(path):
        source = open_twelve_scenes(path, calibration)
    elif is_cambridge(path):
        source = open_cambridge(path, calibration)
    elif is_indoor6(path):
        source = open_indoor6(path, calibration)
    elif is_tum_folder(path):
        source = open_tum_folder(path, calibration, depth, max_gap_ns)
    elif find_model(path):
        source = open_colmap(path, calibration, images, depth_of_points)
    elif find_camera(path):
        source = open_euroc(path, calibration, max_gap_ns)
    elif find_kapture(path):
        source = open_kapture(path, calibration, depth)
    elif find_metadata(path):
        source = open_record3d(path, calibration)
    elif find_keyframes(path):
        source = open_polycam(path, calibration, depth)
    elif find_arkit(path):
        source = open_arkit(path, calibration, depth, max_gap_ns)
    elif is_transforms(path):
        source = open_transforms(path, calibration, depth, depth_unit_m)
    elif path.is_dir() and is_scene_folder(path):
        named = POSES if tum else _pose_folder(path, poses)
        return _with_tum(open_folder(path, calibration, depth, named), tum, max_gap_ns)
    elif path.is_file() and path.suffix.lower() == PACKED:
        raise SourceError(
            f'{path} is a packed capture of Record3D, expected a folder: unpack it (it is a zip '
            'file) and name that'
        )
    elif path.is_dir() and not any(path.iterdir()):
        raise SourceError(f'{path} is an empty folder, {EXPECTED}')
    else:
        source = open_colmap(_model_below(path), calibration, images, depth_of_points)
    return _with_tum(source, tum_file(path, poses), max_gap_ns)


def is_transforms(path: Path) -> bool:
    """Return True if a path is read as a transforms.json: the file, or a folder of no other kind.

    A model or layout that lies beside such a file, as made from it, goes first.
    """
    return find_transforms(path) is not None and not (path.is_dir() and _is_layout(path))


def _pose_folder(path: Path, poses: str | None) -> str:
    """The folder of pose files that is named for a folder in the layout: in it, or elsewhere."""
    if poses is None or (path / poses).is_dir():
        return poses or POSES
    if not Path(poses).is_dir():
        raise SourceError(
            f'{path} has no poses at {poses!r}, expected a folder of pose files, or a TUM file'
        )
    return str(Path(poses).absolute())


def _model_below(path: Path) -> Path:
    """The only COLMAP model in the folders of what is no other source."""
    models = find_models_below(path) if path.is_dir() else []
    if not models:
        videos = list(filter(is_video, natural_order(path.iterdir()))) if path.is_dir() else []
        hint = f'; it holds the video {videos[0]}: name that' if videos else ''
        contents = told_contents(path) if path.is_dir() else ''
        raise SourceError(f'{path} is no source of frames{contents}, {EXPECTED}{hint}')
    if len(models) > 1:
        raise SourceError(
            f'{path} holds several COLMAP models: name one of {", ".join(map(str, models))}'
        )
    return models[0]


def tum_file(path: Path, poses: str | None) -> Path | None:
    """The trajectory that is named for the frames at `path`, if one is."""
    if poses is not None and not Path(poses).is_file():
        raise SourceError(f'{path} has no poses at {poses!r}, expected a TUM file that exists')
    return None if poses is None else Path(poses)


def _with_tum(source: FileSource, tum: Path | None, max_gap_ns: int) -> FileSource:
    if tum is not None:
        if not source.has_stamps:
            raise SourceError(
                f'{source.path} has no stamps, so that its images have no poses in '
                f'{tum}: {_stamps_expected(source)}'
            )
        add_trajectory(source, tum, max_gap_ns)
    return source


def _stamps_expected(source: FileSource) -> str:
    """The cure where the images of a source have no stamps."""
    if source.kind in ('folder', 'images') and source.path.is_dir():
        return 'expected images named by their stamps, or a stamps.txt of names and nanoseconds'
    return 'expected a bag, TUM RGB-D, or a folder of images with stamps'


def _is_plain(path: Path) -> bool:
    """Return True if a folder holds images and nothing that says more about them."""
    return bool(list_images(path)) and not (_is_layout(path) or find_transforms(path))


def _is_layout(path: Path) -> bool:
    """Return True if a folder is of a layout that more than one file makes."""
    return bool(
        is_seven_scenes(path)
        or is_twelve_scenes(path)
        or is_cambridge(path)
        or is_indoor6(path)
        or is_tum_folder(path)
        or is_scene_folder(path)
        or find_model(path)
        or find_camera(path)
        or find_kapture(path)
        or find_metadata(path)
        or find_keyframes(path)
        or find_arkit(path)
    )
