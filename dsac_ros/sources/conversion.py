# SPDX-License-Identifier: Apache-2.0
"""Frames of any source, written as a bag, a folder or a trajectory."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.resample import Resampler, Resamplers
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.trajectory_files import write_tum
from dsac_ros.types import Camera, Frame, PosedFrame

START_NS = 1_700_000_000_000_000_000  # where made-up stamps begin: a time that ROS takes as valid


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
    if names.compressed:
        bag.compressed_image(f'{names.camera}/image_raw/compressed', optical, stamp, frame.image)
    else:
        bag.image(f'{names.camera}/image_raw', optical, stamp, frame.image)


def write_folder(
    path: Path, frames: Iterable[PosedFrame], map_frame: str = 'map', image_suffix: str = '.png'
) -> int:
    """Write frames in the layout of DSAC* and ACE; returns how many.

    The folder stands under its name when it is complete; where something ends it, nothing stays.
    """
    path = path.absolute()
    partial = path.with_name(f'.{path.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with FolderWriter(partial, map_frame=map_frame, image_suffix=image_suffix) as folder:
            for posed in frames:
                folder.write(posed.frame, posed.world_from_camera)
        partial.rename(path)  # over an empty folder too
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder.count


def write_trajectory(path: Path, frames: Iterable[PosedFrame]) -> int:
    """Write the poses of frames as TUM's trajectory; returns how many."""
    poses = [(posed.frame.stamp_ns, posed.world_from_camera) for posed in frames]
    write_tum(path, [stamp for stamp, _ in poses], [pose for _, pose in poses])
    return len(poses)


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
