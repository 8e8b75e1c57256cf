# SPDX-License-Identifier: Apache-2.0
"""Heartbeats of the nodes, heard by a stand-in of nav2's lifecycle manager over DDS."""

from __future__ import annotations

import importlib
import time
from types import SimpleNamespace

import pytest
from lifecycle_msgs.msg import Transition
from robot import Robot, untrained_map

from dsac_ros.nodes import bond
from dsac_ros.nodes.bond import STATUS, Bond
from dsac_ros.nodes.runtime import register_messages

BOND_TIMEOUT_S = 4.0
register_messages(STATUS)
try:
    Status = importlib.import_module('bond.msg').Status
except ImportError:
    Status = None
needs_bond = pytest.mark.skipif(Status is None, reason='this ROS has no package bond')


class Manager:
    """Keeps the rules of a bond: one sister, silent at most BOND_TIMEOUT_S, dead by its word."""

    def __init__(self, robot: Robot, name: str) -> None:
        self.robot, self.name = robot, name
        self.arrivals: list[float] = []
        self.instances: list[str] = []
        self.active = False
        robot.node.create_subscription(Status, 'bond', self._on_status, 10)

    def _on_status(self, message) -> None:
        if message.id != self.name:
            return
        self.arrivals.append(time.monotonic())
        if message.instance_id not in self.instances:
            self.instances.append(message.instance_id)
        self.active = message.active

    @property
    def longest_silence(self) -> float:
        gaps = [b - a for a, b in zip(self.arrivals, self.arrivals[1:])]
        return max(gaps, default=float('inf'))


@pytest.fixture
def robot(tmp_path):
    started = []

    def start(**parameters):
        started.append(Robot(map=str(untrained_map(tmp_path / 'x.map')), **parameters))
        return started[-1]

    yield start
    for one in started:
        one.close()


@needs_bond
def test_a_managed_node_keeps_its_bond(robot):
    one = robot(autostart=False, bond_heartbeat_period=0.25)
    manager = Manager(one, 'dsac_relocalizer')
    assert one.change_state(Transition.TRANSITION_CONFIGURE)
    assert one.spin(lambda: False, 0.6) is False and manager.arrivals == []  # not active yet
    assert one.change_state(Transition.TRANSITION_ACTIVATE)
    assert one.spin(lambda: len(manager.arrivals) > 8, 10.0)
    assert manager.active and len(manager.instances) == 1
    assert manager.longest_silence < BOND_TIMEOUT_S
    assert one.change_state(Transition.TRANSITION_DEACTIVATE)
    assert one.spin(lambda: not manager.active, 5.0)
    count = len(manager.arrivals)
    one.spin(lambda: False, 1.0)
    assert len(manager.arrivals) == count  # destroyed with the deactivation
    assert one.change_state(Transition.TRANSITION_ACTIVATE)
    assert one.spin(lambda: manager.active, 5.0)
    assert len(manager.instances) == 2  # a manager takes the old one for dead


def test_without_a_period_there_is_no_bond(make_node):
    node = make_node('alone')
    heartbeats = Bond(node)
    heartbeats.start(0.0)
    assert node.count_publishers('/bond') == 0
    heartbeats.stop()


def test_a_missing_message_type_is_one_line(make_node, monkeypatch):
    lines, node = [], make_node('alone')
    node.get_logger = lambda: SimpleNamespace(warning=lines.append)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(bond.importlib, 'import_module', missing)
    monkeypatch.setattr(bond, 'register_messages', lambda definitions: None)
    heartbeats = Bond(node)
    heartbeats.start(0.25)
    heartbeats.stop()
    (line,) = lines
    assert 'bond_timeout 0' in line and 'ros-$ROS_DISTRO-bond' in line
