# SPDX-License-Identifier: Apache-2.0
"""Poses in the messages of a bag: its TF tree, and the samples of a topic."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.bag_file import BagFile
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.sources.poses import poses_from_rows
from dsac_ros.sources.tf_tree import TfTree

TF_TYPES = ('tf2_msgs/msg/TFMessage', 'tf/msg/tfMessage')
STAMPED = 'geometry_msgs/msg/PoseStamped'
WITH_COVARIANCE = 'geometry_msgs/msg/PoseWithCovarianceStamped'
ODOMETRY = 'nav_msgs/msg/Odometry'
TRANSFORM = 'geometry_msgs/msg/TransformStamped'
PATH = 'nav_msgs/msg/Path'
POSE_TYPES = (STAMPED, WITH_COVARIANCE, ODOMETRY, TRANSFORM, PATH)
# Poses that somebody asks for: where the robot starts, where it shall go.
COMMANDS = ('initialpose', 'goal_pose', 'goal', 'current_goal', 'clicked_pose')


class Whose(NamedTuple):
    """The frame that poses are given in, and that they are of: '' where it is not said."""

    world: str
    child: str


@dataclass
class PoseMessages:
    """The TF tree and the samples (stamp, x y z qx qy qz qw) of a topic, per pair of frames.

    left_out counts messages that could not be read, per topic and reason; of_others are the
    topics with the TF of other robots, whose frames may have the same names.
    """

    tree: TfTree = field(default_factory=TfTree)
    samples: dict[Whose, list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    of_others: list[str] = field(default_factory=list)

    def leave_out(self, topic: str, reason: str) -> None:
        """Count a message that could not be read."""
        self.left_out[topic, reason] += 1


def pose_topics(bag: BagFile) -> list[str]:
    """The topics that may say where the camera was."""
    return [topic.name for topic in bag.of_type(*POSE_TYPES)]


def likely_topics(bag: BagFile) -> list[str]:
    """The topics to take without being told: those of the robot's pose before derived ones."""
    found = [
        topic
        for topic in bag.of_type(*POSE_TYPES)
        if topic.name.rsplit('/', 1)[-1] not in COMMANDS
    ]
    plain = [topic.name for topic in found if topic.type not in (TRANSFORM, PATH)]
    return plain or [topic.name for topic in found]


def tf_topics(bag: BagFile, image_topic: str) -> list[str]:
    """The topics of TF, without those of other robots than that of the images.

    Where one namespace is that of the images, the others are of other robots; none is global.
    """
    topics = [topic.name for topic in bag.of_type(*TF_TYPES)]
    own = [
        topic
        for topic in topics
        if _namespace(topic) and image_topic.startswith(f'{_namespace(topic)}/')
    ]
    return [topic for topic in topics if not own or topic in own or not _namespace(topic)]


def _namespace(topic: str) -> str:
    return topic.rpartition('/')[0]


def read_pose_messages(bag: BagFile, pose_topic: str | None, image_topic: str) -> PoseMessages:
    """The TF tree of a bag, and the poses of a topic if one is named, in one pass."""
    topics = tf_topics(bag, image_topic)
    found = PoseMessages(
        of_others=[topic.name for topic in bag.of_type(*TF_TYPES) if topic.name not in topics]
    )
    is_path = pose_topic is not None and bag.topics[pose_topic].type == PATH
    if pose_topic and not is_path:
        topics.append(pose_topic)
    for topic, _, message in bag.messages(topics, found.leave_out):
        if topic == pose_topic:
            _add_sample(found, message)
            continue
        for one in message.transforms:
            found.tree.add(
                one.header.frame_id,
                one.child_frame_id,
                stamp_ns(one.header.stamp),
                _row(one.transform.translation, one.transform.rotation),
                static=topic.endswith('tf_static'),
            )
    if pose_topic and is_path:
        _add_path(found, bag, pose_topic)
    return found


def trajectory_of(samples: list[tuple[Any, ...]]) -> tuple[Trajectory, int]:
    """The trajectory of samples, and how many of them are not finite or have no rotation."""
    stamps = np.array([sample[0] for sample in samples], dtype=np.int64)
    poses = poses_from_rows(np.array([sample[1:] for sample in samples]))
    return (Trajectory(stamps, poses), int(np.count_nonzero(~np.isfinite(poses).all(axis=(1, 2)))))


def _add_sample(found: PoseMessages, message: Any) -> None:
    """Add what a message of one pose or transform says."""
    if hasattr(message, 'transform'):
        row = _row(message.transform.translation, message.transform.rotation)
    else:
        pose = message.pose if hasattr(message.pose, 'position') else message.pose.pose
        row = _row(pose.position, pose.orientation)
    whose = Whose(
        message.header.frame_id.lstrip('/'), getattr(message, 'child_frame_id', '').lstrip('/')
    )
    found.samples[whose].append((stamp_ns(message.header.stamp), *row))


def _add_path(found: PoseMessages, bag: BagFile, topic: str) -> None:
    """Add the poses of the longest path; of equal ones the last, which was corrected most."""
    path = bag.longest_message(topic, found.leave_out)
    if path is None:
        return
    samples = [
        (stamp_ns(one.header.stamp), *_row(one.pose.position, one.pose.orientation))
        for one in path.poses
    ]
    if len(samples) > 1 and len({sample[0] for sample in samples}) == 1:
        raise SourceError(
            f'{bag.path}: the {len(samples)} poses of {topic} have one stamp, '
            'expected a path that was driven, with the stamp of every pose; name '
            'other poses with --poses'
        )
    found.samples[Whose(path.header.frame_id.lstrip('/'), '')] += samples


def _row(position: Any, orientation: Any) -> tuple[float, ...]:
    return (
        position.x,
        position.y,
        position.z,
        orientation.x,
        orientation.y,
        orientation.z,
        orientation.w,
    )
