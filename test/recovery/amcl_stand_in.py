# SPDX-License-Identifier: Apache-2.0
"""A node that does on `initialpose`, TF and `amcl_pose` as nav2's AMCL does.

It has one particle, which a seed draws. Its lidar pulls that to the truth from within a basin, as
scans do, and from nowhere else; between scans it follows the odometry.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np
import se2
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_ros import TransformBroadcaster

from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns

GLOBAL_FRAME = 'map'
# Between the ticks, where no stamp of another node lies: `sent_stamps` tell who sent a transform.
TRANSFORM_TOLERANCE_NS = 1_000_003_000
# update_min_d, update_min_a: a robot that stands does not update its filter.
MIN_MOVE_M, MIN_TURN = 0.25, 0.2
BASIN_M, BASIN_DEG = 1.0, 30.0
PULL = 0.5
LIDAR_STD = np.array((0.02, 0.02, math.radians(0.5)))
MAX_ABS_COVARIANCE = 1e9
HISTORY = 200


class AmclStandIn(Node):
    """Call `scan` for every scan of the lidar, with the odometry at its stamp."""

    def __init__(self, truth: Callable[[], np.ndarray], seed: int = 0, **options) -> None:
        super().__init__('amcl', **options)
        self._truth, self._rng = truth, np.random.default_rng((seed, 11))
        self.accepted: list[PoseWithCovarianceStamped] = []
        self.rejected: list[str] = []
        self.without_odometry = 0
        self.sent_stamps: set[int] = set()
        self.pose: np.ndarray | None = None
        self._odometry: deque[tuple[int, np.ndarray]] = deque(maxlen=HISTORY)
        self._updated_at: np.ndarray | None = None
        self._broadcaster = TransformBroadcaster(self)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._poses = self.create_publisher(PoseWithCovarianceStamped, 'amcl_pose', latched)
        self.create_subscription(PoseWithCovarianceStamped, 'initialpose', self.on_seed, 10)

    def error(self) -> tuple[float, float]:
        """Distance [m] and angle [deg] between what it believes and the truth."""
        return (math.inf, 180.0) if self.pose is None else se2.difference(self.pose, self._truth())

    def place_at(self, pose: np.ndarray) -> None:
        """Believe that the robot is there, as after a set_initial_pose by a person."""
        self.pose, self._updated_at = np.array(pose, float), None

    def forget_time(self) -> None:
        """Forget the odometry: the clock was set back."""
        self._odometry.clear()

    def scan(self, stamp: int, odom_from_base: np.ndarray) -> None:
        """Follow the odometry, update the filter where the robot moved, publish map -> odom."""
        if self.pose is not None and self._odometry:
            self.pose = se2.compose(self.pose, se2.relative(self._odometry[-1][1], odom_from_base))
        self._odometry.append((stamp, odom_from_base))
        if self.pose is None:
            return
        if self._has_moved(odom_from_base):
            self._updated_at = odom_from_base
            self._update()
            self._publish_pose(stamp)
        map_from_odom = se2.to_matrix(se2.compose(self.pose, se2.inverse(odom_from_base)))
        until = stamp + TRANSFORM_TOLERANCE_NS
        self.sent_stamps.add(until)
        self._broadcaster.sendTransform(
            conversions.transform_message(GLOBAL_FRAME, 'odom', until, map_from_odom)
        )

    def on_seed(self, message: PoseWithCovarianceStamped) -> None:
        """Take a pose, or refuse it as AMCL does."""
        reason = malformed(message)
        if reason:
            self.rejected.append(reason)
            return
        self.accepted.append(message)
        covariance = np.array(message.pose.covariance).reshape(6, 6)[np.ix_((0, 1, 5), (0, 1, 5))]
        # It takes nothing of x and y beside yaw.
        covariance[2, :2] = covariance[:2, 2] = 0.0
        mean = se2.from_matrix(conversions.matrix_from_pose(message.pose.pose))
        particle = self._rng.multivariate_normal(mean, covariance, check_valid='ignore')
        self.pose = se2.compose(particle, self._moved_since(message))
        # The next scan updates the filter whether the robot moves or not.
        self._updated_at = None

    def _moved_since(self, message: PoseWithCovarianceStamped) -> np.ndarray:
        """Return base(stamp) -> base(now) by the odometry; none where it has no such stamp."""
        stamp = stamp_ns(message.header.stamp)
        stamps = [known for known, _ in self._odometry]
        if not stamps or not stamps[0] <= stamp <= stamps[-1]:
            self.without_odometry += 1
            return np.zeros(3)
        then = self._odometry[int(np.searchsorted(stamps, stamp))][1]
        return se2.relative(then, self._odometry[-1][1])

    def _has_moved(self, odom_from_base: np.ndarray) -> bool:
        if self._updated_at is None:
            return True
        moved = se2.relative(self._updated_at, odom_from_base)
        return float(np.hypot(*moved[:2])) > MIN_MOVE_M or abs(moved[2]) > MIN_TURN

    def _update(self) -> None:
        """Compare the scan with the map: near the truth it fits there, far from it nowhere."""
        metres, degrees = self.error()
        if metres < BASIN_M and degrees < BASIN_DEG:
            pulled = PULL * se2.relative(self.pose, self._truth())
            self.pose = se2.compose(self.pose, pulled + LIDAR_STD * self._rng.standard_normal(3))

    def _publish_pose(self, stamp: int) -> None:
        message = PoseWithCovarianceStamped(header=conversions.header(GLOBAL_FRAME, stamp))
        message.pose.pose = conversions.pose_message(se2.to_matrix(self.pose))
        message.pose.covariance = conversions.covariance_values(
            np.diag((0.04, 0.04, 0.0, 0.0, 0.0, 0.01))
        )
        self._poses.publish(message)


def malformed(message: PoseWithCovarianceStamped) -> str:
    """Return why AMCL of nav2 (branches lyrical and main) ignores an initial pose; '' if not."""
    pose, covariance = message.pose.pose, message.pose.covariance
    if message.header.frame_id != GLOBAL_FRAME:
        return f'frame {message.header.frame_id!r}, expected {GLOBAL_FRAME!r}'
    numbers = [getattr(pose.position, axis) for axis in 'xyz'] + [
        getattr(pose.orientation, axis) for axis in 'xyzw'
    ]
    if not all(math.isfinite(number) for number in numbers):
        return 'pose is not finite'
    length = sum(number * number for number in numbers[3:])
    if abs(length - 1.0) >= 1e-4:
        return f'quaternion of squared length {length:.6f}'
    for index, entry in enumerate(covariance):
        if not 0.0 <= entry <= MAX_ABS_COVARIANCE:
            return f'covariance[{index}] is {entry}'
    return ''
