# SPDX-License-Identifier: Apache-2.0
"""nodes/clock_jumps.py and what the relocalizer does when time jumps back."""

from __future__ import annotations

import pytest
from builtin_interfaces.msg import Time as TimeMsg
from rclpy.parameter import Parameter
from rclpy.time import Time
from robot import ACCEPT_ALL, Robot, camera_info, texture
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes import conversions
from dsac_ros.nodes.clock_jumps import ClockJumps
from dsac_ros.nodes.transforms import Transforms
from dsac_ros.sources.image_messages import stamp_ns

SECOND = 1_000_000_000
ODOM_FROM_BASE = conversions.matrix_from_xyz_rpy([1.0, -2.0, 0.0, 0.0, 0.0, 0.7])


@pytest.fixture
def watched(make_node, monkeypatch):
    """A node on simulated time, and its jumps and lines."""
    node = make_node('under_test', parameter_overrides=[Parameter('use_sim_time', value=True)])
    jumps, lines = [], []
    monkeypatch.setattr(
        type(node.get_logger()), 'warning', lambda self, line, **_: lines.append(line)
    )
    transforms = Transforms(node, {})
    found = ClockJumps(node, transforms, lambda: jumps.append(1))
    yield node, transforms, found, jumps, lines
    found.close()
    transforms.close()


def set_clock(node, seconds):
    node.get_clock().set_ros_time_override(Time(seconds=seconds))


def hear_odometry(transforms, seconds):
    message = conversions.transform_message('odom', 'base', round(seconds * 1e9), ODOM_FROM_BASE)
    transforms._listener.callback(TFMessage(transforms=[message]))


def test_a_jump_of_clock_is_told_at_once(watched):
    node, transforms, _, jumps, lines = watched
    for seconds in (100, 101, 200):
        set_clock(node, seconds)
    hear_odometry(transforms, 200.0)
    assert not jumps
    set_clock(node, 137)
    assert len(jumps) == 1 and transforms.edges.frames == []
    assert 'time jumped back by 63.0 s (/clock)' in lines[0]


def test_a_bag_without_clock_shows_in_its_images(watched):
    _, _, found, jumps, lines = watched
    for seconds in (10.0, 10.2, 10.4, 5.0, 5.2, 5.4, 5.6):
        found.image(conversions.header('camera', round(seconds * 1e9)))
    assert len(jumps) == 1 and 'back by 5.0 s (the stamps of the images)' in lines[0]


def test_stamps_of_tf_that_fall_are_a_jump_too(watched):
    _, transforms, _, jumps, lines = watched
    for n in range(40):
        hear_odometry(transforms, 100.0 + 0.1 * n)
    for n in range(40):
        hear_odometry(transforms, 60.0 + 0.1 * n)
    assert len(jumps) == 1 and '(the stamps of TF)' in lines[0]
    # tf2 itself ignores samples that are older than its cache
    assert transforms.lookup('odom', 'base', round(62.05e9)) == pytest.approx(ODOM_FROM_BASE)


def test_one_jump_is_told_once(watched):
    """The clock, images of two cameras and TF all show it."""
    _, transforms, found, jumps, _ = watched
    for begin in (100.0, 60.0):
        for n in range(10):
            hear_odometry(transforms, begin + 0.1 * n)
            found.image(conversions.header('left', round((begin + 0.1 * n) * 1e9)))
            found.image(conversions.header('right', round((begin + 0.1 * n) * 1e9)))
    assert len(jumps) == 1


def test_names_without_end_take_no_memory(watched):
    _, _, found, jumps, _ = watched
    for n in range(1000):
        found.image(conversions.header(f'camera {n}', SECOND))
    assert len(found._images) < 100 and not jumps


def drive(robot, stamp):
    """Odometry around a stamp [ns]."""
    for offset in (-SECOND // 5, 0, SECOND // 5):
        robot.tf.sendTransform(
            conversions.transform_message('odom', 'base_link', stamp + offset, ODOM_FROM_BASE)
        )


def looped_bag(robot, begin_s):
    """Two seconds of a bag, the stamps counted from begin_s: the results of its images."""
    stamps = [round((begin_s + 0.2 * n) * SECOND) for n in range(10)]
    for stamp in stamps:
        drive(robot, stamp)
        robot.show(texture(1), camera_info(), stamp=stamp)
        robot.spin(lambda stamp=stamp: robot.answers([stamp]), 5.0)
    return [m.result for m in robot.answers(stamps)]


def test_a_looped_bag_without_clock_is_not_stale(map_path):
    options = {**ACCEPT_ALL, 'max_image_age': 0.0}
    robot = Robot(map=str(map_path), tf_mode='auto', tf_rate=20.0, **options)
    try:
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        robot.spin(lambda: False, 2.2)
        first = looped_bag(robot, 1000.0)
        assert first.count(Status.ACCEPTED) >= 9, robot.process.output
        assert robot.spin(lambda: robot.transforms('odom'), 5.0), robot.process.output
        for _ in range(2):
            again = looped_bag(robot, 980.0)
            assert again.count(Status.ACCEPTED) >= 5, again
            looped_bag(robot, 1000.0)
        assert 'time jumped back by 2' in robot.process.output
    finally:
        robot.close()


@pytest.fixture
def simulated(map_path):
    robot = Robot(
        map=str(map_path),
        tf_mode='auto',
        use_sim_time=True,
        localization_timeout=1000.0,
        **ACCEPT_ALL,
    )
    robot.clock = robot.node.create_publisher(Clock, '/clock', 10)
    yield robot
    robot.close()


def test_clock_that_restarts_resets_all_at_once(simulated):
    robot = simulated

    def tick(begin_s, seconds, images=True):
        """Run simulated time; an image and odometry every 0.2 s."""
        statuses = len(robot.of('status'))
        for n in range(round(seconds / 0.05)):
            now = round((begin_s + 0.05 * n) * SECOND)
            robot.clock.publish(Clock(clock=conversions.time_message(now)))
            if n % 4 == 0:
                drive(robot, now)
                if images:
                    robot.show(texture(1), camera_info(), stamp=now)
            robot.spin(lambda: False, 0.05)
        return robot.of('status')[statuses:]

    robot.listen_to_relocalizer()
    robot.wait_for_node()
    assert robot.spin(lambda: robot.clock.get_subscription_count() > 0)
    tick(500.0, 4.0)
    assert robot.spin(lambda: robot.of('localized') and robot.of('localized')[-1].data)
    assert robot.transforms('odom'), robot.process.output

    robot.clock.publish(Clock(clock=TimeMsg(sec=100)))
    assert robot.spin(lambda: not robot.of('localized')[-1].data, 1.0), robot.process.output
    count = len(robot.transforms('odom'))
    tick(100.0, 1.0, images=False)
    assert len(robot.transforms('odom')) == count, 'map -> odom of before goes on'

    found = tick(102.0, 3.0)
    assert sum(m.result == Status.ACCEPTED for m in found) >= len(found) - 1
    assert robot.of('localized')[-1].data
    sent = robot.transforms('odom')[count:]
    assert len(sent) > 10, 'auto went mute'
    assert all(stamp_ns(t.header.stamp) < 110 * SECOND for t in sent)
    assert robot.process.output.count('time jumped back by 40') == 1
