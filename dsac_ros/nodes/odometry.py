# SPDX-License-Identifier: Apache-2.0
"""Odometry by TF, odom_frame to base_frame: at a stamp, newest, and why there is none."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node

from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.stamps import FUTURE_NS
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable


class Odometry:
    """Reads odometry from TF; nothing waits."""

    def __init__(self, node: Node, transforms: Transforms, values: RelocalizerParameters) -> None:
        self._node, self._transforms, self.values = node, transforms, values

    @property
    def limits(self) -> Limits:
        """Maximum wait, which is the caller's, and gap, with the names of their parameters."""
        values = self.values
        return Limits(
            values.odometry_timeout,
            'odometry_timeout',
            values.odometry_max_gap,
            'odometry_max_gap',
            waits=False,
        )

    def base(self, output: NodeOutput) -> str:
        """Return the base frame; that of the camera if base_frame is empty.

        Raises:
            TransformUnavailable: the optical frame of the camera is not known.
        """
        return self.values.base_frame or self._transforms.optical_frame(
            output.camera_frame, output.given_camera_frame
        )

    def at(self, output: NodeOutput) -> np.ndarray:
        """Return odom_from_base (4, 4) at the stamp of an output, interpolated.

        Raises:
            TransformUnavailable: there is none, or its stamps cannot be believed.
        """
        base = self.base(output)
        found = self._transforms.lookup(self.values.odom_frame, base, output.stamp, self.limits)
        ahead = self._ahead(base)
        if ahead:
            raise TransformUnavailable(ahead)
        return found

    def latest(self, output: NodeOutput) -> np.ndarray | None:
        """Return the newest odom_from_base (4, 4); None if there is none."""
        try:
            return self._transforms.latest(self.values.odom_frame, self.base(output))
        except TransformUnavailable:
            return None

    @property
    def problem(self) -> str:
        """Why no pose can have odometry, as far as TF shows now; '' if it can, or may yet."""
        base = self.values.base_frame
        if not base or not self._transforms.is_settled:
            return ''
        return self._transforms.disconnected_reason(self.values.odom_frame, base) or self._ahead(
            base
        )

    def _ahead(self, base: str) -> str:
        """Return why stamps of odometry cannot be believed; '' if they can."""
        now, odom = self._node.get_clock().now().nanoseconds, self.values.odom_frame
        ahead_s = self._transforms.ahead_s(odom, base, now)
        if not now or ahead_s * 1e9 <= FUTURE_NS:
            return ''
        return (
            f'{odom} -> {base} is stamped {ahead_s:.1f} s in the future: synchronise the clocks '
            'of odometry and this computer, or set use_sim_time to that of the odometry'
        )
