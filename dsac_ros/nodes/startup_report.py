# SPDX-License-Identifier: Apache-2.0
"""Lines of `dsac doctor` in the log of a node, until TF gives it all that it asks for.

Missing images, camera_info and transforms at all are told by InputWatch; here is what follows once
an image has said which camera it is of.
"""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from dsac_ros.nodes.doctor.finding import Finding, Level
from dsac_ros.nodes.doctor.tf import Frames, TfRecord, mount_finding, odometry_finding
from dsac_ros.nodes.input_watch import REPEAT
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.tf_edges import TfEdges


class StartupReport:
    """Checks TF periodically, by a steady clock; ends when nothing is missing."""

    def __init__(self, node: Node, edges: TfEdges, values: RelocalizerParameters) -> None:
        """Start the checks; an input_timeout of 0 disables them."""
        self._node, self._edges, self._values = node, edges, values
        self._camera_frame = ''
        self._logged: dict[str, tuple[str, float]] = {}
        self._timer = (
            node.create_timer(
                values.input_timeout, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )
            if values.input_timeout
            else None
        )

    def saw(self, camera_frame: str) -> None:
        """Record the frame of an image; thread-safe."""
        self._camera_frame = camera_frame

    def close(self) -> None:
        """Stop the checks; idempotent."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def _check(self) -> None:
        if not self._camera_frame:
            return  # InputWatch tells of missing images
        findings = self._findings()
        for finding in findings:
            if finding.level is not Level.OK:
                self._log(finding)
        if all(finding.level is Level.OK for finding in findings):
            if findings:
                self._node.get_logger().info('; '.join(finding.text for finding in findings))
            self.close()

    def _findings(self) -> list[Finding]:
        values = self._values
        frames = Frames(
            values.camera_frame or self._camera_frame,
            values.base_frame,
            values.odom_frame,
            values.map_frame,
        )
        now = self._node.get_clock().now().nanoseconds
        record = TfRecord(self._edges, now, time.monotonic())
        return [
            *([mount_finding(record, frames)] if values.base_frame else []),
            # Robots without odometry have this mode.
            *([odometry_finding(record, frames)] if values.tf_mode != 'map_base' else []),
        ]

    def _log(self, finding: Finding) -> None:
        """Log a finding when it is new, and repeat it while it lasts."""
        now = time.monotonic()
        text, logged_at = self._logged.get(finding.subject, ('', 0.0))
        if text != finding.text or now - logged_at >= REPEAT * self._values.input_timeout:
            self._node.get_logger().warning(f'{finding.subject}: {finding.text}')
            self._logged[finding.subject] = (finding.text, now)
