# SPDX-License-Identifier: Apache-2.0
"""Source whose frames are files, listed beforehand and read one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsac_ros.config import AXES_HELP, PoseConvention
from dsac_ros.errors import CameraError, ImageError
from dsac_ros.geometry.camera import camera_of_image
from dsac_ros.geometry.pose_convention import is_mirrored, world_from_camera
from dsac_ros.geometry.sparse_depth import sparse_depth
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.image_files import read_image
from dsac_ros.sources.poses import missing_pose
from dsac_ros.sources.source import MAX_GAP_NS, LeftOut, Source, count_one
from dsac_ros.types import Camera, Frame, PosedFrame, TrackedPoints

DepthReader = Callable[[tuple[int, int]], np.ndarray]  # of an image's size_wh
MaskReader = Callable[[tuple[int, int]], np.ndarray]
MIRRORED = (
    f'say with --pose-axes where x, y and z of the camera point ({AXES_HELP}); opencv '
    'where only the world is mirrored'
)
NO_DEPTH = 'depth that is missing or cannot be decoded'
NO_MASK = 'a mask that is missing or cannot be decoded'


@dataclass(frozen=True)
class FrameFiles:
    """Files of one frame; calibration makes the camera of an image of a given size_wh.

    depth and mask raise ImageError where their file is of no use. Where there is no pose, no_pose
    says why. points reads those that the image shows, in the frame of its pose; with
    depth_of_points they are the depth of a frame with a pose, in place of `depth`.
    """

    name: str
    image: Path
    stamp_ns: int
    calibration: Callable[[tuple[int, int]], Camera]
    depth: DepthReader | None = None
    world_from_camera: np.ndarray | None = None
    no_pose: LeftOut | str = 'no pose file'
    mask: MaskReader | None = None
    points: Callable[[], TrackedPoints] | None = None
    depth_of_points: bool = False

    def posed(self, pose: np.ndarray | LeftOut) -> FrameFiles:
        """The same frame with its pose, or with the reason why it has none."""
        return (
            replace(self, no_pose=pose)
            if isinstance(pose, LeftOut)
            else replace(self, world_from_camera=pose)
        )

    def converted(self, convention: PoseConvention) -> FrameFiles:
        """The same frame with its pose in our convention, or with the reason why it has none."""
        given = self.world_from_camera
        if given is None:
            return self
        if convention.axes is None and is_mirrored(given):
            return replace(
                self,
                world_from_camera=None,
                no_pose=LeftOut(
                    'a mirrored pose',
                    'a determinant of -1: one of its frames is left-handed',
                    MIRRORED,
                ),
            )
        points = self.points
        if replace(convention, scale=1.0) != PoseConvention():
            points = None  # of another frame than the poses, then
        elif points is not None and convention.scale != 1.0:
            points = scaled(points, convention.scale)
        return replace(self, world_from_camera=world_from_camera(given, convention), points=points)


class FileSource(Source):
    """Frames that are files, listed beforehand and read one by one.

    trajectory is where their poses come from, read from trajectory_path; None where each has its
    own.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        files: Sequence[FrameFiles],
        *,
        has_stamps: bool = True,
        map_frame: str = 'map',
    ) -> None:
        """Takes the list of files in the order in which they are to be read."""
        super().__init__(path)
        self.kind, self.files = kind, list(files)
        self.trajectory: Trajectory | None = None
        self.trajectory_path: Path | None = None
        self.has_stamps, self.map_frame = has_stamps, map_frame

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def interpret_poses(self, convention: PoseConvention, delay_ns: int, max_gap_ns: int) -> None:
        """Convert the poses to our convention, then take those that lag behind the frames.

        Converted samples are interpolated, since the inverse of a path is none, and a mirrored
        pose has no quaternion.
        """
        if self.trajectory is None:
            self.files = [one.converted(convention) for one in self.files]
        posed = [one for one in self.files if one.world_from_camera is not None]
        if self.trajectory is not None:
            trajectory = self.trajectory.converted(convention)
            self._tell_unused(trajectory.earlier(delay_ns))
        elif delay_ns and posed:
            trajectory = Trajectory(
                np.array([one.stamp_ns for one in posed]),
                np.array([one.world_from_camera for one in posed]),
            )
        else:
            return
        self.files = with_trajectory(self.files, trajectory, max_gap_ns, delay_ns)

    def _tell_unused(self, trajectory: Trajectory) -> None:
        """Record how much of a trajectory lies before or after the images."""
        stamps, images = trajectory.stamps_ns, [one.stamp_ns for one in self.files]
        outside = int(((stamps < min(images)) | (stamps > max(images))).sum()) if images else 0
        if outside:
            self.unread.add(
                f'{outside} of {len(stamps)} poses of {self.trajectory_path}, which '
                'are before or after the images'
            )

    def _frames(self) -> Iterator[Frame | LeftOut]:
        for files in self.files:
            yield self._read(files)

    def _posed_frames(self) -> Iterator[PosedFrame | LeftOut | str]:
        for files in self.files:
            if files.world_from_camera is None:
                yield files.no_pose
                continue
            frame = self._read(files)
            yield (
                frame
                if isinstance(frame, LeftOut)
                else PosedFrame(frame, files.world_from_camera.copy(), files.points)
            )

    def _read(self, files: FrameFiles) -> Frame | LeftOut:
        """The frame, without depth or mask whose file is of no use, or why it cannot be read."""
        if not os.path.isfile(files.image):
            return LeftOut('an image file that is missing', str(files.image))
        try:
            image = read_image(files.image, self.assume)
        except ImageError as error:
            return LeftOut('an image file that cannot be decoded', str(error))
        size_wh = (image.shape[1], image.shape[0])
        camera = files.calibration(size_wh)
        try:
            camera = camera_of_image(camera, size_wh)
        except CameraError as error:
            raise CameraError(f'{files.image}: {error}') from None
        for text in camera.assumptions:
            self.assume(text)
        depth = self._depth(files, camera)
        mask = self._beside(files.mask, size_wh, NO_MASK)
        return Frame(image, camera, files.stamp_ns, files.name, depth, mask)

    def _depth(self, files: FrameFiles, camera: Camera) -> np.ndarray | None:
        """The depth of a frame: measured, or that of the points that its image shows."""
        if not files.depth_of_points:
            return self._beside(files.depth, camera.size_wh, NO_DEPTH)
        if files.points is None or files.world_from_camera is None:
            count_one(self.missing, 'points whose frame is that of the pose')
            return None
        points = files.points().points_world
        return sparse_depth(points, np.linalg.inv(files.world_from_camera), camera)

    def _beside(
        self, read: DepthReader | MaskReader | None, size_wh: tuple[int, int], missing: str
    ) -> np.ndarray | None:
        """Contents of a file beside the image; None, and counted, where it is of no use."""
        try:
            return read(size_wh) if read else None
        except ImageError:
            count_one(self.missing, missing)
            return None


