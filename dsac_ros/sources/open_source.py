# SPDX-License-Identifier: Apache-2.0
"""Opens any source of frames, recognised by what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from dsac_ros.config import OPTICAL, PoseConvention
from dsac_ros.errors import SourceError
from dsac_ros.geometry.pose_convention import axes_from_optical
from dsac_ros.sources.bag import BagSource
from dsac_ros.sources.bag_file import is_bag
from dsac_ros.sources.calibration_files import (
    Calibration,
    calibration_from_focal,
    named_calibration,
    read_calibration,
)
from dsac_ros.sources.camera_poses import PoseOptions
from dsac_ros.sources.colmap import find_model, find_models_below
from dsac_ros.sources.file_sources import EXPECTED, is_transforms, open_files, tum_file
from dsac_ros.sources.folder_odometry import recompute_poses
from dsac_ros.sources.rendered import open_rendered
from dsac_ros.sources.source import MAX_GAP_NS, Source
from dsac_ros.sources.trajectory_files import read_trajectory
from dsac_ros.sources.video import VideoSource, is_video

POINTS = 'points'  # the depth of those of a COLMAP model


def open_source(
    path: Path | str,
    *,
    image_topic: str | None = None,
    info_topic: str | None = None,
    poses: str | None = None,
    pose_frame: str | None = None,
    image_frame: str | None = None,
    depth: str = 'auto',
    depth_unit_m: float | None = None,
    focal: float | None = None,
    images: Path | str | None = None,
    stride: int = 1,
    max_gap_ns: int = MAX_GAP_NS,
    recorded_time: bool = False,
    convention: PoseConvention | None = None,
    pose_delay_ns: int = 0,
    map_odom: str | None = None,
) -> Source:
    """The source at `path`.

    Args:
        path: a bag, a folder, a file of poses, a video or an image; `rendered:SEED[:FRAMES]` is a
            drive through a rendered room.
        image_topic: image topic of a bag; None takes the only one.
        info_topic: CameraInfo topic of a bag; None takes the one beside the image. A file here is
            a calibration (focal length, 3x3 matrix, YAML or XML of ROS, OpenCV or Kalibr) for any
            kind of source; FILE:CAMERA takes one camera of several.
        poses: tf:FRAME or a topic of a bag; a TUM file; a folder of pose files in the layout.
        pose_frame: the frame that the poses are of, where a bag does not say it.
        image_frame: the optical frame of the images in TF, where a bag does not say it.
        depth: 'auto', 'off', 'points' for those of a COLMAP model, or the depth topic of a bag.
        depth_unit_m: the unit of depth in a bag or transforms.json [m], where it does not say it.
        focal: focal length [px] of a pinhole, instead of any other calibration.
        images: the folder of the images of a COLMAP model, where it is not beside the model.
        stride: take every so-many-th frame.
        max_gap_ns: the longest gap between two poses that is interpolated.
        recorded_time: take images of a bag at the time when they were recorded.
        convention: what the poses mean; None is ours.
        pose_delay_ns: how far poses lag behind the images: that of an image is looked up so much
            later.
        map_odom: a TUM file of map -> odom, for a dataset recorded with odometry: poses are
            recomputed from both.
    """
    convention = convention or PoseConvention()
    axes_from_optical(convention.axes or OPTICAL)
    if str(path).startswith('rendered:'):
        if (convention, pose_delay_ns, map_odom) != (PoseConvention(), 0, None):
            raise SourceError(
                f'{path} has exact poses, expected no options of another convention, a delay or '
                'another map -> odom'
            )
        return open_rendered(str(path), stride, depth != 'off')
    path = Path(path)
    if not path.exists():
        raise SourceError(f'{path} does not exist, {EXPECTED}')
    named = named_calibration(info_topic) if info_topic is not None else None
    if named is not None:
        info_topic = None
    calibration_of = _calibration_given(named, focal)
    images = _images_folder(path, images)
    if map_odom is not None:
        _check_map_odom(path, map_odom, (poses, convention, pose_delay_ns))
    if is_bag(path):
        options = PoseOptions(
            poses, pose_frame or '', image_frame or '', max_gap_ns, convention, pose_delay_ns
        )
        return BagSource(
            path,
            image_topic=image_topic,
            info_topic=info_topic,
            poses=options,
            depth=depth,
            depth_unit_m=depth_unit_m,
            calibration=calibration_of,
            stride=stride,
            recorded_time=recorded_time,
        )
    _refuse_options(
        path,
        (
            ('--pose-frame', pose_frame),
            ('--image-frame', image_frame),
            ('--depth-unit', None if is_transforms(path) else depth_unit_m),
            ('--stamps', recorded_time or None),
        ),
    )
    _refuse_topics(
        path,
        (
            ('--image', image_topic, 'no such option'),
            ('--camera-info', info_topic, 'a calibration file that exists'),
            (
                '--depth',
                None if depth in ('auto', 'off') or _has_points(path, depth) else depth,
                'auto or off, or points for a COLMAP model',
            ),
        ),
    )
    calibration = calibration_of('') if calibration_of else None
    if is_video(path):
        return _open_video(
            path,
            calibration,
            stride,
            tum_file(path, poses),
            max_gap_ns,
            convention,
            pose_delay_ns,
        )
    source = open_files(
        path,
        calibration,
        depth != 'off',
        poses,
        images,
        max_gap_ns,
        depth_unit_m,
        depth == POINTS,
    )
    if map_odom is not None:
        recompute_poses(source, Path(map_odom), max_gap_ns)
    else:
        source.interpret_poses(convention, pose_delay_ns, max_gap_ns)
    source.files = source.files[::stride]
    return source


def _has_points(path: Path, depth: str) -> bool:
    """Return True if the depth asked for is that of a COLMAP model's points."""
    return depth == POINTS and path.is_dir() and bool(find_model(path) or find_models_below(path))


