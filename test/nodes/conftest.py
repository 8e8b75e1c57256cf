# SPDX-License-Identifier: Apache-2.0
"""A map of random weights, and a relocalizer with it that accepts everything."""

from __future__ import annotations

import pytest
from robot import ACCEPT_ALL, Robot, camera_info, texture, untrained_map


@pytest.fixture(scope='module')
def map_path(tmp_path_factory):
    return untrained_map(tmp_path_factory.mktemp('maps') / 'first.map')


@pytest.fixture(scope='module')
def robot(map_path):
    robot = Robot(map=str(map_path), tf_mode='none', **ACCEPT_ALL)
    robot.listen_to_relocalizer()
    robot.wait_for_node()
    robot.answer_to(texture(0), camera_info())
    yield robot
    robot.close()