def scaled(points: Callable[[], TrackedPoints], factor: float) -> Callable[[], TrackedPoints]:
    """Return what reads the same points in another unit of length."""

    def read() -> TrackedPoints:
        found = points()
        return replace(found, points_world=factor * found.points_world)

    return read


def with_trajectory(
    files: Sequence[FrameFiles],
    trajectory: Trajectory,
    max_gap_ns: int = MAX_GAP_NS,
    delay_ns: int = 0,
) -> list[FrameFiles]:
    """The same files with the poses that a trajectory, late by a delay, has at their stamps."""
    stamps, given = [one.stamp_ns for one in files], trajectory.stamps_ns
    trajectory = trajectory.earlier(delay_ns)
    detail = (
        f'the images are from {_seconds(stamps)}, the poses from {_seconds(given)}'
        if stamps and len(given)
        else ''
    )
    cure = (
        f'where both begin together, use --pose-delay {(given[0] - min(stamps)) / 1e9:.3f}'
        if detail and not any(map(trajectory.covers, stamps))
        else ''
    )
    return [
        replace(
            one,
            world_from_camera=trajectory.at(one.stamp_ns, max_gap_ns),
            points=None,
            no_pose=LeftOut(
                missing_pose(trajectory, one.stamp_ns, max_gap_ns, 'the trajectory'), detail, cure
            ),
        )
        for one in files
    ]


def _seconds(stamps_ns: Sequence[int] | np.ndarray) -> str:
    """The first and the last of some stamps, in seconds."""
    return f'{min(stamps_ns) / 1e9:.3f} to {max(stamps_ns) / 1e9:.3f} s'
