# SPDX-License-Identifier: Apache-2.0
"""Every system maps and answers the same frames, in one table and one picture."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from walls import MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.cli.main import main
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.types import Camera, Frame


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """A drive along a wall, and three queries beside it."""
    root, wall = tmp_path_factory.mktemp('wall'), texture(0)
    drive = [pose(x, 0.2 * np.sin(9 * x), 0.1 * x, 10 * x) for x in np.linspace(-0.8, 0.8, 30)]
    queries = [pose(x, -0.1, 0.1, 5 * x) for x in (-0.4, 0.0, 0.4)]
    for name, places in (('mapping', drive), ('queries', queries)):
        with FolderWriter(root / name) as folder:
            for place in places:
                folder.write(Frame(seen_from(place, wall), Camera(SIZE_WH, MATRIX)), place)
    return root


def words(folders, *more):
    return [
        'bench',
        'systems',
        str(folders / 'mapping'),
        '--queries',
        str(folders / 'queries'),
        '--device',
        'cpu',
        '--progress',
        'off',
        *more,
    ]


def test_one_table_of_all_systems(folders, tmp_path, capsys):
    target, picture = tmp_path / 'table.json', tmp_path / 'systems.png'
    command = words(
        folders,
        '--systems',
        'retrieval,dsac',
        '--maps',
        str(tmp_path / 'maps'),
        '--set',
        'held_out=0.3',
        '--picture',
        str(picture),
        '--json',
        str(target),
    )
    assert main(command) == 0
    table = json.loads(target.read_text(), parse_constant=pytest.fail)
    assert (table['mapping_frames'], table['queries']) == (30, 3)
    first, second = table['rows']
    assert (first['system'], first['depth'], first['error']) == ('retrieval', 'no', '')
    assert first['results']['frames'] == 3 and 0 < first['results']['median_translation_m'] < 0.5
    assert first['results']['map_bytes'] == (tmp_path / 'maps' / 'retrieval.map').stat().st_size
    assert (second['system'], second['depth']) == ('dsac', 'needed')
    assert 'starts from depth and no frame has any' in second['error']
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith('retrieval') and 'dsac                   failed:' in lines[2]
    assert cv2.imread(str(picture)).std() > 5
    assert main(command) == 0
    assert '(map reused)' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (('--systems', 'retreival'), "unknown recipe 'retreival'"),
        (('--systems', 'retrieval', '--set', 'width=8.5'), 'width is 8.5'),
        (('--systems', 'retrieval', '--set', 'colour=1'), 'none of retrieval has the setting'),
    ],
)
def test_bad_options_are_one_line(folders, capsys, more, message):
    assert main(words(folders, *more)) == 1
    found = capsys.readouterr().err.splitlines()
    assert len(found) == 1 and message in found[0]


def test_systems_without_their_extra_are_left_out(folders, capsys, monkeypatch):
    monkeypatch.setattr('dsac_ros.systems.recipes.find_spec', lambda name: None)
    assert main(words(folders, '--systems', 'sift_sfm')) == 1
    assert 'without sift_sfm, which needs pycolmap and poselib' in capsys.readouterr().err
