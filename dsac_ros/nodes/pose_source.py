# SPDX-License-Identifier: Apache-2.0
"""Poses of images from TF or from a topic, interpolated at the image stamp, never extrapolated."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from dsac_ros.errors import SourceError
from dsac_ros.geometry.covariance import covariance_at, is_covariance
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.nodes.conversions import matrix_from_pose
from dsac_ros.nodes.covariances import Covariances, CovarianceTopic
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.mapper_parameters import MapperParameters
from dsac_ros.nodes.missing_inputs import Input
from dsac_ros.nodes.overridable_qos import needs_reliable_publisher, subscribe
from dsac_ros.nodes.sample_times import Limits, reason_at
from dsac_ros.nodes.transforms import SETTLING_TIME_S, Transforms, TransformUnavailable
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.sources.pose_frames import pose_child

#: pose_source -> type of the messages on `pose` and its name.
TYPES = {
    'pose': (PoseStamped, 'geometry_msgs/msg/PoseStamped'),
    'pose_with_covariance': (
        PoseWithCovarianceStamped,
        'geometry_msgs/msg/PoseWithCovarianceStamped',
    ),
    'odometry': (Odometry, 'nav_msgs/msg/Odometry'),
}
MAX_POSES = 500
POLL_S = 0.01
#: Largest difference of one pose by TF and by a topic, of any matrix entry [m or none].
SAME_POSE = 0.05


class PoseUnavailable(Exception):
    """The pose of an image is unknown; the message is the reason."""


class PoseSource:
    """Looks up map_from_camera and what is known beside it.

    `at` may block and must run in a worker thread. covariance_topic is the full name of the topic
    that covariances come from.
    """

    def __init__(
        self, node: Node, values: MapperParameters, transforms: Transforms, watch: InputWatch
    ) -> None:
        self._node, self.values, self._transforms = node, values, transforms
        self._lock = threading.Lock()
        self._poses: deque[tuple[int, np.ndarray]] = deque(maxlen=MAX_POSES)
        self._child, self._frame_by_tf, self._problem = '', '', ''
        self._subscription = None
        self._covariances, self._beside_tf = Covariances(), None
        if values.pose_source == 'tf':
            transforms.watch(watch)
            self._beside_tf = CovarianceTopic(node)
            self.covariance_topic = self._beside_tf.name
            return
        message, kind = TYPES[values.pose_source]
        self._subscription = subscribe(
            node,
            message,
            'pose',
            self._on_pose,
            QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT),
        )
        # The recorder's last images still ask when the subscription is closed.
        self._topic = self.covariance_topic = self._subscription.topic_name
        self._feed = watch.expect(
            Input(
                'poses',
                'pose',
                self._topic,
                kind,
                {
                    other: f'pose_source:={name}'
                    for name, (_, other) in TYPES.items()
                    if other != kind
                },
                reliable=needs_reliable_publisher(self._subscription),
            ),
            once=True,
        )

    def close(self) -> None:
        """Destroy the subscriptions."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        if self._beside_tf is not None:
            self._beside_tf.close()

    def forget(self) -> None:
        """Drop the poses on the topic: they are of another run of the clock."""
        with self._lock:
            self._poses.clear()

    def covariance(self, stamp: int) -> np.ndarray | None:
        """Return the covariance (6, 6) that poses have at a stamp [ns]; None if unknown."""
        return (self._covariances if self._beside_tf is None else self._beside_tf).at(stamp)

    def camera_covariance(
        self, stamp: int, image_frame: str, map_from_camera: np.ndarray
    ) -> np.ndarray | None:
        """Return the covariance (6, 6) of a camera's pose at a stamp [ns]; None if unknown.

        That of the localizer, carried from the frame that it localizes to the camera. Zero says
        that the localizer does not know it.
        """
        covariance = self.covariance(stamp)
        if covariance is None or not covariance.any() or not is_covariance(covariance):
            return None
        limits = Limits(max_gap_s=self.values.pose_max_gap)
        try:
            camera_frame = self._transforms.optical_frame(image_frame, self.values.camera_frame)
            localized = self._localized_frame(camera_frame)
            camera_from_localized = self._transforms.lookup(camera_frame, localized, stamp, limits)
        except TransformUnavailable:
            return None
        return covariance_at(covariance, -map_from_camera[:3, :3] @ camera_from_localized[:3, 3])

    def _localized_frame(self, camera_frame: str) -> str:
        """Return the frame that the localizer localizes: below odometry, or below the map."""
        if self._beside_tf is None:
            return self.values.pose_frame or self._child or self._frame_by_tf or camera_frame
        chain = [camera_frame, *self._transforms.edges.ancestors(camera_frame)]
        world = (self.values.odom_frame, self.values.map_frame)
        below = [frame for frame, parent in zip(chain, chain[1:]) if parent in world]
        return below[0] if below else camera_frame

    def odometry(self, stamp: int, image_frame: str) -> np.ndarray | None:
        """Return odom_from_camera (4, 4) at a stamp [ns], without waiting; None without one."""
        values = self.values
        if not values.odom_frame:
            return None
        limits = Limits(max_gap_s=values.pose_max_gap)
        try:
            camera_frame = self._transforms.optical_frame(image_frame, values.camera_frame)
            return self._transforms.lookup(values.odom_frame, camera_frame, stamp, limits)
        except TransformUnavailable:
            return None

    @property
    def has_odometry(self) -> bool:
        """True if TF knows the odometry frame, so that odometry can be waited for."""
        return self.values.odom_frame in self._transforms.edges.frames

    def at(self, stamp: int, image_frame: str, left_s: float | None = None) -> np.ndarray:
        """Return map_from_camera (4, 4) at a stamp.

        Args:
            stamp: of the image [ns].
            image_frame: frame_id of the image; the parameter camera_frame overrides it.
            left_s: what is left of pose_timeout [s]; None: all of it.

        Raises:
            PoseUnavailable: there is no pose after that.
        """
        values = self.values
        limits = Limits(
            values.pose_timeout, 'pose_timeout', values.pose_max_gap, 'pose_max_gap', left_s
        )
        try:
            camera_frame = self._transforms.optical_frame(image_frame, values.camera_frame)
            if values.pose_source == 'tf':
                return self._transforms.lookup(values.map_frame, camera_frame, stamp, limits)
            map_from_child = self._from_topic(stamp, limits)
            child = self._child_frame(camera_frame, stamp, map_from_child)
            return map_from_child @ self._transforms.lookup(child, camera_frame, stamp, limits)
        except TransformUnavailable as error:
            raise PoseUnavailable(str(error)) from None

    def _child_frame(self, camera_frame: str, stamp: int, pose: np.ndarray) -> str:
        """Return the child frame of the poses on the topic; PoseUnavailable if ambiguous."""
        named = self.values.pose_frame or self._child or self._frame_by_tf
        if named:
            return named
        topic, edges = self._topic, self._transforms.edges
        frames = edges.frames
        if frames and camera_frame not in frames:
            raise PoseUnavailable(
                f'the child frame of the poses on {topic} is unknown, and TF does not contain '
                f'the frame of the image, {camera_frame!r}, only '
                f'{", ".join(frames)}: set camera_frame to one of these, or pose_frame'
            )
        candidates = pose_child(camera_frame, edges.ancestors(camera_frame), self.values.map_frame)
        if len(candidates) > 1:
            matching = [frame for frame in candidates if self._matches_tf(frame, stamp, pose)]
            if len(matching) != 1:
                raise PoseUnavailable(
                    f'the child frame of the poses on {topic} may be '
                    f'{" or ".join(candidates)}: set pose_frame to the right one'
                )
            (self._frame_by_tf,) = matching
            self._node.get_logger().warning(
                f'the poses on {topic} are assumed to be those of '
                f'{self._frame_by_tf}, which matches TF (override: '
                'pose_frame)'
            )
            return self._frame_by_tf
        if not self._transforms.is_settled:
            raise PoseUnavailable(
                f'the child frame of the poses on {topic} is unknown until TF has been received '
                f'for {SETTLING_TIME_S:g} s: set pose_frame to avoid the wait'
            )
        return camera_frame

    def _matches_tf(self, frame: str, stamp: int, pose: np.ndarray) -> bool:
        """Return whether TF and the topic agree on the pose of a frame at a stamp."""
        try:
            by_tf = self._transforms.lookup(self.values.map_frame, frame, stamp)
        except TransformUnavailable:
            return False
        return bool(np.abs(by_tf - pose).max() < SAME_POSE)

    def _from_topic(self, stamp: int, limits: Limits) -> np.ndarray:
        end = time.monotonic() + limits.wait_s
        while True:
            with self._lock:
                samples, problem = sorted(self._poses, key=lambda s: s[0]), self._problem
            stamps = [sample[0] for sample in samples]
            reason = problem or self._feed.reason
            if samples:
                missing = reason_at(self._topic, stamps, stamp, limits)
                if not missing:
                    poses = np.stack([sample[1] for sample in samples])
                    return Trajectory(np.array(stamps), poses).at(
                        stamp, round(limits.max_gap_s * 1e9)
                    )
                reason = problem or missing
            if time.monotonic() >= end:
                raise PoseUnavailable(reason)
            time.sleep(POLL_S)

    def _on_pose(self, message: Any) -> None:
        self._feed.arrived()
        pose = message.pose if hasattr(message.pose, 'position') else message.pose.pose
        frame = message.header.frame_id
        try:
            if frame.lstrip('/') != self.values.map_frame:
                raise SourceError(
                    f'poses are given in frame {frame!r}, expected {self.values.map_frame!r}: '
                    + (
                        f'set map_frame to {frame} if the map is to be in that frame'
                        if frame
                        else 'their publisher must set header.frame_id'
                    )
                )
            sample = stamp_ns(message.header.stamp), matrix_from_pose(pose)
        except SourceError as error:
            with self._lock:
                self._problem = str(error)
            return
        with self._lock:
            self._problem = ''
            self._child = getattr(message, 'child_frame_id', '').lstrip('/')
            self._poses.append(sample)
        if hasattr(message.pose, 'covariance'):
            self._covariances.add(sample[0], message.pose.covariance)
