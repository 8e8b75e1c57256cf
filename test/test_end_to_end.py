# SPDX-License-Identifier: Apache-2.0
"""The whole way without ROS: a corner of a rendered room is learned on the CPU and found again.

The command line does it, as a user would.
"""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from dsac_ros.cli.main import main
from dsac_ros.sources.folder import FolderWriter

pytestmark = pytest.mark.slow

# Twice what was measured (5 cm, 1.1 deg; 500 steps are few), and far from the size of the room.
MEDIAN_M, MEDIAN_DEG = 0.12, 3.0


@pytest.fixture(scope='module')
def query_folder(tiny_map, tmp_path_factory):
    """The frames that were left out, as a folder."""
    path = tmp_path_factory.mktemp('queries') / 'corner'
    with FolderWriter(path) as folder:
        for posed in tiny_map.queries:
            folder.write(posed.frame, posed.world_from_camera)
    return path


def test_frames_that_were_never_seen_are_found(tiny_map, query_folder, tmp_path, capsys):
    code = main(['evaluate', str(tiny_map.map), str(query_folder), '--device', 'cpu', '--progress',
                 'off', '--json', '--report', str(tmp_path / 'report'),
                 '--fail-if', f'median_translation_m>{MEDIAN_M}',
                 '--fail-if', f'median_rotation_deg>{MEDIAN_DEG}',
                 '--fail-if', 'recall@0.25m/10deg<0.75', '--fail-if', 'false_accepts>0'])
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    assert code == 0, captured.err
    assert results['frames'] == len(tiny_map.queries)
    assert results['map_bytes'] == tiny_map.map.stat().st_size
    assert set(results['latency_ms']) >= {'network', 'ransac', 'total'}
    assert (tmp_path / 'report' / 'report.html').stat().st_size > 100_000


def test_a_condition_that_holds_fails(tiny_map, query_folder, capsys):
    code = main(['evaluate', str(tiny_map.map), str(query_folder), '--device', 'cpu', '--progress',
                 'off', '--fail-if', 'frames<1000'])
    captured = capsys.readouterr()
    assert code == 1
    assert f'frames<1000 (it is {len(tiny_map.queries)})' in captured.err
    assert 'median error' in captured.out


def test_the_same_seed_gives_the_same_pose(tiny_map, query_folder, capsys):
    outputs = []
    for _ in range(2):
        assert main(['localize', str(tiny_map.map), str(query_folder), '--device', 'cpu',
                     '--progress', 'off', '--json']) == 0
        outputs.append(json.loads(capsys.readouterr().out))
    assert outputs[0]['poses'] == outputs[1]['poses']


def test_poses_go_to_a_tum_file_and_refusals_keep_their_reason(tiny_map, query_folder, tmp_path,
                                                               capsys):
    folder = tmp_path / 'with_black'
    shutil.copytree(query_folder, folder)
    image = sorted((folder / 'rgb').iterdir())[0]
    import cv2
    cv2.imwrite(str(image), np.zeros((240, 320, 3), np.uint8))
    poses = tmp_path / 'poses.tum'
    assert main(['localize', str(tiny_map.map), str(folder), '-o', str(poses), '--device', 'cpu',
                 '--progress', 'off', '--json', str(tmp_path / 'all.json')]) == 0
    results = json.loads((tmp_path / 'all.json').read_text())
    black = results['poses'][0]
    assert (black['accepted'], black['result']) == (False, 'BAD_IMAGE')
    assert 'no contrast' in black['reason']
    assert 'world_from_camera' not in black
    lines = [line for line in poses.read_text().splitlines() if not line.startswith('#')]
    assert len(lines) == results['accepted'] >= 1
    assert 'not accepted, BAD_IMAGE' in capsys.readouterr().out


def test_inspect_tells_and_draws_without_torch(tiny_map, tmp_path, capsys):
    assert main(['inspect', str(tiny_map.map), '--picture', str(tmp_path / 'map.png')]) == 0
    shown = capsys.readouterr().out
    assert 'frames          24' in shown
    assert (tmp_path / 'map.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(('words', 'message'), [
    (['{source}', '{map}'], 'expected a map file: the map comes first'),
    (['{map}', '{map}'], 'is a map, expected frames'),
    (['{map}', '{source}/nowhere'], 'nowhere does not exist'),
    (['{map}', '{empty}'], 'is an empty folder'),
    (['{torn}', '{source}'], 'is truncated'),
    (['{text}', '{source}'], 'is not a dsac_ros map'),
])
def test_what_is_wrong_is_said_in_one_line(tiny_map, query_folder, tmp_path, capsys, words,
                                           message):
    places = {'map': tiny_map.map, 'source': query_folder, 'empty': tmp_path / 'empty',
              'torn': tmp_path / 'torn.map', 'text': tmp_path / 'text.map'}
    places['empty'].mkdir()
    places['torn'].write_bytes(tiny_map.map.read_bytes()[:-1000])
    places['text'].write_text('not a map at all')
    code = main(['evaluate', *(word.format(**places) for word in words), '--progress', 'off'])
    error = capsys.readouterr().err
    assert code == 1
    assert message in error
    assert error.startswith('dsac: error: ')
    assert error.count('\n') == 1
