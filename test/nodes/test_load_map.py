# SPDX-License-Identifier: Apache-2.0
"""Another map by the service that nav2's map_server has, too."""

from __future__ import annotations

import pytest
from map_files import with_header, with_other_tensors
from rcl_interfaces.srv import GetParameters
from robot import untrained_map

from dsac_ros.map_container import read_header

LoadMap = pytest.importorskip('nav2_msgs.srv').LoadMap
CODES = LoadMap.Response


def load_map(robot, url):
    """The result code."""
    return robot.call(LoadMap, f'{robot.me}/load_map', LoadMap.Request(map_url=url)).result


def uses(robot, url, path):
    """The node says that it has a map, and answers with it."""
    request = GetParameters.Request(names=['map'])
    (value,) = robot.call(GetParameters, f'{robot.me}/get_parameters', request).values
    return value.string_value == url and robot.accepted().map_id == read_header(path)['id']


def test_it_answers_when_the_map_is_in_use(robot, map_path, tmp_path):
    other = untrained_map(tmp_path / 'other.map', seed=4)
    assert load_map(robot, f'file://{other}') == CODES.RESULT_SUCCESS
    assert uses(robot, f'file://{other}', other)
    for _ in range(2):  # the second time it is in use already
        assert load_map(robot, str(map_path)) == CODES.RESULT_SUCCESS
    assert uses(robot, str(map_path), map_path)


@pytest.mark.parametrize(
    'url', ['', '/no/such.map', '~nobody/x.map', 'http://host/a.map', 'a' * 999]
)
def test_no_such_file(robot, map_path, url):
    assert load_map(robot, url) == CODES.RESULT_MAP_DOES_NOT_EXIST
    assert uses(robot, str(map_path), map_path)


def test_a_bad_file_keeps_the_map(robot, map_path, tmp_path):
    header = with_header(map_path, tmp_path / 'header.map', origin='here')
    assert load_map(robot, str(header)) == CODES.RESULT_INVALID_MAP_METADATA
    tensors = with_other_tensors(map_path, tmp_path / 'tensors.map')
    assert load_map(robot, str(tensors)) == CODES.RESULT_INVALID_MAP_DATA
    robot.process.wait_for(f'~/load_map: {tensors} is damaged')
    assert uses(robot, str(map_path), map_path)


def test_a_map_set_meanwhile_wins(robot, map_path, tmp_path):
    other, third = (untrained_map(tmp_path / f'{n}.map', seed=n) for n in (5, 6))
    client = robot.node.create_client(LoadMap, f'{robot.me}/load_map')
    assert client.wait_for_service(timeout_sec=20.0)
    futures = [client.call_async(LoadMap.Request(map_url=str(path))) for path in (other, third)]
    assert robot.spin(lambda: all(future.done() for future in futures))
    results = [future.result().result for future in futures]
    assert results[1] == CODES.RESULT_SUCCESS
    assert results[0] in (CODES.RESULT_SUCCESS, CODES.RESULT_UNDEFINED_FAILURE)
    assert uses(robot, str(third), third)


def test_it_ends_in_order(robot):
    assert robot.process.stop() == 0
    assert 'Traceback' not in robot.process.output
    assert 'error in a callback' not in robot.process.output
