# SPDX-License-Identifier: Apache-2.0
import time

import pytest
from builtin_interfaces.msg import Time as TimeMsg
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMsg

SIMULATED = [Parameter('use_sim_time', value=True)]


def test_clocks_tell_their_own_time():
    assert abs(Clock().now().nanoseconds - time.time_ns()) < 1e9
    steady = Clock(clock_type=ClockType.STEADY_TIME)
    assert abs(steady.now().nanoseconds - time.monotonic_ns()) < 1e9
    assert Clock(clock_type=ClockType.ROS_TIME).now().clock_type == ClockType.ROS_TIME


@pytest.fixture
def simulated(make_node, spin_until):
    """A node on simulated time and a function that sets the time [s]."""
    node, source = make_node('sim', parameter_overrides=SIMULATED), make_node('source')
    publisher = source.create_publisher(ClockMsg, '/clock', 10)
    assert spin_until(lambda: publisher.get_subscription_count() == 1)

    def set_time(seconds):
        publisher.publish(ClockMsg(clock=TimeMsg(sec=seconds)))
        assert spin_until(lambda: node.get_clock().now().nanoseconds == seconds * 10**9)

    return node, set_time


def test_simulated_time_comes_from_clock(simulated):
    node, set_time = simulated
    assert node.get_clock().now().nanoseconds == 0
    assert node.get_clock().ros_time_is_active
    set_time(100)
    set_time(101)
    node.set_parameters([Parameter('use_sim_time', value=False)])
    assert node.get_clock().now().nanoseconds > 10**18


def test_timers_follow_simulated_time(simulated, spin_until, executor):
    node, set_time = simulated
    set_time(10)
    ticks = []
    node.create_timer(1.0, lambda: ticks.append(node.get_clock().now().nanoseconds // 10**9))
    executor.spin_once(timeout_sec=0.2)
    assert not ticks
    set_time(11)
    assert spin_until(lambda: ticks == [11])
    set_time(15)  # what was missed is skipped
    assert spin_until(lambda: ticks == [11, 15])
    set_time(3)  # back in time: a new period begins
    executor.spin_once(timeout_sec=0.1)
    set_time(5)
    assert spin_until(lambda: ticks[2:] == [5])


def test_jumps_are_reported(simulated):
    node, set_time = simulated
    set_time(100)
    jumps = []
    backward = node.get_clock().create_jump_callback(
        JumpThreshold(min_forward=None, min_backward=Duration(seconds=-1)),
        post_callback=lambda jump: jumps.append(jump.delta.nanoseconds // 10**9),
    )
    set_time(101)
    assert not jumps
    set_time(50)
    assert jumps == [-51]
    backward.unregister()
    set_time(40)
    assert jumps == [-51]
