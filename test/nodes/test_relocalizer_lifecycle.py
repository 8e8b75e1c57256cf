# SPDX-License-Identifier: Apache-2.0
"""Lifecycle of the relocalizer: whatever the order of transitions and changes of parameters."""

from __future__ import annotations

import signal

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from robot import ACCEPT_ALL, Robot, untrained_map

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
SHUTDOWN = Transition.TRANSITION_ACTIVE_SHUTDOWN


@pytest.fixture(scope='module')
def managed(map_path):
    """A relocalizer that somebody else configures and activates, in the order of the tests."""
    robot = Robot(autostart=False, map='/no/such.map', tf_mode='none', **ACCEPT_ALL)
    robot.listen_to_relocalizer()
    yield robot
    robot.close()


def state(robot):
    return robot.call(GetState, f'{robot.me}/get_state', GetState.Request()).current_state.id


def take(robot, *transitions):
    for transition in transitions:
        assert robot.change_state(transition), robot.process.output


def answers(robot):
    """Check that the node is active and accepts an image."""
    robot.wait_for_node()
    robot.accepted()
    assert robot.spin(lambda: robot.of('localized')[-1].data)


def test_a_bad_map_fails_configure_and_is_named(managed):
    assert not managed.change_state(CONFIGURE)
    managed.process.wait_for('no such map')
    assert state(managed) == State.PRIMARY_STATE_UNCONFIGURED


def test_a_map_does_not_start_a_managed_node(managed, map_path):
    assert managed.set_parameter('map', str(map_path)).successful
    managed.process.wait_for('is loaded when the node is configured')
    managed.spin(lambda: False, 1.0)
    assert state(managed) == State.PRIMARY_STATE_UNCONFIGURED
    take(managed, CONFIGURE, ACTIVATE)
    answers(managed)


def test_an_impossible_transition_does_not_end_it(managed):
    """rclpy raises in its own service callback where the state has no such transition."""
    client = managed.node.create_client(ChangeState, f'{managed.me}/change_state')
    assert client.wait_for_service(timeout_sec=20.0)
    for transition in (CONFIGURE, CLEANUP, 77):
        request = ChangeState.Request()
        request.transition.id = transition
        client.call_async(request)
        managed.spin(lambda: False, 0.3)
    assert state(managed) == State.PRIMARY_STATE_ACTIVE
    answers(managed)


def test_nothing_is_left_behind(managed):
    """Threads, subscriptions and publishers stay as many."""
    take(managed, *(DEACTIVATE, ACTIVATE) * 2)
    managed.wait_for_node()
    threads, endpoints = managed.process.threads(), managed.endpoints()
    take(managed, *(DEACTIVATE, ACTIVATE) * 10)
    assert managed.spin(lambda: managed.endpoints() == endpoints), managed.endpoints()
    take(managed, *(DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE) * 5)
    assert managed.spin(lambda: managed.endpoints() == endpoints), managed.endpoints()
    assert managed.spin(lambda: managed.process.threads() <= threads)
    answers(managed)


def test_a_map_does_not_undo_a_cleanup(managed, tmp_path):
    """Nor does one that is still being loaded."""
    other = untrained_map(tmp_path / 'other.map', seed=1)
    assert managed.set_parameter('map', str(other)).successful
    take(managed, DEACTIVATE, CLEANUP)
    assert managed.spin(lambda: not managed.of('localized')[-1].data)
    assert not managed.set_parameter('map', '/no/such.map').successful
    assert managed.set_parameter('map', str(other)).successful
    managed.spin(lambda: False, 1.5)
    assert state(managed) == State.PRIMARY_STATE_UNCONFIGURED
    take(managed, CONFIGURE, ACTIVATE)
    assert managed.spin(lambda: managed.of('map_info')[-1].map_url == str(other))
    answers(managed)


def test_a_finalized_node_refuses_parameters(managed, map_path):
    take(managed, SHUTDOWN)
    assert managed.spin(lambda: not managed.of('localized')[-1].data)
    for name, value in (('map', str(map_path)), ('max_rate', 3.0)):
        result = managed.set_parameter(name, value)
        assert not result.successful and 'start it again' in result.reason
    assert state(managed) == State.PRIMARY_STATE_FINALIZED
    assert managed.process.stop(signal.SIGTERM) == 0
    assert 'Traceback' not in managed.process.output


def test_autostart_waits_for_a_map(map_path, tmp_path):
    """It takes the newest; a deliberate cleanup ends autostart; SIGTERM ends `localized`."""
    robot = Robot(map=str(tmp_path / 'none.map'), tf_mode='none', **ACCEPT_ALL)
    try:
        robot.listen_to_relocalizer()
        robot.process.wait_for('no such map', 90.0)
        other = untrained_map(tmp_path / 'other.map', seed=1)
        for path in (other, map_path):
            assert robot.set_parameter('map', str(path)).successful
        answers(robot)
        assert robot.of('map_info')[-1].map_url == str(map_path)
        take(robot, DEACTIVATE, CLEANUP)
        assert robot.set_parameter('map', str(other)).successful
        robot.spin(lambda: False, 1.5)
        assert state(robot) == State.PRIMARY_STATE_UNCONFIGURED
        take(robot, CONFIGURE, ACTIVATE)
        answers(robot)
        robot.process.send(signal.SIGTERM)
        assert robot.spin(lambda: not robot.of('localized')[-1].data, 10.0), robot.process.output
        assert robot.process.wait(30.0) == 0
    finally:
        robot.close()
