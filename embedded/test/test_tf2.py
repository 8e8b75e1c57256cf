# SPDX-License-Identifier: Apache-2.0
import math
import threading

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.time import Time
from tf2_ros import (
    Buffer,
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    StaticTransformBroadcaster,
    TransformBroadcaster,
    TransformException,
    TransformListener,
)
from tf_transformations import quaternion_from_euler, quaternion_matrix


def placed(parent, child, seconds, x=0.0, yaw=0.0):
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = Time(seconds=seconds).to_msg()
    message.transform.translation.x = float(x)
    q = message.transform.rotation
    q.x, q.y, q.z, q.w = (float(v) for v in quaternion_from_euler(0.0, 0.0, yaw))
    return message


@pytest.fixture
def robot():
    """map -> odom -> base over 1..3 s, base -> camera static, 0.5 m ahead."""
    buffer = Buffer()
    for seconds in (1.0, 2.0, 3.0):
        buffer.set_transform(placed('map', 'odom', seconds, x=10.0 * seconds), 'test')
        buffer.set_transform(placed('odom', 'base', seconds, x=seconds), 'test')
    buffer.set_transform_static(placed('base', 'camera', 0.0, x=0.5), 'test')
    return buffer


def matrix(message):
    t, q = message.transform.translation, message.transform.rotation
    result = quaternion_matrix([q.x, q.y, q.z, q.w])
    result[:3, 3] = t.x, t.y, t.z
    return result


def test_a_chain_is_composed_and_interpolated(robot):
    found = robot.lookup_transform('map', 'camera', Time(seconds=1.5))
    assert (found.header.frame_id, found.child_frame_id) == ('map', 'camera')
    assert found.transform.translation.x == pytest.approx(15.0 + 1.5 + 0.5)
    back = robot.lookup_transform('camera', 'map', Time(seconds=1.5))
    assert matrix(back) @ matrix(found) == pytest.approx(np.eye(4))


def test_time_zero_is_the_newest_common_time(robot):
    robot.set_transform(placed('odom', 'base', 4.0, x=4.0), 'test')
    found = robot.lookup_transform('map', 'base', Time())
    assert found.header.stamp.sec == 3
    assert found.transform.translation.x == pytest.approx(33.0)
    assert robot.lookup_transform('base', 'camera', Time()).transform.translation.x == 0.5


def test_rotations_are_interpolated_on_the_arc():
    buffer = Buffer()
    buffer.set_transform(placed('map', 'base', 1.0, yaw=math.radians(170)), 'test')
    buffer.set_transform(placed('map', 'base', 2.0, yaw=math.radians(-170)), 'test')
    found = matrix(buffer.lookup_transform('map', 'base', Time(seconds=1.5)))
    assert found[:2, :2] == pytest.approx(-np.eye(2), abs=1e-9)


@pytest.mark.parametrize(('seconds', 'direction'), [(0.5, 'past'), (3.5, 'future')])
def test_nothing_is_extrapolated(robot, seconds, direction):
    with pytest.raises(ExtrapolationException, match=f'extrapolation into the {direction}'):
        robot.lookup_transform('map', 'camera', Time(seconds=seconds))
    assert not robot.can_transform('map', 'camera', Time(seconds=seconds))
    # Between frames that do not move any time will do.
    assert robot.can_transform('base', 'camera', Time(seconds=seconds))


def test_a_single_sample_holds_at_its_own_time_only():
    buffer = Buffer()
    buffer.set_transform(placed('map', 'base', 1.0), 'test')
    assert buffer.can_transform('map', 'base', Time(seconds=1.0))
    with pytest.raises(ExtrapolationException, match=r'only time 1\.000000 is in the buffer'):
        buffer.lookup_transform('map', 'base', Time(seconds=1.1))


def test_what_lies_beyond_the_way_does_not_matter(robot):
    # map -> odom ends at 3 s, odom -> base goes on.
    robot.set_transform(placed('odom', 'base', 5.0, x=5.0), 'test')
    found = robot.lookup_transform('odom', 'camera', Time(seconds=4.0))
    assert found.transform.translation.x == pytest.approx(4.5)


