# SPDX-License-Identifier: Apache-2.0
"""Listen to the relocalizer node: its poses, and its reasons where it gives none.

    ros2 launch dsac_ros relocalizer.launch.py map:=/path/to/room.map image:=/camera/image_raw
    python3 examples/pose_subscriber.py

Needs a sourced ROS 2 workspace with dsac_ros.
"""

from __future__ import annotations

from typing import Any

import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node

from dsac_ros.msg import RelocalizationStatus


class PoseSubscriber(Node):
    """Logs each pose of the robot in the map, and why an image was refused."""

    def __init__(self, **options: Any) -> None:
        super().__init__('pose_subscriber', **options)
        self.create_subscription(
            PoseWithCovarianceStamped, '/dsac_relocalizer/pose_with_covariance', self.on_pose, 10
        )
        self.create_subscription(
            RelocalizationStatus, '/dsac_relocalizer/status', self.on_status, 10
        )

    def on_pose(self, message: PoseWithCovarianceStamped) -> None:
        """Only trusted poses arrive here; the stamp is that of the image."""
        position = message.pose.pose.position
        sigma = message.pose.covariance[0] ** 0.5
        self.get_logger().info(
            f'x {position.x:.2f} y {position.y:.2f} z {position.z:.2f} m in '
            f'{message.header.frame_id}, sigma of x {sigma:.2f} m'
        )

    def on_status(self, message: RelocalizationStatus) -> None:
        """Every processed image has a status."""
        if message.result != RelocalizationStatus.ACCEPTED:
            self.get_logger().warning(f'not localized: {message.reason}')


def main() -> None:
    """Spin until Ctrl-C."""
    rclpy.init()
    try:
        rclpy.spin(PoseSubscriber())
    except KeyboardInterrupt:
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
