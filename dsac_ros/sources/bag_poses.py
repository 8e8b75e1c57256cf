# SPDX-License-Identifier: Apache-2.0
"""Poses of the camera of a bag: from its TF tree, from a topic of poses, or from a TUM file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.bag_file import BagFile
from dsac_ros.sources.camera_poses import OPTICAL, CameraPoses, PoseOptions, add_optical
from dsac_ros.sources.pose_frames import optical_frame, pose_child
from dsac_ros.sources.pose_topics import (
    PATH,
    PoseMessages,
    Whose,
    likely_topics,
    pose_topics,
    read_pose_messages,
    trajectory_of,
)
from dsac_ros.sources.source import Notes
from dsac_ros.sources.tf_tree import RESET, TfTree, goes_back
from dsac_ros.sources.trajectory_files import read_trajectory

DEFAULT_MAP_FRAME = 'map'
COMPARED = 20  # poses of a topic that are compared with TF, to find whose they are
SAME_POSE = 0.05  # [m], and in the entries of a rotation


def find_poses(
    bag: BagFile,
    image_topic: str,
    frame_id: str,
    options: PoseOptions,
    assumptions: Notes,
    unread: Notes,
) -> CameraPoses:
    """The poses that the options name, or the only ones that there are.

    Args:
        bag: the bag.
        image_topic: the topic of the images.
        frame_id: header.frame_id of the images.
        options: what the user said.
        assumptions: what had to be assumed is added to these.
        unread: messages that could not be read are added to these.
    """
    where, topics = options.where, pose_topics(bag)
    if where in bag.topics and where not in topics:
        raise SourceError(
            f'{bag.path}: topic {where} is {bag.topics[where].type}, expected '
            f'poses: {", ".join(topics) or "this bag has no topic of poses"}'
        )
    likely = likely_topics(bag)
    topic = where if where in topics else likely[0] if where is None and len(likely) == 1 else None
    # One pass over the bag collects the tree and whatever poses may be needed.
    found = read_pose_messages(bag, topic, image_topic)
    for name in found.of_others:
        unread.add(f'{name} is the TF of another robot than that of {image_topic}')
    for (source, reason), count in found.left_out.items():
        unread.add(f'{count} messages of {source} cannot be read ({reason})')
    if options.image_frame:
        add_optical(found.tree, options.image_frame.lstrip('/'), frame_id, assumptions)
    search = _Search(bag, frame_id, options, found, assumptions, unread)
    if where is not None and where.startswith('tf:'):
        poses = search.by_tree(where[3:].lstrip('/'))
    elif where is not None and topic is None:
        poses = search.by_file(where, topics)
    elif where is None and search.tree_leads_to(DEFAULT_MAP_FRAME):
        poses = search.by_tree(DEFAULT_MAP_FRAME)
    elif topic is not None:
        poses = search.by_topic(topic)
    else:
        raise SourceError(search.nothing_found(topics))
    search.tell_of_tree(poses)
    return poses


@dataclass(frozen=True)
class _Search:
    """The ways to the poses of one bag."""

    bag: BagFile
    frame_id: str
    options: PoseOptions
    found: PoseMessages
    assumptions: Notes
    unread: Notes

    @property
    def tree(self) -> TfTree:
        return self.found.tree

    @property
    def named_frame(self) -> str:
        """The frame of the camera by the options or the images, not yet asked for its axes."""
        return (self.options.image_frame or self.frame_id).lstrip('/')

    @property
    def _camera_in_tree(self) -> str:
        """The frame of the camera that a user named, for poses by TF; '' for none."""
        return (self.options.image_frame or self.options.pose_frame).lstrip('/')

    def by_tree(self, world: str) -> CameraPoses:
        """The poses by which TF leads from the camera to a frame."""
        camera = self._camera_in_tree or self._optical('--pose-frame')
        if not self.tree.reaches(world, camera) or world not in self.tree.frames:
            raise SourceError(
                f'{self.bag.path}: TF does not lead from {camera or "the camera"} '
                f'to {world}, {self._frames()}{self._help(camera)}'
            )
        return self._poses(world, camera)

    def by_file(self, where: str, topics: list[str]) -> CameraPoses:
        """The poses of a TUM file."""
        if not Path(where).is_file():
            raise SourceError(
                f'{self.bag.path}: there are no poses at {where!r}, expected '
                f'tf:FRAME, a TUM file, or a topic: '
                f'{", ".join(topics) or "this bag has none of poses"}'
            )
        moving = self.options.pose_frame.lstrip('/')
        read = read_trajectory(Path(where))
        for line in read.assumptions:
            self.assumptions.add(line)
        for line in read.unread:
            self.unread.add(line)
        return self._carried(DEFAULT_MAP_FRAME, moving, read.trajectory)

    def by_topic(self, topic: str) -> CameraPoses:
        """The poses of a topic, carried from their frame to the camera."""
        whose, samples = self._samples(topic)
        trajectory, broken = trajectory_of(samples)
        if not len(trajectory):
            raise SourceError(
                f'{self.bag.path}: not one of the {broken} poses of {topic} is '
                'finite and has a rotation; name other poses with --poses'
            )
        if broken:
            self.assumptions.add(
                f'{broken} poses of {topic} are not finite or have a quaternion '
                'of zeros, and count as missing'
            )
        if goes_back([sample[0] for sample in samples]):
            self.assumptions.add(f'the clock of {topic} {RESET}')
        if self.bag.topics[topic].type == PATH:
            self.assumptions.add(
                f'the poses of {topic} are those of its longest message, {len(samples)} of them'
            )
        moving = self.options.pose_frame.lstrip('/') or whose.child
        if not moving:
            moving = self._child(topic, whose.world, trajectory)
        return self._carried(whose.world or DEFAULT_MAP_FRAME, moving, trajectory)

    def tree_leads_to(self, world: str) -> bool:
        """Return whether TF has a frame and leads to it from the camera."""
        camera = self._camera_in_tree or self.frame_id.lstrip('/') or ''.join(self._only_optical())
        return world in self.tree.frames and self.tree.reaches(world, camera)

    def tell_of_tree(self, poses: CameraPoses) -> None:
        """Add what was assumed of the transforms between the camera and where the poses end."""
        for text in self.tree.contradictions:
            self.assumptions.add(text)
        end = poses.world if poses.trajectory is None else poses.moving_frame
        for edge in self.tree.held(end, poses.camera_frame) if end else ():
            self.assumptions.add(f'TF {edge} never changes and is taken to hold throughout')

    def nothing_found(self, topics: list[str]) -> str:
        """Why no poses were found without being told where."""
        camera = self._camera_in_tree or self.frame_id.lstrip('/')
        text = (
            f'{self.bag.path}: TF does not lead from {camera or "the camera"} to '
            f'{DEFAULT_MAP_FRAME}'
        )
        if topics:
            return (
                f'{text} and there are {len(topics)} topics of poses: name one of '
                f'{", ".join(topics)} with --poses'
            )
        if not self.tree.frames:
            return f'{text} and there is no topic of poses; give a TUM file with --poses'
        root = ([camera] + self.tree.above(camera))[-1]
        cure = (
            f'; name the fixed one, for example --poses tf:{root}'
            if root != camera
            else self._help(camera)
        )
        return f'{text} and there is no topic of poses, {self._frames()}{cure}'

    def _samples(self, topic: str) -> tuple[Whose, list[tuple[Any, ...]]]:
        """The samples of a topic; of several frames those that lead to the camera."""
        found = self.found.samples
        if not found:
            raise SourceError(
                f'{self.bag.path}: no message of {topic} can be read; name other '
                'poses with --poses'
            )
        wanted = self.options.pose_frame.lstrip('/')
        fitting = [whose for whose in found if whose.child == wanted] if wanted else []
        fitting = fitting or [
            whose
            for whose in found
            if whose.child and self.tree.reaches(whose.child, self.named_frame)
        ]
        if len(found) == 1:
            fitting = list(found)
        if len(fitting) != 1:
            raise SourceError(
                f'{self.bag.path}: {topic} holds poses of '
                + ', '.join(sorted(f'{child or "?"} in {world or "?"}' for world, child in found))
                + ', expected those of one frame: name it with --pose-frame'
            )
        return fitting[0], found[fitting[0]]

    def _child(self, topic: str, world: str, trajectory: Trajectory) -> str:
        """The frame that poses are of whose messages do not say it: '' is the camera."""
        camera = self.named_frame
        optical = optical_frame(camera, self.tree.below(camera))
        if len(optical) == 1:
            camera = optical[0]
        if self.tree.frames and camera not in self.tree.frames:
            raise SourceError(
                f'{self.bag.path}: the poses of {topic} do not say which frame they '
                f'are of, and TF does not know {camera or "that of the images"}, '
                f'{self._frames()}: name it with --pose-frame, and the frame of the '
                'images with --image-frame if it is another'
            )
        frames = pose_child(camera, self.tree.above(camera), world)
        if len(frames) > 1:
            agreeing = [frame for frame in frames if self._agrees(world, frame, trajectory)]
            if len(agreeing) != 1:
                raise SourceError(
                    f'{self.bag.path}: the poses of {topic} do not say which frame '
                    f'they are of, and TF has {", ".join(frames)}: name it with '
                    '--pose-frame'
                )
            self.assumptions.add(
                f'the poses of {topic} are those of {agreeing[0]}, as TF says; '
                '--pose-frame names another frame'
            )
            return agreeing[0]
        self.assumptions.add(
            f'the poses of {topic} are those of the camera, as they name no '
            'frame and TF no other; --pose-frame names another'
        )
        return ''

    def _agrees(self, world: str, frame: str, trajectory: Trajectory) -> bool:
        """Return whether TF has the poses of a trajectory for a frame."""
        step = -(-len(trajectory) // COMPARED)
        found = [
            (self.tree.lookup(world, frame, int(stamp), self.options.max_gap_ns), pose)
            for stamp, pose in zip(trajectory.stamps_ns[::step], trajectory.world_from_x[::step])
        ]
        known = [(by_tf, pose) for by_tf, pose in found if not isinstance(by_tf, str)]
        return bool(known) and all(np.abs(by_tf - pose).max() < SAME_POSE for by_tf, pose in known)

    def _carried(self, world: str, moving: str, trajectory: Trajectory) -> CameraPoses:
        """Poses of a frame, with the camera that hangs from it; '' is the camera."""
        camera = self.named_frame
        if moving and (moving != camera or not self.options.pose_frame):
            camera = self._optical('--image-frame')
            if not self.tree.reaches(moving, camera):
                cure = self._help(camera) or '; record /tf_static as well'
                raise SourceError(
                    f'{self.bag.path}: the poses are of {moving} and TF does not '
                    f'lead from there to {camera or "the camera"}, '
                    f'{self._frames()}{cure}, or name the frame that they are of '
                    'with --pose-frame'
                )
        return self._poses(world, camera, trajectory, moving)

    def _poses(
        self, world: str, camera: str, trajectory: Trajectory | None = None, moving: str = ''
    ) -> CameraPoses:
        """The poses of a camera as the options have them."""
        options = self.options
        if trajectory is not None:
            trajectory = trajectory.converted(replace(options.convention, axes=None))
        return CameraPoses(
            world,
            self.tree,
            camera,
            trajectory,
            moving,
            options.max_gap_ns,
            options.convention,
            options.delay_ns,
        )

    def _optical(self, option: str) -> str:
        """The frame with the axes of the images; one that does not say so is asked for."""
        if self.options.image_frame:
            return self.named_frame
        frame = self.frame_id.lstrip('/')
        if not frame:
            only = self._only_optical()
            if only:
                self.assumptions.add(
                    f'the frame_id of the images is empty, and the only optical '
                    f'frame in TF is taken, {only[0]}; --image-frame names '
                    'another'
                )
                return only[0]
            raise SourceError(
                f'{self.bag.path}: the frame_id of the images is empty, '
                f'{self._frames()}: name that of the camera with --image-frame'
            )
        optical = optical_frame(frame, self.tree.below(frame))
        if not optical:
            raise SourceError(
                f'{self.bag.path}: the images are of {frame}, by its name the body '
                'of a camera, and TF has no optical frame below it: give '
                f'{option} {frame} if its axes are x right, y down, z forward, or '
                f'--image-frame {frame}{OPTICAL} if they are x forward, y left, z '
                'up'
            )
        if len(optical) > 1:
            raise SourceError(
                f'{self.bag.path}: the images are of {frame}, which has the optical '
                f'frames {", ".join(optical)}: name one with {option}'
            )
        if optical[0] != frame:
            self.assumptions.add(
                f'the images are of {frame}, a body by its name, and its optical '
                f'frame {optical[0]} is taken; --image-frame names another'
            )
        elif 'optical' not in frame:
            self.assumptions.add(
                f'the frame {frame} of the images is taken as optical (x right, '
                'y down, z forward), which its name does not say; --image-frame '
                'names another'
            )
        return optical[0]

    def _only_optical(self) -> list[str]:
        """The optical frame in TF if there is one and no other."""
        optical = [name for name in self.tree.frames if 'optical' in name]
        return optical if len(optical) == 1 else []

    def _frames(self) -> str:
        frames = self.tree.frames
        return f'the frames in it are {", ".join(frames)}' if frames else 'there is no TF'

    def _help(self, camera: str) -> str:
        """The cure where TF does not know the camera at all."""
        if not self.tree.frames or camera in self.tree.frames:
            return ''
        return (
            '; the frame of the images is none of them: record /tf_static as well, or name '
            'another with --image-frame'
        )
