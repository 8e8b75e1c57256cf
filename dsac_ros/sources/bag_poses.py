# SPDX-License-Identifier: Apache-2.0
"""Where a bag says the camera was: in its TF tree, in a topic of poses, or in a TUM file."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.bag_file import BagFile
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.sources.poses import poses_from_rows, rigid_pose
from dsac_ros.sources.source import MAX_GAP_NS
from dsac_ros.sources.tf_tree import TfTree
from dsac_ros.sources.trajectory_files import read_tum

TF_TYPES = ('tf2_msgs/msg/TFMessage', 'tf/msg/tfMessage')
ODOMETRY = 'nav_msgs/msg/Odometry'
STAMPED = 'geometry_msgs/msg/PoseStamped'
WITH_COVARIANCE = 'geometry_msgs/msg/PoseWithCovarianceStamped'
POSE_TYPES = (STAMPED, WITH_COVARIANCE, ODOMETRY)
DEFAULT_MAP_FRAME = 'map'


@dataclass(frozen=True)
class CameraPoses:
    """world_from_camera at any stamp: a trajectory of `moving_frame`, carried on by the tree.

    Without a trajectory the tree alone leads from the camera to the world.
    """

    world: str
    tree: TfTree
    camera_frame: str
    trajectory: Trajectory | None = None
    moving_frame: str = ''
    max_gap_ns: int = MAX_GAP_NS

    def at(self, stamp_ns: int) -> np.ndarray | str:
        """The pose (4, 4) at a stamp, or why there is none."""
        if self.trajectory is None:
            pose = self.tree.lookup(self.world, self.camera_frame, stamp_ns, self.max_gap_ns)
            return (f'no TF from {self.camera_frame} to {self.world} around its stamp'
                    if pose is None else rigid_pose(pose))
        world_from_moving = self.trajectory.at(stamp_ns, self.max_gap_ns)
        if world_from_moving is None:
            return 'a stamp outside the poses or in a gap of them'
        if self.moving_frame in ('', self.camera_frame):
            return rigid_pose(world_from_moving)
        moving_from_camera = self.tree.lookup(self.moving_frame, self.camera_frame, stamp_ns,
                                              self.max_gap_ns)
        if moving_from_camera is None:
            return f'no TF from {self.camera_frame} to {self.moving_frame} around its stamp'
        return rigid_pose(world_from_moving @ moving_from_camera)


def find_poses(bag: BagFile, camera_frame: str, where: str | None, *,
               pose_frame: str | None = None, max_gap_ns: int = MAX_GAP_NS) -> CameraPoses:
    """The poses that `where` names: tf:FRAME, a topic, a TUM file; None finds them.

    pose_frame is the frame whose poses they are, where the bag does not say it or says it wrong;
    by default the child of an Odometry, else the camera.
    """
    topics = [t.name for t in bag.of_type(*POSE_TYPES)]
    is_topic = where in bag.topics
    if is_topic and where not in topics:
        raise SourceError(f'{bag.path}: topic {where} is {bag.topics[where].type}, expected '
                          f'poses: {", ".join(topics) or "this bag has no topic of poses"}')
    # One pass over the bag collects the tree and whatever poses may be needed.
    read = [where] if is_topic else topics if where is None and len(topics) == 1 else []
    tree, rows, frames = read_tree_and_poses(bag, read[0] if read else None)
    if where is not None and where.startswith('tf:'):
        return _from_tree(bag, tree, where[3:].lstrip('/'), pose_frame or camera_frame, max_gap_ns)
    if where is not None and not is_topic:
        return CameraPoses(DEFAULT_MAP_FRAME, tree, camera_frame, _tum(bag, where, topics),
                           _moving(tree, pose_frame or '', camera_frame, bag), max_gap_ns)
    if where is None:
        camera = pose_frame or camera_frame
        if DEFAULT_MAP_FRAME in tree.frames and tree.reaches(DEFAULT_MAP_FRAME, camera):
            return _from_tree(bag, tree, DEFAULT_MAP_FRAME, camera, max_gap_ns)
        if not read:
            raise SourceError(_nothing_found(bag, tree, camera, topics))
    world, child = frames
    stamps = np.array([row[0] for row in rows], dtype=np.int64)
    trajectory = Trajectory(stamps, poses_from_rows(np.array([row[1:] for row in rows])))
    moving = _moving(tree, pose_frame or child, camera_frame, bag)
    return CameraPoses(world, tree, camera_frame, trajectory, moving, max_gap_ns)


def read_tree_and_poses(bag: BagFile, pose_topic: str | None,
                        ) -> tuple[TfTree, list[tuple], tuple[str, str]]:
    """The TF tree of a bag; stamps and rows of a topic of poses; its frame and child frame."""
    tree, rows, frames = TfTree(), [], (DEFAULT_MAP_FRAME, '')
    topics = [t.name for t in bag.of_type(*TF_TYPES)] + ([pose_topic] if pose_topic else [])
    for topic, _, message in bag.messages(topics):
        if topic == pose_topic:
            pose = message.pose if hasattr(message.pose, 'position') else message.pose.pose
            rows.append((stamp_ns(message.header.stamp), *_row(pose.position, pose.orientation)))
            frames = (message.header.frame_id.lstrip('/') or DEFAULT_MAP_FRAME,
                      getattr(message, 'child_frame_id', '').lstrip('/'))
            continue
        for one in message.transforms:
            tree.add(one.header.frame_id, one.child_frame_id, stamp_ns(one.header.stamp),
                     _row(one.transform.translation, one.transform.rotation),
                     static=topic.endswith('tf_static'))
    return tree, rows, frames


def _row(position: Any, orientation: Any) -> tuple[float, ...]:
    return (position.x, position.y, position.z,
            orientation.x, orientation.y, orientation.z, orientation.w)


def _from_tree(bag: BagFile, tree: TfTree, world: str, camera: str, max_gap_ns: int,
               ) -> CameraPoses:
    if not (world in tree.frames and tree.reaches(world, camera)):
        raise SourceError(f'{bag.path}: TF does not lead from {camera} to {world}, the frames in '
                          f'it are {", ".join(tree.frames) or "none"}')
    return CameraPoses(world, tree, camera, max_gap_ns=max_gap_ns)


def _moving(tree: TfTree, moving: str, camera: str, bag: BagFile) -> str:
    """The frame that a trajectory is of, checked that the camera can be reached from it."""
    moving = moving.lstrip('/')
    if moving and not tree.reaches(moving, camera):
        raise SourceError(f'{bag.path}: the poses are of {moving} and TF does not lead from there '
                          f'to {camera}: record tf_static, or name the frame that they are of')
    return moving


def _tum(bag: BagFile, where: str, topics: list[str]) -> Trajectory:
    if not Path(where).is_file():
        raise SourceError(f'{bag.path}: there are no poses at {where!r}, expected tf:FRAME, a TUM '
                          f'file, or a topic: {", ".join(topics) or "this bag has none of poses"}')
    return read_tum(Path(where))


def _nothing_found(bag: BagFile, tree: TfTree, camera: str, topics: list[str]) -> str:
    """Why no poses were found without being told where."""
    if topics:
        return (f'{bag.path}: TF does not lead from {camera} to {DEFAULT_MAP_FRAME} and there are '
                f'{len(topics)} topics of poses: name one of {", ".join(topics)}')
    hint = (f'it holds the frames {", ".join(tree.frames)}; name the fixed one as tf:FRAME'
            if tree.frames else 'give a TUM file')
    return (f'{bag.path}: no poses: TF does not lead from {camera} to {DEFAULT_MAP_FRAME} and '
            f'there is no topic of poses; {hint}')
