# SPDX-License-Identifier: Apache-2.0
"""Gates of a recording over DDS: uncertain poses, jumps of map -> odom, and live coverage."""

from __future__ import annotations

import numpy as np
import pytest
from driver import SECOND, Driver
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile
from robot import LATCHED, camera_info, texture

from dsac_ros.nodes import conversions
from dsac_ros.sources.trajectory_files import read_tum


class Localized(Driver):
    """A robot whose localizer publishes map -> odom, and its covariance on amcl_pose."""

    def __init__(self, durability=DurabilityPolicy.TRANSIENT_LOCAL, **parameters):
        self.map_from_odom = np.eye(4)
        super().__init__(record_on_start=True, **parameters)
        self.amcl = self.node.create_publisher(
            PoseWithCovarianceStamped, 'amcl_pose', QoSProfile(depth=1, durability=durability)
        )
        self.grids = self.listen(OccupancyGrid, f'{self.me}/coverage', LATCHED)

    def be_at(self, place, stamp):
        for offset in (-SECOND // 10, 0, SECOND // 10):
            self.send('map', 'odom', stamp + offset, self.map_from_odom)
            self.send('odom', 'base_link', stamp + offset, self.pose_at(place))

    def say_covariance(self, std_xy, std_yaw=0.01):
        message = PoseWithCovarianceStamped(header=conversions.header('map', self.now()))
        message.pose.covariance = list(
            np.diag([std_xy**2, std_xy**2, 0, 0, 0, std_yaw**2]).ravel()
        )
        self.amcl.publish(message)
        self.spin(lambda: False, 0.3)


@pytest.fixture
def localized(tmp_path):
    def make(**parameters):
        robots.append(Localized(dataset=str(tmp_path / 'drive'), **parameters))
        return robots[-1]

    robots = []
    yield make
    for robot in robots:
        robot.close()


@pytest.mark.parametrize(
    'durability', [DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE]
)
def test_uncertain_tf_is_refused_by_amcl_pose(localized, durability):
    """AMCL is transient local, others are volatile; both are heard."""
    robot = localized(durability=durability, max_pose_std_xy=0.2, pose_timeout=1.0)
    robot.drive_past([0.0])
    status = robot.wait_for(lambda s: s.rejected_uncertain == 1)
    assert 'no covariance on /amcl_pose yet' in status.last_reason
    assert robot.spin(lambda: robot.amcl.get_subscription_count() > 0)
    robot.spin(lambda: False, 0.5)
    robot.say_covariance(0.5)
    robot.drive_past([1.0], image=lambda n: texture(1))
    status = robot.wait_for(lambda s: s.rejected_uncertain == 2)
    assert 'position on /amcl_pose is 0.5 m' in status.last_reason
    robot.say_covariance(0.1, std_yaw=0.3)
    robot.drive_past([2.0], image=lambda n: texture(2))
    status = robot.wait_for(lambda s: s.keyframes == 1)
    assert status.rejected_uncertain == 2
    assert robot.spin(lambda: robot.of('keyframe'))
    camera = np.array(robot.of('keyframe')[-1].camera_in_map.covariance).reshape(6, 6)
    lever_m = np.hypot(*robot.base_from_camera[:2, 3])
    assert camera[0, 0] + camera[1, 1] == pytest.approx(2 * 0.1**2 + (0.3 * lever_m) ** 2)


def test_a_correction_begins_a_segment(localized, tmp_path):
    robot = localized(pose_timeout=1.0)
    robot.drive_past([0.0, 0.5], image=texture)
    robot.map_from_odom = conversions.matrix_from_xyz_rpy([0.4, 0.3, 0, 0, 0, 0])
    robot.drive_past([1.0, 1.5], image=lambda n: texture(10 + n))
    status = robot.wait_for(lambda s: s.keyframes == 4)
    assert status.segments == 2 and 'moved by 0.50 m' in status.last_reason
    robot.process.wait_for('segment 2 begins')
    corrections = read_tum(tmp_path / 'drive/map_odom.tum').world_from_x
    np.testing.assert_allclose(corrections[:, 0, 3], [0, 0, 0.4, 0.4], atol=1e-6)


def test_coverage_grows_while_recording(localized):
    robot = localized(pose_timeout=1.0)
    robot.drive_past([0.0])
    assert robot.spin(lambda: robot.grids and robot.grids[-1].info.width == 3)
    grid = robot.grids[-1]
    assert grid.header.frame_id == 'map' and set(grid.data) == {88}
    assert grid.info.resolution == pytest.approx(0.5)
    robot.drive_past([5.0], image=lambda n: texture(9))
    assert robot.spin(lambda: robot.grids[-1].info.width > 10)
    grid = robot.grids[-1]
    values = np.array(grid.data).reshape(grid.info.height, grid.info.width)
    assert set(values.ravel()) == {88, -1}
    x = robot.pose_at(5.0)[0, 3] + 0.2  # the camera is ahead of the base
    column = int((x - grid.info.origin.position.x) / grid.info.resolution)
    assert (values[:, column] == 88).any()
    late = robot.listen(OccupancyGrid, f'/{robot.me}/coverage', LATCHED)
    assert robot.spin(lambda: late and late[-1].info.width == grid.info.width)
    assert robot.service('stop').success and robot.service('clear').success
    assert robot.spin(lambda: robot.grids[-1].info.width == 0)


def test_a_gate_that_poses_cannot_pass_is_refused(localized):
    robot = localized(pose_source='pose')
    result = robot.set_parameter('max_pose_std_xy', 0.1)
    assert not result.successful and 'have no covariance' in result.reason
    robot.show(texture(0), camera_info())
    assert 'Traceback' not in robot.process.output