def _check_map_odom(path: Path, map_odom: str, others: tuple[object, ...]) -> None:
    """Refuse --map-odom without its file, for what is no dataset, or beside other poses."""
    if not Path(map_odom).is_file():
        raise SourceError(f'--map-odom {map_odom} does not exist, expected a TUM file')
    if is_bag(path) or not path.is_dir():
        raise SourceError(
            f'--map-odom is for a dataset that the mapper recorded, and {path} is none: leave it '
            'out'
        )
    if others != (None, PoseConvention(), 0):
        raise SourceError(
            f'--map-odom {map_odom} makes the poses of {path}: leave out --poses and options of '
            'another convention or a delay'
        )


def _refuse_options(path: Path, options: Iterable[tuple[str, object]]) -> None:
    """Refuse options that only bags have, where they are given."""
    for option, given in options:
        if given is not None:
            raise SourceError(f'{option} is for bags, and {path} is none: leave it out')


def _refuse_topics(path: Path, options: Iterable[tuple[str, str | None, str]]) -> None:
    """Refuse the names of topics, each with what its option expects instead."""
    for option, topic, expected in options:
        if topic is not None:
            raise SourceError(
                f'{option} {topic}: {path} is no bag and has no topics, expected {expected}'
            )


def _open_video(
    path: Path,
    calibration: Calibration | None,
    stride: int,
    tum: Path | None,
    max_gap_ns: int,
    convention: PoseConvention,
    pose_delay_ns: int,
) -> VideoSource:
    """A video, with the poses of a TUM file if one is named."""
    read = read_trajectory(tum) if tum else None
    video = VideoSource(
        path,
        calibration=calibration,
        stride=stride,
        max_gap_ns=max_gap_ns,
        trajectory=read.trajectory.converted(convention) if read else None,
        pose_delay_ns=pose_delay_ns,
    )
    if read:
        read.tell(video)
    return video


def _images_folder(path: Path, images: Path | str | None) -> Path | None:
    """The folder of the images that is named for a COLMAP model."""
    if images is None:
        return None
    if not (path.is_dir() and (find_model(path) or find_models_below(path))):
        raise SourceError(
            f'--images {images}: {path} is no COLMAP model and has its images with '
            'it, expected no such option'
        )
    if not Path(images).is_dir():
        raise SourceError(
            f'--images {images} is no folder, expected the one that the image names '
            f'of {path} lie in'
        )
    return Path(images)


def _calibration_given(
    named: tuple[Path, str] | None,
    focal: float | None,
) -> Callable[[str], Calibration] | None:
    """The calibration that options name, made for an image topic; None where they name none."""
    if focal is not None:
        return lambda topic: calibration_from_focal(focal)
    if named is None:
        return None
    path, name = named
    return lambda topic: read_calibration(path, topic=topic, name=name)