def test_errors_say_which_frame(robot):
    robot.set_transform_static(placed('world', 'tree', 0.0), 'test')
    with pytest.raises(LookupException, match='"moon" passed to lookupTransform argument source'):
        robot.lookup_transform('map', 'moon', Time())
    with pytest.raises(ConnectivityException, match="between 'map' and 'tree'"):
        robot.lookup_transform('map', 'tree', Time())
    with pytest.raises(InvalidArgumentException, match='/map'):
        robot.lookup_transform('/map', 'odom', Time())
    possible, reason = robot.can_transform('map', 'moon', Time(), return_debug_tuple=True)
    assert not possible and 'moon' in reason
    for error in (LookupException, ConnectivityException, ExtrapolationException):
        assert issubclass(error, TransformException)


@pytest.mark.parametrize(
    'change',
    [
        lambda m: setattr(m.transform.translation, 'x', math.nan),
        lambda m: setattr(m.transform.rotation, 'w', 0.0),
        lambda m: setattr(m, 'child_frame_id', ''),
        lambda m: setattr(m, 'child_frame_id', 'map'),
    ],
)
def test_transforms_that_make_no_sense_are_refused(robot, change):
    message = placed('map', 'odom', 9.0)
    change(message)
    robot.set_transform(message, 'test')  # logged, not raised
    assert robot.lookup_transform('map', 'odom', Time()).header.stamp.sec == 3


def test_old_transforms_are_forgotten():
    buffer = Buffer(cache_time=Duration(seconds=2))
    for seconds in (10.0, 11.0, 60.0, 61.0):
        buffer.set_transform(placed('map', 'base', seconds), 'test')
    assert not buffer.can_transform('map', 'base', Time(seconds=11.0))
    buffer.set_transform(placed('map', 'base', 30.0), 'test')  # too old to be stored
    assert not buffer.can_transform('map', 'base', Time(seconds=30.0))


def test_a_lookup_waits_for_another_thread(robot):
    late = placed('map', 'odom', 9.0), placed('odom', 'base', 9.0)
    threading.Timer(0.1, lambda: [robot.set_transform(m, 'test') for m in late]).start()
    assert robot.can_transform('map', 'camera', Time(seconds=9), Duration(seconds=5))


def test_over_the_wire(make_node, spin_until):
    sender, receiver = make_node('sender'), make_node('receiver')
    static = StaticTransformBroadcaster(sender)
    static.sendTransform(placed('base', 'camera', 0.0, x=1.0))
    static.sendTransform(placed('base', 'laser', 0.0, x=2.0))
    buffer = Buffer(node=receiver)
    listener = TransformListener(buffer, receiver)
    moving = TransformBroadcaster(sender)
    assert spin_until(lambda: moving.pub_tf.get_subscription_count() == 1)
    moving.sendTransform([placed('odom', 'base', 5.0), placed('map', 'odom', 5.0, x=3.0)])
    assert spin_until(lambda: buffer.can_transform('map', 'laser', Time()))
    assert spin_until(lambda: buffer.can_transform('map', 'camera', Time()))
    assert buffer.lookup_transform('map', 'laser', Time()).transform.translation.x == 5.0
    listener.unregister()


def test_time_that_jumps_back_clears_what_moves(make_node):
    node = make_node('a', parameter_overrides=[Parameter('use_sim_time', value=True)])
    buffer = Buffer(node=node)
    node.get_clock().set_ros_time_override(Time(seconds=100))
    buffer.set_transform(placed('map', 'odom', 100.0), 'test')
    buffer.set_transform_static(placed('base', 'camera', 0.0), 'test')
    node.get_clock().set_ros_time_override(Time(seconds=99))
    assert not buffer.can_transform('map', 'odom', Time())
    assert buffer.can_transform('base', 'camera', Time())
