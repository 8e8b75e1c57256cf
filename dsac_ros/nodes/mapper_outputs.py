# SPDX-License-Identifier: Apache-2.0
"""Publishers of the mapper: status, keyframes and coverage; silent unless the node is active."""

from __future__ import annotations

import threading
import time
from array import array
from typing import Any

from geometry_msgs.msg import PoseArray
from nav_msgs.msg import MapMetaData, OccupancyGrid
from rclpy.node import Node

from dsac_ros.mapping.data.viewpoint_coverage import CoverageGrid
from dsac_ros.msg import MappingStatus, PosedFrame
from dsac_ros.nodes import conversions
from dsac_ros.nodes.publishers import LATCHED, RELIABLE
from dsac_ros.nodes.recorder import Keyframe, Recorder

WARNING_PERIOD_S = 5.0


class MapperOutputs:
    """The publishers of one mapper; keyframes come from the thread of a recorder."""

    def __init__(self, node: Node, map_frame: str) -> None:
        self._node, self._map_frame = node, map_frame
        self._status = node.create_publisher(MappingStatus, '~/status', RELIABLE)
        self._keyframes = node.create_publisher(PoseArray, '~/keyframes', LATCHED)
        self._keyframe = node.create_publisher(PosedFrame, '~/keyframe', RELIABLE)
        self._coverage = node.create_publisher(OccupancyGrid, '~/coverage', LATCHED)
        # Held while a keyframe is published and while publishers are destroyed.
        self._lock = threading.Lock()
        self._is_active = False
        self._shown: tuple[Any, int, int] = (None, 0, 0)
        self._warned, self._warned_s = '', -WARNING_PERIOD_S

    def activate(self) -> None:
        """Publish from now on."""
        self._is_active, self._shown = True, (None, -1, -1)

    def deactivate(self) -> None:
        """Drop what comes from now on."""
        with self._lock:
            self._is_active = False

    def close(self) -> None:
        """Destroy the publishers."""
        self.deactivate()
        for publisher in (self._status, self._keyframes, self._keyframe, self._coverage):
            self._node.destroy_publisher(publisher)

    def publish_status(self, status: MappingStatus) -> None:
        """Publish ~/status."""
        if self._is_active:
            self._status.publish(status)

    def warn(self, reason: str) -> None:
        """Log a reason that lasts, once, and not more often than every WARNING_PERIOD_S."""
        now = time.monotonic()
        if not reason:
            self._warned = ''
        elif reason != self._warned and now - self._warned_s >= WARNING_PERIOD_S:
            self._warned, self._warned_s = reason, now
            self._node.get_logger().warning(reason)

    def publish_keyframe(self, keyframe: Keyframe) -> None:
        """Publish ~/keyframe if somebody listens."""
        with self._lock:
            if not self._is_active or self._keyframe.get_subscription_count() == 0:
                return
            head = keyframe.stamped_image.image.header
            message = PosedFrame(
                header=head,
                map_frame=self._map_frame,
                camera_info=keyframe.stamped_image.info
                or conversions.camera_info_message(keyframe.frame.camera, head),
                image=conversions.jpeg_message(keyframe.frame.image, head),
            )
            message.camera_in_map.pose = conversions.pose_message(keyframe.map_from_camera)
            if keyframe.covariance is not None:
                covariance = conversions.covariance_values(keyframe.covariance)
                message.camera_in_map.covariance = covariance
            self._keyframe.publish(message)

    def publish_recording(self, recorder: Recorder | None) -> None:
        """Publish ~/keyframes and ~/coverage of a recording where they changed."""
        poses = [] if recorder is None else list(recorder.coverage.poses)
        viewpoints = None if recorder is None else recorder.viewpoints
        revision = 0 if viewpoints is None else viewpoints.revision
        before, self._shown = self._shown, (recorder, len(poses), revision)
        if not self._is_active or before == self._shown:
            return
        head = conversions.header(self._map_frame, self._node.get_clock().now().nanoseconds)
        if before[:2] != self._shown[:2]:
            self._keyframes.publish(
                PoseArray(header=head, poses=[conversions.pose_message(pose) for pose in poses])
            )
        if (before[0], before[2]) != (recorder, revision):
            grid = None if viewpoints is None else viewpoints.grid()
            self._coverage.publish(grid_message(head, grid))


def grid_message(head: Any, grid: CoverageGrid | None) -> OccupancyGrid:
    """Convert coverage to an OccupancyGrid; one without cells if there is none."""
    message = OccupancyGrid(header=head, info=MapMetaData(map_load_time=head.stamp))
    if grid is not None:
        height, width = grid.values.shape
        info = message.info
        info.resolution, info.width, info.height = grid.cell_m, width, height
        info.origin.position.x, info.origin.position.y = grid.corner_xy
        message.data = array('b', grid.values.tobytes())
    return message
