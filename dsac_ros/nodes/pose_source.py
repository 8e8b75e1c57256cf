# SPDX-License-Identifier: Apache-2.0
"""Where an image was taken, from TF or from a topic; at its own stamp, never extrapolated."""
from __future__ import annotations

import threading
import time
from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy

from dsac_ros.errors import SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.nodes.conversions import matrix_from_pose
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.missing_inputs import Input
from dsac_ros.nodes.sample_times import Limits, reason_at
from dsac_ros.nodes.transforms import SETTLES_S, Transforms, TransformUnavailable
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.sources.pose_frames import pose_child

#: pose_source -> type of the messages on `pose`, and its name.
TYPES = {'pose': (PoseStamped, 'geometry_msgs/msg/PoseStamped'),
         'pose_with_covariance': (PoseWithCovarianceStamped,
                                  'geometry_msgs/msg/PoseWithCovarianceStamped'),
         'odometry': (Odometry, 'nav_msgs/msg/Odometry')}
KEPT_POSES = 500
POLL_S = 0.01
#: Poses of one frame by TF and by a topic differ by less [m], also in the entries of a rotation.
SAME_POSE = 0.05


class NoPose(Exception):
    """The pose of an image is not known; the text says why."""


class PoseSource:
    """Answers with map_from_camera; `at` may wait and belongs into the worker thread."""

    def __init__(self, node: Any, values: SimpleNamespace, transforms: Transforms,
                 watch: InputWatch) -> None:
        self._node, self.values, self._transforms = node, values, transforms
        self._lock = threading.Lock()
        self._poses: deque[tuple[int, np.ndarray]] = deque(maxlen=KEPT_POSES)
        self._child, self._agreed, self._complaint = '', '', ''
        self._subscription = None
        if values.pose_source == 'tf':
            transforms.watch(watch)
            return
        message, kind = TYPES[values.pose_source]
        self._subscription = node.create_subscription(
            message, 'pose', self._on_pose,
            QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT))
        self._feed = watch.expect(Input(
            'poses', 'pose', self._subscription.topic_name, kind,
            {other: f'pose_source:={name}' for name, (_, other) in TYPES.items()
             if other != kind}), once=True)

    def close(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def at(self, stamp: int, image_frame: str) -> np.ndarray:
        """map_from_camera (4, 4) at a stamp [ns]; NoPose after pose_timeout.

        image_frame is the frame_id of the image, which parameter camera_frame overrides.
        """
        values = self.values
        limits = Limits(values.pose_timeout, 'pose_timeout', values.pose_max_gap, 'pose_max_gap')
        try:
            camera_frame = self._transforms.optical(image_frame, values.camera_frame)
            if values.pose_source == 'tf':
                return self._transforms.lookup(values.map_frame, camera_frame, stamp, limits)
            map_from_child = self._from_topic(stamp, limits)
            child = self._child_frame(camera_frame, stamp, map_from_child)
            return map_from_child @ self._transforms.lookup(child, camera_frame, stamp, limits)
        except TransformUnavailable as error:
            raise NoPose(str(error)) from None

    def _child_frame(self, camera_frame: str, stamp: int, pose: np.ndarray) -> str:
        """The frame that the poses are of, one of which is given; NoPose where it is not clear."""
        named = self.values.pose_frame or self._child or self._agreed
        if named:
            return named
        topic, edges = self._subscription.topic_name, self._transforms.edges
        frames = edges.frames
        if frames and camera_frame not in frames:
            raise NoPose(f'the poses on {topic} do not say of which frame they are, and TF does '
                         f'not know the frame of the image, {camera_frame!r}, only '
                         f'{", ".join(frames)}: set camera_frame to one of these, or pose_frame')
        may_be = pose_child(camera_frame, edges.above(camera_frame), self.values.map_frame)
        if len(may_be) > 1:
            agreeing = [frame for frame in may_be if self._agrees(frame, stamp, pose)]
            if len(agreeing) != 1:
                raise NoPose(f'the poses on {topic} do not say whether they are of '
                             f'{" or ".join(may_be)}: set pose_frame to the one that they are of')
            (self._agreed,) = agreeing
            self._node.get_logger().warning(f'the poses on {topic} are taken as those of '
                                            f'{self._agreed}, as TF says (pose_frame says '
                                            'otherwise)')
            return self._agreed
        if not self._transforms.is_settled:
            raise NoPose(f'the poses on {topic} do not say of which frame they are, and TF has '
                         f'not been heard for {SETTLES_S:g} s yet: pose_frame says it at once')
        return camera_frame

    def _agrees(self, frame: str, stamp: int, pose: np.ndarray) -> bool:
        """Return whether TF gives a frame the pose that the topic has at a stamp."""
        try:
            by_tf = self._transforms.lookup(self.values.map_frame, frame, stamp)
        except TransformUnavailable:
            return False
        return bool(np.abs(by_tf - pose).max() < SAME_POSE)

    def _from_topic(self, stamp: int, limits: Limits) -> np.ndarray:
        end = time.monotonic() + limits.timeout_s
        while True:
            with self._lock:
                samples, complaint = sorted(self._poses, key=lambda s: s[0]), self._complaint
            stamps = [sample[0] for sample in samples]
            reason = complaint or self._feed.reason
            if samples:
                missing = reason_at(self._subscription.topic_name, stamps, stamp, limits)
                if not missing:
                    poses = np.stack([sample[1] for sample in samples])
                    return Trajectory(np.array(stamps), poses).at(
                        stamp, round(limits.max_gap_s * 1e9))
                reason = complaint or missing
            if time.monotonic() >= end:
                raise NoPose(reason)
            time.sleep(POLL_S)

    def _on_pose(self, message: Any) -> None:
        self._feed.arrived()
        pose = message.pose if hasattr(message.pose, 'position') else message.pose.pose
        frame = message.header.frame_id
        try:
            if frame.lstrip('/') != self.values.map_frame:
                raise SourceError(
                    f'poses are given in frame {frame!r}, expected {self.values.map_frame!r}: '
                    + (f'set map_frame to {frame} if the map is to be in that frame' if frame else
                       'their publisher must set header.frame_id'))
            sample = stamp_ns(message.header.stamp), matrix_from_pose(pose)
        except SourceError as error:
            with self._lock:
                self._complaint = str(error)
            return
        with self._lock:
            self._complaint = ''
            self._child = getattr(message, 'child_frame_id', '').lstrip('/')
            self._poses.append(sample)
