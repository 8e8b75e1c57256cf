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
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable
from dsac_ros.sources.image_messages import stamp_ns

TYPES = {'pose': PoseStamped, 'pose_with_covariance': PoseWithCovarianceStamped,
         'odometry': Odometry}
KEPT_POSES = 500
POLL_S = 0.01


class NoPose(Exception):
    """The pose of an image is not known; the text says why."""


class PoseSource:
    """Answers with map_from_camera; `at` may wait and belongs into the worker thread."""

    def __init__(self, node: Any, values: SimpleNamespace, transforms: Transforms) -> None:
        self._node, self.values, self._transforms = node, values, transforms
        self._lock = threading.Lock()
        self._poses: deque[tuple[int, np.ndarray]] = deque(maxlen=KEPT_POSES)
        self._complaint = 'no message on topic `pose` yet'
        self._subscription = None
        if values.pose_source != 'tf':
            self._subscription = node.create_subscription(
                TYPES[values.pose_source], 'pose', self._on_pose,
                QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT))

    def close(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def at(self, stamp: int, camera_frame: str) -> np.ndarray:
        """map_from_camera (4, 4) at a stamp [ns]; NoPose after pose_timeout."""
        values = self.values
        if values.pose_source == 'tf':
            return self._transform(values.map_frame, camera_frame, stamp)
        map_from_base = self._from_topic(stamp)
        if not values.base_frame:
            return map_from_base
        return map_from_base @ self._transform(values.base_frame, camera_frame, stamp)

    def _transform(self, target: str, source: str, stamp: int) -> np.ndarray:
        try:
            return self._transforms.lookup(target, source, stamp, self.values.pose_timeout)
        except TransformUnavailable as error:
            raise NoPose(str(error)) from None

    def _from_topic(self, stamp: int) -> np.ndarray:
        end = time.monotonic() + self.values.pose_timeout
        while True:
            with self._lock:
                samples, complaint = list(self._poses), self._complaint
            if samples:
                stamps, poses = zip(*samples)
                pose = Trajectory(np.array(stamps), np.stack(poses)).at(stamp)
                if pose is not None:
                    return pose
                complaint = complaint or 'no poses around the stamp of the image'
            if time.monotonic() >= end:
                raise NoPose(complaint)
            time.sleep(POLL_S)

    def _on_pose(self, message: Any) -> None:
        pose = message.pose if hasattr(message.pose, 'position') else message.pose.pose
        frame = message.header.frame_id
        try:
            if frame.lstrip('/') != self.values.map_frame:
                raise SourceError(f'poses are given in frame {frame!r}, expected '
                                  f'{self.values.map_frame!r}: set map_frame')
            sample = stamp_ns(message.header.stamp), matrix_from_pose(pose)
        except SourceError as error:
            with self._lock:
                self._complaint = str(error)
            return
        with self._lock:
            self._complaint = ''
            self._poses.append(sample)
