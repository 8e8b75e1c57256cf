# SPDX-License-Identifier: Apache-2.0
"""Every system does what the protocol says, by the same commands."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dsac_ros.cli.main import main
from dsac_ros.config import MappingConfig
from dsac_ros.errors import ConfigError, MapError
from dsac_ros.map_container import read_container, read_header, write_container
from dsac_ros.map_file import load_map
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.recipes import SYSTEMS, find_any, settings_class, with_defaults
from dsac_ros.types import Frame, Result


@pytest.fixture(scope='module', params=list(SYSTEMS))
def learned(request, wall_frames, tmp_path_factory):
    """The map of the wall by one of the systems."""
    path = tmp_path_factory.mktemp('maps') / f'{request.param}.map'
    values = with_defaults({'recipe': request.param, 'held_out': 0.3, 'steps': 60})
    mapping = {k: v for k, v in values.items() if k in MappingConfig.__dataclass_fields__}
    own = {k: v for k, v in values.items() if k not in mapping}
    config = MappingConfig(**{**mapping, 'short_side': 120})
    learn(
        wall_frames,
        config,
        settings_class(request.param)(**own),
        device='cpu',
        output=path,
        total=40,
    )
    return path


def test_the_header_says_whose_map_it_is(learned):
    header = read_header(learned)
    assert header['system'] == header['recipe'] == learned.stem
    assert header['frames'] == 40 and header['held_out']['frames'] == 12
    with pytest.raises(MapError, match=f'a map of the system {learned.stem}'):
        load_map(learned)


def test_the_same_frame_has_the_same_answer(learned, wall_queries):
    one, other = (load_localizer(learned, 'cpu') for _ in range(2))
    for posed in wall_queries:
        first, second = one.localize(posed.frame), other.trace(posed.frame).localization
        assert (first.result, first.reason) == (second.result, second.reason)
        if first.world_from_camera is not None:
            np.testing.assert_array_equal(first.world_from_camera, second.world_from_camera)


def test_a_black_image_is_no_image(learned, wall_queries):
    frame = wall_queries[0].frame
    found = load_localizer(learned, 'cpu').localize(Frame(0 * frame.image, frame.camera, 5, 'n'))
    assert found.result is Result.BAD_IMAGE and 'contrast' in found.reason
    assert (found.stamp_ns, found.name) == (5, 'n')


def test_altered_weights_are_noticed(learned, tmp_path):
    data = bytearray(learned.read_bytes())
    data[-5] ^= 0x40
    (tmp_path / 'a.map').write_bytes(data)
    with pytest.raises(MapError, match='damaged'):
        load_localizer(tmp_path / 'a.map')


def test_tensors_of_another_system_are_no_map(learned, tmp_path):
    header, tensors = read_container(learned)
    first = sorted(tensors)[0]
    write_container(tmp_path / 'a.map', header, {'other': tensors[first]})
    with pytest.raises(MapError, match='damaged'):
        load_localizer(tmp_path / 'a.map')


def test_every_command_takes_the_map(learned, wall_queries, tmp_path, capsys):
    source = tmp_path / 'frames'
    with FolderWriter(source) as folder:
        for posed in wall_queries:
            folder.write(posed.frame, posed.world_from_camera)
    out = tmp_path / 'out.json'
    assert main(['evaluate', str(learned), str(source), '--json', str(out)]) == 0
    assert json.loads(out.read_text())['frames'] == 5
    assert main(['localize', str(learned), str(source), '--json', str(out)]) == 0
    assert len(json.loads(out.read_text())['poses']) == 5
    assert main(['inspect', str(learned)]) == 0
    assert learned.stem in capsys.readouterr().out


def test_an_unknown_recipe_names_those_that_exist():
    with pytest.raises(ConfigError, match='retrieval'):
        find_any('retreival')


def test_a_system_of_a_later_version(learned, tmp_path):
    header, tensors = read_container(learned)
    write_container(tmp_path / 'a.map', {**header, 'system': 'telepathy'}, tensors)
    with pytest.raises(MapError, match=r'telepathy.*update dsac_ros'):
        load_localizer(tmp_path / 'a.map')
