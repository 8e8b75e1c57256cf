# SPDX-License-Identifier: Apache-2.0
"""The relocalizer publishes map -> odom itself: late odometry, kidnapping, bounded speed."""

from __future__ import annotations

import numpy as np
import pytest
from robot import (
    ACCEPT_ALL,
    BASE_FROM_CAMERA,
    CAMERA,
    Robot,
    camera_info,
    texture,
)
from tf2_ros import StaticTransformBroadcaster

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.geometry.planar import planar, planar_correction
from dsac_ros.localizer import Localizer
from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Frame

SECOND = 1_000_000_000
MS = 1_000_000
FAR = conversions.matrix_from_xyz_rpy([80.0, -60.0, 0.0, 0.0, 0.0, 0.7])


@pytest.fixture(scope='module')
def places(map_path):
    """Two images and the poses of the base that the node finds, far from one another."""
    localizer = Localizer.load(
        map_path, 'cpu', RansacConfig(hypotheses=64), AcceptConfig(0.0, 0, 0.0, 0.0)
    )
    poses = {
        seed: localizer.localize(Frame(texture(seed), CAMERA)).world_from_camera
        @ np.linalg.inv(BASE_FROM_CAMERA)
        for seed in range(1, 7)
    }
    first = 1
    second = max(poses, key=lambda seed: distance(poses[first], poses[seed]))
    assert distance(poses[first], poses[second]) > 0.5
    return [(texture(seed), poses[seed]) for seed in (first, second)]


def distance(a, b):
    """Distance of two poses in the plane [m]."""
    return float(np.linalg.norm(a[:2, 3] - b[:2, 3]))


def start(map_path, **changed):
    robot = Robot(map=str(map_path), **{**ACCEPT_ALL, **changed})
    robot.listen_to_relocalizer()
    robot.wait_for_node()
    introduce_camera(robot)
    return robot


def introduce_camera(robot):
    """Show camera_info until the node has it (best effort)."""
    for _ in range(10):
        # an image without contrast is refused before it is localized
        status = robot.answer_to(np.zeros((96, 128), np.uint8), camera_info())
        if status.result == Status.BAD_IMAGE:
            return
    raise AssertionError(robot.process.output)


class Drive:
    """Odometry at a rate, late by some time, while the robot's executor spins."""

    def __init__(self, robot, odom_from_base, rate_hz=50, late_ms=0):
        self.robot, self.at, self.late = robot, odom_from_base, late_ms * MS
        self.period = SECOND // rate_hz
        self.next = robot.now() - SECOND // 2

    def spin(self, condition=lambda: False, timeout=30.0):
        """Publish odometry until a condition holds; return whether it does."""

        def due():
            while self.next + self.late <= self.robot.now():
                self.robot.tf.sendTransform(
                    conversions.transform_message(
                        'odom', 'base_link', self.next, self.at(self.next)
                    )
                )
                self.next += self.period
            return condition()

        return self.robot.spin(due, timeout)

    def answer(self, image, timeout=10.0):
        """The status of an image that is shown now."""
        for _ in range(5):  # best effort: one may be lost on the way
            stamp = self.robot.now()
            image_message = conversions.image_message(image, conversions.header('camera', stamp))
            self.robot.images.publish(image_message)
            if self.spin(lambda stamp=stamp: self.robot.answers([stamp]), timeout):
                return self.robot.answers([stamp])[0]
        raise AssertionError(self.robot.process.output)


def sent_matrices(robot):
    return [conversions.matrix_from_transform(t.transform) for t in robot.transforms('odom')]


@pytest.mark.parametrize(('rate_hz', 'late_ms'), [(50, 40), (50, 120), (10, 0)])
def test_late_odometry_costs_no_fix(map_path, places, rate_hz, late_ms):
    (image, map_from_base), _ = places
    robot = start(map_path, tf_mode='auto', tf_rate=100.0)

    def odom_from_base(stamp):
        return conversions.matrix_from_xyz_rpy([(stamp / 1e9) % 1000.0, 0, 0, 0, 0, 0])

    try:
        drive = Drive(robot, odom_from_base, rate_hz, late_ms)
        drive.answer(image)
        drive.spin(timeout=2.2)  # auto listens first
        accepted = []
        for _ in range(15):
            status = drive.answer(image)
            assert status.result == Status.ACCEPTED and status.reason == ''
            accepted.append(stamp_ns(status.header.stamp))
            drive.spin(timeout=0.15)
        drive.spin(timeout=0.5)
        sent = np.array(sent_matrices(robot))
        lost = []
        for stamp in accepted:
            expected = planar_correction(map_from_base, odom_from_base(stamp))
            error = np.abs(sent[:, :2, 3] - expected[:2, 3]).max(axis=1).min()
            if error > 1e-3:  # 1 ms of the drive: interpolated at the stamp
                lost.append(error)
        assert not lost, f'{len(lost)} of {len(accepted)}: {lost}\n{robot.process.output}'
    finally:
        robot.close()


