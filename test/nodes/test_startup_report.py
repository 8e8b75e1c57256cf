# SPDX-License-Identifier: Apache-2.0
"""A relocalizer says what it misses of TF, in the words of `dsac doctor`, until it has all."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from robot import Robot, camera_info, texture, untrained_map

from dsac_ros.nodes import conversions
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.startup_report import StartupReport
from dsac_ros.nodes.tf_edges import TfEdges

PERIOD_S = 0.2


@pytest.fixture
def report(make_node):
    """A report of a node, and the lines that it logs."""
    made = []

    def make(**values):
        node, lines = make_node(f'node{len(made)}'), []
        logger = SimpleNamespace(
            warning=lines.append, info=lambda text: lines.append('OK ' + text)
        )
        node.get_logger = lambda: logger
        edges = TfEdges(60.0)
        made.append(
            StartupReport(node, edges, RelocalizerParameters(input_timeout=PERIOD_S, **values))
        )
        return made[-1], edges, lines

    yield make
    for one in made:
        one.close()


def test_what_is_missing_then_that_all_is_there(report, spin_until):
    one, edges, lines = report()
    spin_until(lambda: False, 3 * PERIOD_S)
    assert lines == []  # which camera is not known yet
    one.saw('camera_optical')
    assert spin_until(lambda: len(lines) == 2)
    assert lines[0].startswith('camera on the robot: no transform was received')
    assert lines[1].startswith('odometry: no transform was received')
    edges.add('base_link', 'camera_optical', 0, True, 0.0)
    assert spin_until(lambda: len(lines) == 3)
    assert "odometry: TF does not contain frame 'odom'" in lines[2]
    for stamp in range(10):
        edges.add('odom', 'base_link', stamp * 20_000_000, False, 0.0)
    assert spin_until(lambda: len(lines) == 4)
    assert lines[3] == (
        'OK TF leads from camera_optical to base_link, fixed; odom -> base_link at 50 Hz'
    )
    spin_until(lambda: False, 3 * PERIOD_S)
    assert len(lines) == 4


def test_it_repeats_while_it_lasts(report, spin_until, monkeypatch):
    monkeypatch.setattr('dsac_ros.nodes.startup_report.REPEAT', 3)
    one, _, lines = report(tf_mode='map_base')  # without odometry
    one.saw('camera_optical')
    assert spin_until(lambda: len(lines) == 2)
    assert lines[0] == lines[1]


def test_without_frames_there_is_nothing_to_say(report, spin_until):
    one, _, lines = report(tf_mode='map_base', base_frame='')
    one.saw('camera_optical')
    spin_until(lambda: False, 3 * PERIOD_S)
    assert lines == []


def test_the_node_says_it(tmp_path):
    robot = Robot(map=str(untrained_map(tmp_path / 'x.map')), input_timeout=1.0)
    try:
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        robot.answer_to(texture(0), camera_info())
        robot.process.wait_for("odometry: TF does not contain frame 'odom'", 10.0)

        def drive():
            robot.tf.sendTransform(
                conversions.transform_message('odom', 'base_link', robot.now(), np.eye(4))
            )
            return 'odom -> base_link at' in robot.process.output

        assert robot.spin(drive, 15.0), robot.process.output
        assert 'TF leads from camera to base_link, fixed' in robot.process.output
    finally:
        robot.close()
