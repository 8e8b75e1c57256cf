# SPDX-License-Identifier: Apache-2.0
"""Base of both nodes: failed transitions leave nothing, callbacks raise nothing, waits are told."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass

import pytest
import rclpy
from lifecycle_msgs.msg import State
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from dsac_ros.errors import ConfigError
from dsac_ros.nodes import lifecycle
from dsac_ros.nodes.parameters import parameter
from dsac_ros.nodes.spinning import StopSignals, spin


@dataclass(frozen=True)
class Table:
    """Parameters of the node in these tests."""

    size: int = parameter('misc', 1, 'number of parts', low=0, high=9)
    autostart: bool = parameter('misc', False, 'start by itself', read_only=True)
    bond_heartbeat_period: float = parameter('misc', 0.0, 'none', 's', low=0.0)


class Parts(lifecycle.ParameterNode[Table]):
    """Makes parts in every step and fails where it is told to."""

    def __init__(self) -> None:
        self.parts, self.fails, self.applied = set(), {}, []
        super().__init__('parts', Table)

    def step(self, name):
        self.parts.add(name)
        if name in self.fails:
            raise self.fails[name]

    def configure(self):
        self.step('configured')

    def activate(self):
        self.step('active')

    def deactivate(self):
        self.parts.discard('active')

    def cleanup(self):
        self.parts.discard('configured')

    def apply(self, values, changed):
        if values.size in self.fails:
            raise self.fails[values.size]
        self.applied.append((values.size, set(changed)))


@pytest.fixture
def ros(domain_id):
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def node(ros):
    node = Parts()
    yield node
    node.destroy_node()


@pytest.mark.parametrize('error', [ConfigError('no part'), KeyError('part')])
def test_a_failed_transition_is_undone(node, error):
    node.fails['configured'] = error
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert not node.parts and 'part' in node.problem and node.state == 'unconfigured'
    node.fails = {'active': error}
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert node.parts == {'configured'} and node.state == 'inactive'
    node.fails = {}
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert node.state == 'active' and node.problem == ''


def test_states_are_those_of_the_lifecycle(node):
    for trigger, state in (
        (node.trigger_configure, 'inactive'),
        (node.trigger_activate, 'active'),
        (node.trigger_deactivate, 'inactive'),
        (node.trigger_cleanup, 'unconfigured'),
        (node.trigger_configure, 'inactive'),
        (node.trigger_shutdown, 'finalized'),
    ):
        trigger()
        label = node._state_machine.current_state[1]
        assert node.state == label == state
    assert node._state_machine.current_state[0] == State.PRIMARY_STATE_FINALIZED


def set_size(node, value):
    (result,) = node.set_parameters([Parameter('size', Parameter.Type.INTEGER, value)])
    return result


def test_no_error_leaves_the_parameter_callback(node):
    node.fails = {3: ConfigError('three is too many'), 4: RuntimeError('no such user')}
    assert set_size(node, 2).successful and node.applied == [(2, {'size'})]
    assert set_size(node, 3).reason == 'three is too many'
    assert set_size(node, 4).reason == 'not changed: RuntimeError: no such user'
    assert node.values.size == node.get_parameter('size').value == 2
    assert set_size(node, 2).successful  # set again, to the same value
    assert node.applied == [(2, {'size'})] * 2
    node.trigger_shutdown()
    assert 'start it again' in set_size(node, 1).reason and node.values.size == 2


def test_it_says_again_what_it_waits_for(ros, monkeypatch, capfd):
    monkeypatch.setattr(lifecycle, 'REMIND_PERIOD_S', 0.05)
    node, executor = Parts(), SingleThreadedExecutor()
    executor.add_node(node)

    def said():
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.02)
        return capfd.readouterr().err

    assert said().count('unconfigured: waiting for a lifecycle manager, or for') >= 3
    node.fails = {'configured': ConfigError('there is no part')}
    node.trigger_configure()
    assert said().count('unconfigured: there is no part') >= 3
    node.fails = {}
    node.trigger_configure()
    assert '`ros2 lifecycle set /parts activate`' in said()
    node.trigger_activate()
    assert 'active: ' not in said()
    node.destroy_node()


def test_the_loop_outlives_an_error_in_a_callback(node, capfd):
    """Whatever raises: a driver of ours, or rclpy itself."""
    calls = []

    def fail():
        calls.append(0)
        if len(calls) > 3:
            os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError('no good')

    node.create_timer(0.01, fail)
    with StopSignals() as signals:
        spin(node, signals)
    assert signals.requested and len(calls) >= 4 and rclpy.ok()
    said = capfd.readouterr().err
    assert said.count('error in a callback, the node continues: ValueError: no good') == 1


def test_a_second_signal_interrupts(ros):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopSignals() as signals:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
    assert signals.requested
    assert signal.getsignal(signal.SIGINT) is before


def test_the_loop_ends_with_the_context(node):
    threading.Timer(0.2, rclpy.try_shutdown).start()
    with StopSignals() as signals:
        spin(node, signals)
    assert not signals.requested
