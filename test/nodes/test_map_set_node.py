# SPDX-License-Identifier: Apache-2.0
"""A relocalizer with a map set: which map answers, and the frame of the floor."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from robot import ACCEPT_ALL, Robot, camera_info, texture, untrained_map

from dsac_ros.map_container import read_container
from dsac_ros.map_set.file import MapEntry, MapSet, relative_path, write_map_set
from dsac_ros.map_set.localizer import MapSetLocalizer
from dsac_ros.map_set.vocabulary import PLACE_DIMENSIONS, PLACE_WORDS, load_vocabularies
from dsac_ros.network.encoder import load_encoder
from dsac_ros.nodes.answering_map import answering_frame, answering_system
from dsac_ros.types import Localization, Result


def write_set(path, map_file, frames):
    """Write a set of one untrained map under several ids, each in a frame."""
    header, _ = read_container(map_file)
    rng = np.random.default_rng(0)
    entries = []
    for index, frame in enumerate(frames):
        codes = rng.integers(-127, 128, (1, PLACE_WORDS * PLACE_DIMENSIONS)).astype(np.int8)
        entries.append(
            MapEntry(
                f'map{index}', relative_path(path, map_file), header['id'], frame, 2.0, codes=codes
            )
        )
    focal, side = header['network_focal_px'], header['short_side']
    made_with = load_encoder()[1], load_vocabularies().id
    write_map_set(path, MapSet('house', *made_with, focal, side, tuple(entries)))
    return path


@pytest.fixture(scope='module')
def map_file(tmp_path_factory):
    return untrained_map(tmp_path_factory.mktemp('maps') / 'room.map')


def found(map_id='', frame=''):
    return Localization(Result.ACCEPTED, map_id=map_id, map_frame=frame)


def test_the_floor_names_the_frame(map_file, tmp_path):
    several = MapSetLocalizer.load(
        write_set(tmp_path / 'two.mapset', map_file, ['ground', 'roof']), 'cpu'
    )
    assert answering_frame(several, found('map1', 'roof'), 'map') == 'roof'
    assert answering_frame(several, found(), 'map') == 'map'
    one = MapSetLocalizer.load(write_set(tmp_path / 'one.mapset', map_file, ['ground']), 'cpu')
    assert answering_frame(one, found('map0', 'ground'), 'map') == 'map'
    assert answering_frame(SimpleNamespace(), found(), 'map') == 'map'


def test_the_map_of_an_answer_is_found(map_file, tmp_path):
    localizer = MapSetLocalizer.load(
        write_set(tmp_path / 'two.mapset', map_file, ['ground', 'roof']), 'cpu'
    )
    assert answering_system(localizer, found('map1')) is localizer.system_of('map1')
    assert answering_system(localizer, found()) is localizer
    alone = SimpleNamespace()
    assert answering_system(alone, found()) is alone


@pytest.mark.slow
def test_a_node_answers_from_a_map_set(map_file):
    path = write_set(map_file.with_name('house.mapset'), map_file, ['ground'])
    robot = Robot(map=str(path), tf_mode='none', **ACCEPT_ALL)
    try:
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        robot.answer_to(texture(0), camera_info())
        status = robot.accepted()
        assert status.map_id == 'map0' and status.header.frame_id == 'map'
    finally:
        robot.close()


@pytest.mark.slow
def test_poses_and_tf_are_in_the_frame_of_the_floor(map_file):
    """Two floors: the parameter map_frame names neither of them."""
    path = write_set(map_file.with_name('floors.mapset'), map_file, ['roof', 'roof', 'cellar'])
    robot = Robot(map=str(path), tf_mode='none', map_set_margin=0.0, **ACCEPT_ALL)
    try:
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        robot.answer_to(texture(0), camera_info())
        status = robot.accepted()
        floor = {'map0': 'roof', 'map1': 'roof', 'map2': 'cellar'}[status.map_id]
        assert status.header.frame_id == floor
        leaf = [
            transform.header.frame_id
            for message in robot.heard['/tf']
            for transform in message.transforms
            if transform.child_frame_id == 'dsac_base_link'
        ]
        assert set(leaf) == {floor}
        assert {pose.header.frame_id for pose in robot.of('pose')} == {floor}
    finally:
        robot.close()
