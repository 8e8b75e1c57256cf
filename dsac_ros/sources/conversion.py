# SPDX-License-Identifier: Apache-2.0
"""Frames of any source, written as a bag, a folder of some layout or a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.resample import Resampler, Resamplers
from dsac_ros.sources.bag_topics import MASK
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.colmap_writer import write_colmap
from dsac_ros.sources.euroc_writer import write_euroc
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.frame_files_writer import whole_folder
from dsac_ros.sources.kapture_writer import write_kapture
from dsac_ros.sources.trajectory_files import write_tum
from dsac_ros.sources.transforms_writer import write_transforms
from dsac_ros.types import Camera, Frame, PosedFrame

START_NS = 1_700_000_000_000_000_000  # where made-up stamps begin: a time that ROS takes as valid
DEPTH, MASKS, STAMPS, IMAGES, POINTS = 'depth', 'masks', 'stamps', 'images', 'points of a model'
FolderFormat = Callable[[Path, Iterable[PosedFrame], str], int]


def write_posed_folder(
    path: Path, frames: Iterable[PosedFrame], image_suffix: str = '.png', map_frame: str = 'map'
) -> int:
    """Write frames into a folder in the layout of DSAC* and ACE; returns how many."""
    with FolderWriter(path, map_frame=map_frame, image_suffix=image_suffix) as folder:
        for posed in frames:
            folder.write(posed.frame, posed.world_from_camera)
    return folder.count


FORMATS: dict[str, FolderFormat] = {
    'euroc': write_euroc,
    'kapture': write_kapture,
    'colmap': write_colmap,
}
#: Contents of frames, besides images, intrinsics and poses, that each target can hold.
HOLDS = {
    'bag': {IMAGES, DEPTH, MASKS, STAMPS},
    'folder': {IMAGES, DEPTH, MASKS, STAMPS},
    'transforms': {IMAGES, DEPTH, MASKS, STAMPS},
    'euroc': {IMAGES, STAMPS},
    'kapture': {IMAGES, DEPTH, STAMPS},
    'colmap': {IMAGES, MASKS},
    'tum': {STAMPS},
}
#: Targets for which stamps are made up where frames have none.
NEED_STAMPS = ('bag', 'folder', 'euroc', 'kapture', 'tum')


@dataclass(frozen=True)
class BagNames:
    """Frames and topics of a bag that is written; pose_topic '' puts the poses into TF."""

    map_frame: str = 'map'
    camera_frame: str = 'camera_optical'
    camera: str = '/camera'
    pose_topic: str = ''
    compressed: bool = False


def write_bag(
    path: Path, frames: Iterable[PosedFrame], names: BagNames, storage: str = 'mcap'
) -> int:
    """Write frames as a bag of images, intrinsics and poses; returns how many."""
    count = 0
    with BagWriter(path, storage) as bag:
        for posed in frames:
            _write_posed(bag, posed, names)
            count += 1
    return count


def _write_posed(bag: BagWriter, posed: PosedFrame, names: BagNames) -> None:
    frame, stamp, optical = posed.frame, posed.frame.stamp_ns, names.camera_frame
    if names.pose_topic:
        bag.pose(names.pose_topic, names.map_frame, stamp, posed.world_from_camera)
    else:
        bag.transform(names.map_frame, optical, stamp, posed.world_from_camera)
    bag.camera_info(f'{names.camera}/camera_info', optical, stamp, frame.camera)
    if frame.depth is not None:
        bag.depth(f'{names.camera}/aligned_depth/image_raw', optical, stamp, frame.depth)
    if frame.mask is not None:
        bag.mask(f'{names.camera}/{MASK}', optical, stamp, frame.mask)
    if names.compressed:
        bag.compressed_image(f'{names.camera}/image_raw/compressed', optical, stamp, frame.image)
    else:
        bag.image(f'{names.camera}/image_raw', optical, stamp, frame.image)


def write_folder(
    path: Path,
    frames: Iterable[PosedFrame],
    map_frame: str = 'map',
    image_suffix: str = '.png',
    kind: str = 'folder',
    has_stamps: bool = True,
) -> int:
    """Write frames as a folder of a format; returns how many.

    The folder stands under its name when it is complete; where something ends it, nothing stays.

    Args:
        path: the folder.
        frames: to write.
        map_frame: frame of the poses, which the layout of DSAC* and ACE holds.
        image_suffix: .png or .jpg.
        kind: folder, transforms, or one of FORMATS.
        has_stamps: the frames have stamps of their own.
    """
    with whole_folder(path) as partial:
        if kind == 'folder':
            return write_posed_folder(partial, frames, image_suffix, map_frame)
        if kind == 'transforms':
            return write_transforms(partial, frames, image_suffix, has_stamps)
        return FORMATS[kind](partial, frames, image_suffix)


def write_trajectory(path: Path, frames: Iterable[PosedFrame]) -> int:
    """Write the poses of frames as TUM's trajectory; returns how many."""
    poses = [(posed.frame.stamp_ns, posed.world_from_camera) for posed in frames]
    write_tum(path, [stamp for stamp, _ in poses], [pose for _, pose in poses])
    return len(poses)


class Contents:
    """Contents of frames that pass: what they hold, and what of it a target cannot."""

    def __init__(self, has_stamps: bool) -> None:
        """Takes whether the frames have stamps of their own."""
        self.found = {IMAGES: 0, STAMPS: 0, DEPTH: 0, MASKS: 0, POINTS: 0}
        self._has_stamps = has_stamps

    def counted(self, frames: Iterable[PosedFrame]) -> Iterator[PosedFrame]:
        """Yield the frames, and count what they hold."""
        for posed in frames:
            held = {
                IMAGES: True,
                STAMPS: self._has_stamps,
                DEPTH: posed.frame.depth is not None,
                MASKS: posed.frame.mask is not None,
                POINTS: posed.points is not None,
            }
            for name, there in held.items():
                self.found[name] += there
            yield posed

    def lost(self, kind: str) -> list[str]:
        """Return what a target of a kind cannot hold of the frames that passed."""
        return [name for name, count in self.found.items() if count and name not in HOLDS[kind]]


def restamped(frames: Iterable[PosedFrame], rate_hz: float) -> Iterator[PosedFrame]:
    """The frames at a steady rate, for sources that have no stamps of their own."""
    if not rate_hz > 0:
        raise SourceError(f'rate is {rate_hz} Hz, expected a positive number')
    for index, posed in enumerate(frames):
        stamp = START_NS + round(index * 1e9 / rate_hz)
        yield replace(posed, frame=replace(posed.frame, stamp_ns=stamp))


def undistorted(frames: Iterable[PosedFrame]) -> Iterator[PosedFrame]:
    """The frames as an ideal pinhole of about the same size sees them."""
    resamplers = Resamplers.to_own_size()
    for posed in frames:
        yield PosedFrame(
            _ideal(posed.frame, resamplers(posed.frame.camera)), posed.world_from_camera
        )


def _ideal(frame: Frame, resampler: Resampler) -> Frame:
    depth = None if frame.depth is None else resampler.depth(frame.depth.astype(np.float32))
    return replace(
        frame,
        image=resampler(frame.image),
        depth=depth,
        mask=resampler.valid_mask(frame.mask),
        camera=Camera(resampler.size_wh, resampler.matrix),
    )
