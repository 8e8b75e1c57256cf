# SPDX-License-Identifier: Apache-2.0
"""Another map for a running relocalizer: refused with a reason, or loaded beside its work."""

from __future__ import annotations

import os
import time

import pytest
from map_files import GONE, with_header, with_other_tensors
from rcl_interfaces.srv import GetParameters
from robot import camera_info, texture, untrained_map

from dsac_ros.map_container import read_header


def answers(robot, path):
    """Check that a map answers on."""
    assert robot.accepted().map_id == read_header(path)['id']


def parameter_map(robot):
    request = GetParameters.Request(names=['map'])
    return robot.call(GetParameters, f'{robot.me}/get_parameters', request).values[0].string_value


BAD_HEADERS = {
    'missing': {'descriptor': GONE},
    'no short_side': {'short_side': GONE},
    'extra': {'head': {'width': 16, 'blocks': 1, 'experts': 8, 'colour': 'red'}},
    'type': {'origin': 'here'},
    'bounds': {'bounds': {'min': [0.0], 'max': [1.0]}},
    'frames': {'frames': -7},
    'acceptance': {'acceptance': {'min_inliers': 'forty'}},
    'version': {'format_version': 'seven'},
}


@pytest.mark.parametrize('name', BAD_HEADERS)
def test_a_bad_header_is_refused(robot, map_path, tmp_path, name):
    bad = with_header(map_path, tmp_path / 'bad.map', **BAD_HEADERS[name])
    result = robot.set_parameter('map', str(bad))
    assert not result.successful and str(bad) in result.reason and '\n' not in result.reason
    answers(robot, map_path)


@pytest.mark.parametrize(
    'value',
    ['', '~nobody/x.map', '~no_such_user/x.map', 'http://host/a.map', 'package://nowhere/a.map',
     '/dev/zero', '/tmp', 'x' * 5000],
)  # fmt: skip
def test_a_path_that_is_no_map_is_refused(robot, map_path, value):
    result = robot.set_parameter('map', value)
    assert not result.successful and result.reason and '\n' not in result.reason
    answers(robot, map_path)


def test_a_pipe_does_not_stall_the_node(robot, map_path, tmp_path):
    os.mkfifo(tmp_path / 'pipe.map')
    begin = time.monotonic()
    result = robot.set_parameter('map', str(tmp_path / 'pipe.map'))
    assert not result.successful and 'no regular file' in result.reason
    assert time.monotonic() - begin < 10.0
    answers(robot, map_path)


def test_a_later_failure_puts_the_parameter_back(robot, map_path, tmp_path):
    """The header is right, so that only loading shows that the tensors are not."""
    bad = with_other_tensors(map_path, tmp_path / 'bad.map')
    assert robot.set_parameter('map', str(bad)).successful
    line = robot.process.wait_for('is damaged')
    assert str(bad) in line and f'the map {map_path} stays in use' in line
    assert robot.spin(lambda: parameter_map(robot) == str(map_path), 10.0)
    answers(robot, map_path)


def test_the_newest_of_two_requests_wins(robot, map_path, tmp_path):
    second = untrained_map(tmp_path / 'second.map', seed=1)
    third = untrained_map(tmp_path / 'third.map', seed=2)
    for path in (second, third, second, third):
        assert robot.set_parameter('map', str(path)).successful
    assert robot.spin(lambda: robot.of('map_info')[-1].map_url == str(third))
    answers(robot, third)
    assert robot.set_parameter('map', str(second)).successful
    assert robot.set_parameter('map', str(third)).successful  # it is in use: nothing to load
    robot.spin(lambda: False, 2.0)
    assert robot.of('map_info')[-1].map_url == str(third)
    assert robot.set_parameter('map', f'file://{map_path}').successful
    assert robot.spin(lambda: robot.of('map_info')[-1].map_url == f'file://{map_path}')
    answers(robot, map_path)
    assert robot.set_parameter('map', str(map_path)).successful
    assert robot.spin(lambda: robot.of('map_info')[-1].map_url == str(map_path))


def test_the_same_path_again_loads_a_new_file(robot, map_path):
    count = len(robot.of('map_info'))
    assert robot.set_parameter('map', str(map_path)).successful
    robot.spin(lambda: False, 1.0)
    assert len(robot.of('map_info')) == count  # the same file
    untrained_map(map_path, seed=3)
    answers_id = robot.answer_to(texture(1), camera_info()).map_id
    assert answers_id != read_header(map_path)['id']
    assert robot.set_parameter('map', str(map_path)).successful
    assert robot.spin(lambda: len(robot.of('map_info')) > count)
    assert robot.of('map_info')[-1].name == 'untrained 3'
    answers(robot, map_path)


def test_it_ends_without_a_traceback(robot):
    assert robot.process.stop() == 0
    assert 'Traceback' not in robot.process.output
    assert 'error in a callback' not in robot.process.output
