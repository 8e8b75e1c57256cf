# SPDX-License-Identifier: Apache-2.0
"""Poses of a camera at any stamp, out of a trajectory and a tree of transforms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dsac_ros.config import PoseConvention
from dsac_ros.geometry.pose_convention import world_from_camera
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.poses import missing_pose, rigid_pose
from dsac_ros.sources.source import MAX_GAP_NS, Notes
from dsac_ros.sources.tf_tree import TfTree

OPTICAL = '_optical'  # suffix of the frame with the axes of an image, by REP 103
BODY_FROM_OPTICAL = (0.0, 0.0, 0.0, -0.5, 0.5, -0.5, 0.5)
FAR_NS = 3600 * 10**9  # off by more than this a stamp is of another clock


@dataclass(frozen=True)
class PoseOptions:
    """The options of a user for the poses of a bag; '' and None leave it to the bag.

    where is tf:FRAME, a topic or a TUM file; pose_frame the frame whose poses they are;
    image_frame the optical frame of the images in TF, in place of their frame_id. convention says
    what the poses mean, delay_ns how far they lag behind the images.
    """

    where: str | None = None
    pose_frame: str = ''
    image_frame: str = ''
    max_gap_ns: int = MAX_GAP_NS
    convention: PoseConvention = field(default_factory=PoseConvention)
    delay_ns: int = 0


@dataclass(frozen=True)
class CameraPoses:
    """world_from_camera at any stamp: a trajectory of `moving_frame`, carried on by the tree.

    Without a trajectory the tree alone leads from the camera to the world. convention is that of
    the tree's poses then; else the trajectory is in ours but for the axes, which are always those
    of the camera. delay_ns is how far poses lag behind the images.
    """

    world: str
    tree: TfTree
    camera_frame: str
    trajectory: Trajectory | None = None
    moving_frame: str = ''
    max_gap_ns: int = MAX_GAP_NS
    convention: PoseConvention = field(default_factory=PoseConvention)
    delay_ns: int = 0

    def at(self, stamp_ns: int) -> np.ndarray | str:
        """The pose (4, 4) of an image with a stamp, or why there is none."""
        stamp_ns += self.delay_ns
        if self.trajectory is None:
            pose = self.tree.lookup(self.world, self.camera_frame, stamp_ns, self.max_gap_ns)
            return (
                pose
                if isinstance(pose, str)
                else rigid_pose(world_from_camera(pose, self.convention))
            )
        world_from_moving = self.trajectory.at(stamp_ns, self.max_gap_ns)
        if world_from_moving is None:
            return missing_pose(self.trajectory, stamp_ns, self.max_gap_ns, 'the poses')
        moving_from_camera: np.ndarray | str = np.eye(4)
        if self.moving_frame not in ('', self.camera_frame):
            moving_from_camera = self.tree.lookup(
                self.moving_frame, self.camera_frame, stamp_ns, self.max_gap_ns
            )
        if isinstance(moving_from_camera, str):
            return moving_from_camera
        return rigid_pose(
            world_from_camera(
                world_from_moving @ moving_from_camera, PoseConvention(axes=self.convention.axes)
            )
        )

    @property
    def span(self) -> str:
        """Say when the poses begin and end, for a message."""
        begin, end = self._limits()
        return (
            f'the poses are of {begin / 1e9:.3f} to {end / 1e9:.3f} s'
            if begin <= end
            else 'the poses have no stamps'
        )

    def is_far_from(self, stamp_ns: int) -> bool:
        """Return whether a stamp must be of another clock than the poses."""
        begin, end = self._limits()
        return begin <= end and not begin - FAR_NS <= stamp_ns <= end + FAR_NS

    def _limits(self) -> tuple[int, int]:
        """The first and the last stamp [ns], (1, 0) without any."""
        if self.trajectory is None:
            return self.tree.limits
        stamps = self.trajectory.stamps_ns
        return (int(stamps[0]), int(stamps[-1])) if len(stamps) else (1, 0)


def add_optical(tree: TfTree, frame: str, image_frame: str, assumptions: Notes) -> None:
    """Let a frame that TF does not know hang from the body that its name begins with."""
    body = frame.removesuffix(OPTICAL)
    if body != frame and body in (image_frame, *tree.frames) and frame not in tree.frames:
        tree.add(body, frame, 0, BODY_FROM_OPTICAL, static=True)
        assumptions.add(
            f'{frame}, which TF does not know, is {body} with the axes of an optical frame'
        )