def test_a_kidnapped_robot_recovers_in_own_mode(map_path, places):
    (first, map_from_first), (second, map_from_second) = places
    jump = distance(map_from_first, map_from_second)
    robot = start(map_path, tf_mode='map_odom', max_jump=jump / 2, tf_rate=50.0)
    try:
        drive = Drive(robot, lambda stamp: FAR)
        assert drive.answer(first).result == Status.ACCEPTED
        before = planar_correction(map_from_first, FAR)
        assert drive.spin(lambda: robot.transforms('odom'))
        assert np.allclose(sent_matrices(robot)[-1], before, atol=1e-3)

        # one wrong image changes nothing, nor do two with a right one between
        for image, result in (
            (second, Status.JUMP_REJECTED),
            (first, Status.ACCEPTED),
            (second, Status.JUMP_REJECTED),
        ):
            drive.spin(timeout=0.3)
            poses = len(robot.of('pose'))
            status = drive.answer(image)
            assert status.result == result, status.reason
            drive.spin(timeout=0.3)
            assert len(robot.of('pose')) == poses + (result == Status.ACCEPTED)
            assert np.allclose(sent_matrices(robot)[-1], before, atol=1e-3)
        assert '1 of 3 poses that agree' in status.reason and 'max_jump' in status.reason
        assert status.pose.pose.orientation.w == 0.0

        # carried away: the third image in a row is believed, if the robot moved meanwhile
        status = drive.answer(second)
        assert status.result == Status.JUMP_REJECTED and '2 of 3' in status.reason
        status = drive.answer(second)
        assert status.result == Status.JUMP_REJECTED and 'the robot must move' in status.reason
        moved = FAR @ conversions.matrix_from_xyz_rpy([0.25, 0, 0, 0, 0, 0])  # jump_agreement: 0.3
        drive.at = lambda stamp: moved
        drive.spin(timeout=0.3)
        assert drive.answer(second).result == Status.ACCEPTED
        after = planar_correction(map_from_second, moved)
        assert drive.spin(lambda: np.allclose(sent_matrices(robot)[-1], after, atol=1e-3), 3.0)
    finally:
        robot.close()


def test_map_odom_moves_at_a_bounded_speed(map_path, places):
    (first, map_from_first), (second, map_from_second) = places
    speed = distance(map_from_first, map_from_second) / 2.0  # m/s: on the way for two seconds
    speed = max(speed, 1.6)  # rad/s: any turn in two
    robot = start(map_path, tf_mode='map_odom', max_correction_rate=speed)
    try:
        drive = Drive(robot, lambda stamp: FAR)
        drive.answer(first)
        assert drive.spin(lambda: len(robot.transforms('odom')) > 5)
        assert drive.answer(second).result == Status.ACCEPTED
        goal = planar(map_from_second)
        assert drive.spin(
            lambda: np.allclose((sent_matrices(robot)[-1] @ FAR)[:2], goal[:2], atol=1e-3), 6.0
        )
        stamps = np.array([stamp_ns(t.header.stamp) for t in robot.transforms('odom')]) / 1e9
        way = np.array([m @ FAR for m in sent_matrices(robot)])
        allowed = speed * np.diff(stamps) + 1e-4
        moved = np.linalg.norm(np.diff(way[:, :2, 3], axis=0), axis=1)
        yaw = np.unwrap(np.arctan2(way[:, 1, 0], way[:, 0, 0]))
        assert (moved <= allowed).all(), (moved - allowed).max()
        assert (np.abs(np.diff(yaw)) <= allowed).all()
        assert np.median(np.diff(stamps)) == pytest.approx(0.05, abs=0.01)  # 20 Hz
    finally:
        robot.close()


def test_auto_says_why_it_cannot_work(map_path, places):
    (image, _), _ = places
    robot = start(map_path, tf_mode='auto', odom_frame='odometry')
    try:
        drive = Drive(robot, lambda stamp: FAR)
        reason = "TF does not contain frame 'odometry', only base_link"
        assert drive.spin(lambda: reason in robot.process.output, 8.0), robot.process.output
        status = drive.answer(image)
        assert status.result == Status.ACCEPTED
        assert reason in status.reason and 'with odom_frame' in status.reason
        drive.answer(image)
        drive.spin(timeout=1.5)
        assert robot.process.output.count(reason) == 1
        assert not robot.transforms('odometry')
    finally:
        robot.close()


def test_a_static_rival_is_an_authority_too(map_path, places):
    """Latched before the node starts to listen."""
    (image, _), _ = places
    robot = Robot(map=str(map_path), tf_mode='auto', **ACCEPT_ALL)
    try:
        rival = StaticTransformBroadcaster(robot.node)
        rival.sendTransform(conversions.transform_message('map', 'odom', 0, np.eye(4)))
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        robot.process.wait_for('another node publishes map -> odom on /tf_static', 10.0)
        introduce_camera(robot)
        drive = Drive(robot, lambda stamp: FAR)
        drive.spin(timeout=2.5)
        status = drive.answer(image)
        assert 'another node publishes map -> odom on /tf_static' in status.reason
        drive.spin(timeout=0.5)
        assert not robot.transforms('odom')
        assert robot.process.output.count('another node publishes') == 1
    finally:
        robot.close()
