# SPDX-License-Identifier: Apache-2.0
"""Seeds for the localizer of a robot: what AMCL, slam_toolbox, rtabmap and an EKF all accept."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from dsac_ros.geometry.planar import planar
from dsac_ros.nodes import conversions
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable
from dsac_ros.recovery.config import SeedConfig
from dsac_ros.recovery.events import VisualFix

TOPIC = 'initialpose'
#: Variance of z, roll and pitch, which localizers in the plane do not read [m^2, rad^2].
OUT_OF_PLANE = 1e-4
#: Never latched: a localizer that starts later would jump to an old pose.
SEED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


class Seeder:
    """Publishes `initialpose`."""

    def __init__(self, node: Node, transforms: Transforms) -> None:
        self._node, self._transforms = node, transforms
        self._publisher = node.create_publisher(PoseWithCovarianceStamped, TOPIC, SEED_QOS)

    @property
    def listeners(self) -> int:
        """Number of subscribers."""
        return int(self._publisher.get_subscription_count())

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)

    def send(
        self, fix: VisualFix, frames: tuple[str, str, str], limits: SeedConfig, is_planar: bool
    ) -> PoseWithCovarianceStamped:
        """Publish a fix, carried by odometry to now.

        Only AMCL adds the odometry since the stamp by itself; the newest transform of the
        odometry makes the seed right for all.

        Args:
            fix: the pose and its stamp.
            frames: names of map, odometry and base frame.
            limits: of the covariance.
            is_planar: only x, y and yaw are sent.
        """
        map_frame, odom_frame, base_frame = frames
        pose, stamp = fix.map_from_base, round(fix.stamp_s * 1e9)
        if fix.odom_from_base is not None:
            try:
                newest, odom_from_base = self._transforms.newest(odom_frame, base_frame)
            except TransformUnavailable as error:
                self._node.get_logger().warning(f'the seed is of the image, not of now: {error}')
            else:
                if newest > stamp:
                    pose, stamp = (
                        pose @ np.linalg.solve(fix.odom_from_base, odom_from_base),
                        newest,
                    )
        message = seed_message(
            map_frame, stamp, planar(pose) if is_planar else pose, fix.covariance, limits
        )
        self._publisher.publish(message)
        return message


def seed_message(
    map_frame: str,
    stamp: int,
    map_from_base: np.ndarray,
    covariance: np.ndarray,
    limits: SeedConfig,
) -> PoseWithCovarianceStamped:
    """Make a seed: frame exactly the map's, unit quaternion, diagonal covariance.

    nav2 refuses a covariance with any negative entry, as those off the diagonal of a full one may
    be; a particle filter that gets none would put all particles into one place.
    """
    message = PoseWithCovarianceStamped(header=conversions.header(map_frame, stamp))
    message.pose.pose = conversions.pose_message(map_from_base)
    message.pose.covariance = conversions.covariance_values(seed_covariance(covariance, limits))
    return message


def seed_covariance(covariance: np.ndarray, limits: SeedConfig) -> np.ndarray:
    """Return the diagonal covariance (6, 6) of a seed [m, rad], from that of a fix."""
    sigma_xy = limits.seed_std_scale * math.sqrt(
        max(0.0, float(np.linalg.eigvalsh(covariance[:2, :2])[-1]))
    )
    sigma_yaw = limits.seed_std_scale * math.sqrt(max(0.0, float(covariance[5, 5])))
    sigma_xy = min(max(sigma_xy, limits.seed_min_std_xy), limits.seed_max_std_xy)
    least, most = math.radians(limits.seed_min_std_yaw), math.radians(limits.seed_max_std_yaw)
    sigma_yaw = min(max(sigma_yaw, least), most)
    return np.diag([sigma_xy**2, sigma_xy**2, *[OUT_OF_PLANE] * 3, sigma_yaw**2])
