# SPDX-License-Identifier: Apache-2.0
"""The file of a map set: what is written is read again, and what is damaged is named."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from entries import entry, look_alike, map_set

from dsac_ros.errors import MapError
from dsac_ros.map_container import read_header
from dsac_ros.map_set.edit import removed, split
from dsac_ros.map_set.file import (
    is_map_set,
    map_path,
    read_map_set,
    relative_path,
    write_map_set,
)

BOUNDS = {'min': [0.0, 0.0, 0.0], 'max': [1.0, 2.0, 3.0]}
HOUSE = map_set(
    entry('kitchen', 'ground', 0, bounds=BOUNDS, frames=40, map_bytes=1000),
    entry('attic', 'roof', 1),
    look_alikes=(look_alike('kitchen', 'attic'),),
)


def with_header(path, change):
    """Rewrite a file whose header `change` has edited."""
    data = path.read_bytes()
    length = struct.unpack('<Q', data[:8])[0]
    description = json.loads(data[8 : 8 + length])
    header = json.loads(description['__metadata__']['dsac_map'])
    change(header)
    description['__metadata__']['dsac_map'] = json.dumps(header)
    text = json.dumps(description).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + data[8 + length :])
    return path


@pytest.fixture
def path(tmp_path):
    write_map_set(tmp_path / 'house.mapset', HOUSE)
    return tmp_path / 'house.mapset'


def test_what_is_written_is_read_again(path):
    found, header = read_map_set(path)
    assert found == HOUSE
    for one, expected in zip(found.entries, HOUSE.entries):
        np.testing.assert_array_equal(one.codes, expected.codes)
        np.testing.assert_array_equal(one.points.words, expected.points.words)
        np.testing.assert_array_equal(one.points.bits, expected.points.bits)
    (pair,) = found.look_alikes
    np.testing.assert_array_equal(pair.second_from_first, HOUSE.look_alikes[0].second_from_first)
    assert is_map_set(header) and header['frames'] == 40
    assert header['map_frame'] == 'ground, roof' and header['bounds'] is None


def test_one_frame_has_bounds(path):
    write_map_set(path, replace(HOUSE, entries=HOUSE.entries[:1]))
    assert read_header(path)['bounds'] == BOUNDS


def test_the_id_depends_on_the_maps(path):
    before = read_header(path)['id']
    changed = replace(HOUSE.entries[1], map_id='learned again')
    write_map_set(path, replace(HOUSE, entries=(HOUSE.entries[0], changed)))
    assert read_header(path)['id'] != before


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda h: h['maps'][0].pop('map_id'), 'nothing as maps.kitchen.map_id'),
        (lambda h: h['maps'][0].update(depth=-1), '-1 as maps.kitchen.depth'),
        (lambda h: h['maps'][1].update(id='kitchen'), "two maps 'kitchen'"),
        (lambda h: h['maps'][1].update(id=''), 'a map without an id'),
        (lambda h: h['maps'][0].update(bounds={'min': [1]}), 'maps.kitchen.bounds.min'),
        (lambda h: h.update(maps='all'), 'no list of maps'),
        (lambda h: h['settings'].pop('focal_px'), 'settings.focal_px'),
        (lambda h: h['settings'].pop('vocabulary_id'), 'made by an older version'),
        (lambda h: h['maps'][0].update(codes=9), '(4, 8) codes of 11'),
        (lambda h: h['maps'][1].update(points=1), '(6,) points of 4'),
        (lambda h: h.update(look_alikes={}), 'no list of look-alikes'),
        (
            lambda h: h['look_alikes'][0].update(first='hall'),
            'look-alike of a map that it has not',
        ),
        (
            lambda h: h['look_alikes'][0].update(second_from_first=[1, 2]),
            'second_from_first in its header, expected a pose (4, 4)',
        ),
    ],
)
def test_a_damaged_header_is_named(path, change, said):
    with pytest.raises(MapError) as error:
        read_map_set(with_header(path, change))
    assert said in str(error.value) and '\n' not in str(error.value)


def test_a_truncated_set_is_named(path):
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(MapError, match='truncated'):
        read_map_set(path)


def test_a_failed_write_keeps_the_old_set(path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.replace', full)
    with pytest.raises(MapError, match='unchanged'):
        write_map_set(path, removed(HOUSE, ['attic']))
    assert path.read_bytes() == before and not list(path.parent.glob('*.partial'))


def test_paths_are_relative_to_the_set(tmp_path):
    set_path, map_file = tmp_path / 'sets/house.mapset', tmp_path / 'maps/kitchen.dsac'
    told = relative_path(set_path, map_file)
    assert told == '../maps/kitchen.dsac'
    found = map_path(set_path, replace(HOUSE.entries[0], file=told))
    assert found.resolve() == map_file.resolve()


def test_an_unknown_id_has_a_hint():
    with pytest.raises(MapError, match="did you mean 'kitchen'"):
        removed(HOUSE, ['kitchn'])


def test_look_alikes_leave_with_their_maps(tmp_path):
    assert not removed(HOUSE, ['attic']).look_alikes
    rest, new = split(HOUSE, tmp_path / 'a.mapset', tmp_path / 'b.mapset', ['attic'])
    assert not rest.look_alikes and not new.look_alikes
    _, both = split(HOUSE, tmp_path / 'a.mapset', tmp_path / 'b.mapset', ['attic', 'kitchen'])
    assert both.look_alikes == HOUSE.look_alikes


def test_a_look_alike_is_seen_from_either_map():
    pair = look_alike('kitchen', 'attic', x=2.0)
    turned = pair.seen_from('attic')
    assert turned.second == 'kitchen' and turned.second_from_first[0, 3] == -2.0
    assert pair.seen_from('kitchen') is pair and pair.seen_from('hall') is None


def test_a_split_moves_maps(tmp_path):
    rest, new = split(HOUSE, tmp_path / 'house.mapset', tmp_path / 'sets/roof.mapset', ['attic'])
    assert [one.id for one in rest.entries] == ['kitchen'] and new.name == 'roof'
    assert [one.file for one in new.entries] == ['../maps/attic.dsac']
