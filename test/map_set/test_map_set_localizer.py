# SPDX-License-Identifier: Apache-2.0
"""Localization in a map set: the right map, its frame, look-alikes, and work that is shared."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.alignment import features
from dsac_ros.cli.main import main
from dsac_ros.config import AcceptConfig, MapSetConfig, RansacConfig
from dsac_ros.errors import MapError
from dsac_ros.localizer import Localizer
from dsac_ros.map_container import read_container, write_container
from dsac_ros.map_set import edit
from dsac_ros.map_set.file import read_map_set, write_map_set
from dsac_ros.map_set.localizer import MapSetLocalizer
from dsac_ros.systems.loading import load_localizer
from dsac_ros.types import Frame, Result

pytestmark = pytest.mark.slow


@pytest.fixture
def make_set(walls, tmp_path):
    """Write a set of maps by name, each in a frame of its own name."""

    def make(*names):
        path = tmp_path / 'house.mapset'
        maps = edit.new_set(path, walls.maps[names[0]])
        for name in names:
            maps = edit.added(maps, path, [walls.maps[name]], frame=f'floor of {name}')
        write_map_set(path, maps)
        return path

    return make


def error_m(found, posed):
    return np.linalg.norm(found.world_from_camera[:3, 3] - posed.world_from_camera[:3, 3])


def test_each_image_finds_its_map(walls, make_set):
    """The pose is that of the map alone."""
    localizer = load_localizer(make_set('first', 'second'), 'cpu')
    for name, queries in walls.queries.items():
        alone = Localizer.load(walls.maps[name], 'cpu')
        for posed in queries:
            found = localizer.localize(posed.frame)
            assert found.accepted and (found.map_id, found.map_frame) == (
                name,
                f'floor of {name}',
            )
            expected = error_m(alone.localize(posed.frame), posed)
            assert error_m(found, posed) == pytest.approx(expected, abs=2e-3)


def test_twins_are_ambiguous(walls, make_set):
    localizer = MapSetLocalizer.load(make_set('first', 'twin', 'second'), 'cpu')
    for posed in walls.queries['first']:
        trace = localizer.trace(posed.frame)
        assert trace.localization.result is Result.AMBIGUOUS
        assert "'first'" in trace.localization.reason and "'twin'" in trace.localization.reason
        assert all(
            np.linalg.norm(pose[:3, 3] - posed.world_from_camera[:3, 3]) < 0.02
            for pose in trace.candidates[:2]
        )
    assert all(localizer.localize(posed.frame).accepted for posed in walls.queries['second'])


def test_a_poster_tells_rooms_apart(walls, make_set):
    """Walls that differ in a poster look alike; an image of the poster is of one of them."""
    path = make_set('first', 'poster', 'second')
    (pair,) = read_map_set(path)[0].look_alikes
    assert {pair.first, pair.second} == {'first', 'poster'} and pair.is_twin
    localizer = MapSetLocalizer.load(path, 'cpu')
    found = [localizer.localize(posed.frame) for posed in walls.poster]
    assert {one.map_id for one in found if one.accepted} == {'poster'}
    assert sum(one.accepted for one in found) >= 2
    others = [localizer.localize(posed.frame) for posed in walls.queries['first']]
    assert {one.map_id for one in others if one.accepted} <= {'first'}


def test_twins_look_alike_where_they_were_learned(walls, make_set):
    """The pose between two maps of one wall is the identity; the other wall has no look-alike."""
    (pair,) = read_map_set(make_set('first', 'second', 'twin'))[0].look_alikes
    assert {pair.first, pair.second} == {'first', 'twin'} and pair.is_twin
    np.testing.assert_allclose(pair.second_from_first, np.eye(4), atol=0.02)


def test_overlapping_maps_do_not_look_alike(walls, tmp_path):
    """Two maps of one frame that tell one view of every image are of one place."""
    path = tmp_path / 'house.mapset'
    files = [walls.maps['first'], walls.maps['twin']]
    maps = edit.added(edit.new_set(path, files[0]), path, files, frame='floor')
    assert not maps.look_alikes


def test_a_map_without_reference_images_is_named(walls, tmp_path):
    """A set could not tell it from the others."""
    path, bare = tmp_path / 'house.mapset', tmp_path / 'bare.dsac'
    header, tensors = read_container(walls.maps['first'])
    kept = {name: one for name, one in tensors.items() if not name.startswith('reference_images.')}
    write_container(bare, header, kept)
    with pytest.raises(MapError, match=r'bare.dsac has no reference images.*reference_images_mb'):
        edit.added(edit.new_set(path, bare), path, [bare])


def test_twins_of_one_frame_agree(walls, tmp_path):
    """The same place in two maps of one frame is an overlap."""
    path = tmp_path / 'house.mapset'
    maps = edit.new_set(path, walls.maps['first'])
    files = [walls.maps['first'], walls.maps['twin']]
    write_map_set(path, edit.added(maps, path, files, frame='floor'))
    localizer = MapSetLocalizer.load(path, 'cpu')
    assert localizer.localize(walls.queries['first'][0].frame).accepted


def test_an_image_without_contrast_is_refused_at_once(walls, make_set):
    localizer = MapSetLocalizer.load(make_set('first', 'second'), 'cpu')
    frame = walls.queries['first'][0].frame
    black = replace(frame, image=np.zeros_like(frame.image))
    found = localizer.localize(black)
    assert found.result is Result.BAD_IMAGE and 'features' not in found.timings_ms


def test_the_ensemble_searches_every_map(walls, make_set):
    config = MapSetConfig(ensemble=True)
    localizer = MapSetLocalizer.load(make_set('first', 'second'), 'cpu', config=config)
    for name, queries in walls.queries.items():
        found = localizer.localize(queries[0].frame)
        assert found.accepted and found.map_id == name
    assert localizer.loaded.loads == 2


def test_features_and_descriptors_are_computed_once(walls, make_set, monkeypatch):
    """Two maps with one encoder and one lens look at one image."""
    localizer = MapSetLocalizer.load(
        make_set('first', 'twin'), 'cpu', config=MapSetConfig(ensemble=True)
    )
    frame = walls.queries['first'][0].frame
    localizer.localize(frame)  # descriptors of reference images are kept
    calls = []
    original = features.features_of_frame
    monkeypatch.setattr(
        features,
        'features_of_frame',
        lambda *given: calls.append('features') or original(*given),
    )
    localizer.describer.encoder.register_forward_hook(lambda *_: calls.append('encoder'))
    found = localizer.localize(frame)
    assert found.result is Result.AMBIGUOUS  # so both maps were asked
    assert sorted(calls) == ['encoder', 'features']


def test_memory_is_bounded(walls, make_set):
    localizer = MapSetLocalizer.load(
        make_set('first', 'second'), 'cpu', config=MapSetConfig(memory_mb=1.0)
    )
    for _ in range(2):
        for name, queries in walls.queries.items():
            assert localizer.localize(queries[0].frame).map_id == name
            assert len(localizer.loaded) == 1
    assert localizer.loaded.loads == 4


def test_settings_reach_every_map(walls, make_set):
    localizer = MapSetLocalizer.load(make_set('first', 'second'), 'cpu')
    frame = walls.queries['first'][0].frame
    strict = localizer.with_settings(
        RansacConfig(),
        AcceptConfig(min_visible_inlier_ratio=1.0, min_feature_inliers=999, min_inliers=10**6),
    )
    assert not strict.localize(frame).accepted
    assert localizer.localize(frame).accepted


def test_a_replaced_map_must_be_updated(walls, make_set, tmp_path):
    path = make_set('first', 'second')
    maps, _ = read_map_set(path)
    own = tmp_path / 'first.dsac'
    shutil.copy(walls.maps['second'], own)
    write_map_set(path, edit.added(maps, path, [own], replaced=True, frame='new'))
    shutil.copy(walls.maps['first'], own)
    localizer = MapSetLocalizer.load(path, 'cpu')
    with pytest.raises(MapError, match='dsac mapset update'):
        localizer.system_of('first')
    changed, ids = edit.updated(read_map_set(path)[0], path)
    assert ids == ['first']
    write_map_set(path, changed)
    found = MapSetLocalizer.load(path, 'cpu').localize(walls.queries['first'][0].frame)
    assert found.accepted and (found.map_id, found.map_frame) == ('first', 'new')


def test_an_empty_set_is_refused(make_set):
    path = make_set('first')
    write_map_set(path, edit.removed(read_map_set(path)[0], ['first']))
    with pytest.raises(MapError, match='lists no map'):
        load_localizer(path, 'cpu')


def test_the_command_line_edits_a_set(walls, tmp_path, capsys):
    path, roof = str(tmp_path / 'house.mapset'), str(tmp_path / 'roof.mapset')
    assert main(['mapset', 'add', path, str(walls.maps['first']), '--frame', 'ground']) == 0
    second = str(walls.maps['second'])
    assert main(['mapset', 'add', path, second, '--id', 'attic']) == 0
    assert main(['mapset', 'add', path, second, '--id', 'attic']) == 1
    assert "has a map 'attic' already" in capsys.readouterr().err
    assert main(['mapset', 'split', path, 'attic', '-o', roof]) == 0
    capsys.readouterr()
    assert main(['mapset', 'list', roof, '--json']) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one['id'] for one in told['maps']] == ['attic']
    assert main(['mapset', 'join', path, roof]) == 0
    assert main(['mapset', 'remove', path, 'first']) == 0
    assert main(['mapset', 'add', path, roof]) == 1
    assert 'is a map set, expected a map' in capsys.readouterr().err
    assert [one.id for one in read_map_set(tmp_path / 'house.mapset')[0].entries] == ['attic']
    assert main(['inspect', path]) == 0
    assert 'attic' in capsys.readouterr().out


def test_a_frame_of_another_size_is_localized(walls, make_set):
    localizer = MapSetLocalizer.load(make_set('first', 'second'), 'cpu')
    posed = walls.queries['second'][1]
    camera = posed.frame.camera
    matrix = camera.matrix.copy()
    matrix[:2] *= 2
    matrix[:2, 2] += 0.5
    large = Frame(
        np.kron(posed.frame.image, np.ones((2, 2), np.uint8)),
        replace(camera, size_wh=(2 * camera.size_wh[0], 2 * camera.size_wh[1]), matrix=matrix),
    )
    found = localizer.localize(large)
    assert found.accepted and found.map_id == 'second'
