# SPDX-License-Identifier: Apache-2.0
"""`dsac bench`: the tables as a user would print them."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from walls import MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.benchmark import pnp
from dsac_ros.benchmark.damage import DAMAGES
from dsac_ros.benchmark.scene_comparison import LearnedMap, recipe_learner
from dsac_ros.benchmark.tuning_comparison import VARIANTS
from dsac_ros.cli.bench_tables import ransac
from dsac_ros.cli.bench_tables.finetune import tuning_line
from dsac_ros.cli.main import main
from dsac_ros.map_file import save_map
from dsac_ros.metrics import evaluate
from dsac_ros.network.convolutional import WholeNetwork
from dsac_ros.ransac.estimator import STAGES
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.types import Camera, Frame, Localization, PosedFrame, Result


def as_folder(path, frames):
    with FolderWriter(path) as folder:
        for posed in frames:
            folder.write(posed.frame, posed.world_from_camera)
    return str(path)


@pytest.mark.slow
@pytest.mark.benchmark
def test_both_systems_stand_in_every_row(tiny_map, tmp_path, capsys, monkeypatch):
    few = {kind: DAMAGES[kind] for kind in ('none', 'half resolution')}
    monkeypatch.setattr('dsac_ros.benchmark.damage.DAMAGES', few)
    queries = as_folder(tmp_path / 'queries', tiny_map.queries[:2])
    mapping = as_folder(tmp_path / 'mapping', tiny_map.mapping[:8])
    peer = str(tmp_path / 'sift.map')
    words = ['map', mapping, '-o', peer, '--recipe', 'sift_sfm', '--progress', 'off']
    assert main([*words, '--device', 'cpu']) == 0
    assert (
        main(
            [
                'bench',
                'damage',
                str(tiny_map.map),
                queries,
                '--peer',
                peer,
                '--device',
                'cpu',
                '--progress',
                'off',
                '--json',
                str(tmp_path / 'table.json'),
            ]
        )
        == 0
    )
    table = json.loads((tmp_path / 'table.json').read_text())
    assert table['frames'] == 2
    assert [(row['damage'], row['method']) for row in table['rows']] == [
        (kind, method) for kind in few for method in ('ace', 'sift_sfm')
    ]
    intact = {row['method']: row for row in table['rows'] if row['damage'] == 'none'}
    assert intact['sift_sfm']['recall']['0.05m_5deg'] == 1.0
    lines = capsys.readouterr().out.splitlines()
    assert sum('sift_sfm' in line for line in lines) == len(few)


@pytest.mark.slow
def test_every_way_of_fine_tuning_has_a_row(tiny_map, tmp_path, capsys, monkeypatch):
    few = {name: VARIANTS[name] for name in ('softam', 'encoder', 'rgbd')}
    monkeypatch.setattr('dsac_ros.benchmark.tuning_comparison.VARIANTS', few)
    queries = as_folder(tmp_path / 'queries', tiny_map.queries[:3])
    mapping = as_folder(tmp_path / 'mapping', tiny_map.mapping)
    words = [
        '--queries',
        queries,
        '--device',
        'cpu',
        '--progress',
        'off',
        '--json',
        str(tmp_path / 'table.json'),
        '--set',
        'finetune_steps=2',
        '--set',
        'hypotheses=8',
    ]
    assert main(['bench', 'finetune', str(tiny_map.map), mapping, *words]) == 0
    rows = json.loads((tmp_path / 'table.json').read_text())['rows']
    assert [row['training'] for row in rows] == ['before', 'softam', 'encoder', 'rgbd']
    assert all(row[kind]['frames'] == 3 for row in rows for kind in ('rgb', 'rgbd'))
    # a corner of 24 frames has none to judge by: all rows are those of the head as it was
    assert all(row['training_summary']['reason'] == 'too few held-out frames' for row in rows[1:])
    assert len({row['rgb']['median_translation_m'] for row in rows}) == 1
    assert sum('RGB' in line for line in capsys.readouterr().out.splitlines()) == 8


@pytest.mark.slow
def test_a_map_of_a_whole_network_is_not_fine_tuned(tiny_map, tmp_path, capsys):
    header = {
        'origin': [0.0] * 3,
        'encoder_id': 'dsacstar_tiny',
        'short_side': 64,
        'network_focal_px': 60.0,
    }
    save_map(tmp_path / 'whole.map', WholeNetwork('dsacstar_tiny', 2.5), header)
    frames = as_folder(tmp_path / 'frames', tiny_map.queries[:1])
    assert (
        main(
            [
                'bench',
                'finetune',
                str(tmp_path / 'whole.map'),
                frames,
                '--queries',
                frames,
                '--device',
                'cpu',
                '--progress',
                'off',
            ]
        )
        == 1
    )
    assert 'the map holds a whole network (dsacstar_tiny)' in capsys.readouterr().err


def test_the_race_of_ransac_says_what_it_measured(tmp_path, capsys, monkeypatch):
    """Also where a peer has no pose for half of the frames: infinity is no JSON."""
    monkeypatch.setattr(pnp, 'opencv_usac_pose', lambda *arguments: None)
    monkeypatch.setattr(ransac, 'RATIOS', (0.8, 0.5))
    threads = torch.get_num_threads()
    assert (
        main(
            [
                'bench',
                'ransac',
                '--frames',
                '2',
                '--set',
                'hypotheses=64',
                '--device',
                'cpu',
                '--threads',
                '1',
                '--progress',
                'off',
                '--json',
                str(tmp_path / 'r.json'),
            ]
        )
        == 0
    )
    table = json.loads((tmp_path / 'r.json').read_text(), parse_constant=pytest.fail)
    assert (table['frames'], table['threads']) == (2, 1)
    assert torch.get_num_threads() == threads
    rows = {(row['method'], row['inlier_ratio']): row for row in table['rows']}
    assert {method for method, _ in rows} == {'dsac', *pnp.peers()}
    ours, lost = rows['dsac', 0.5], rows['opencv_usac', 0.5]
    assert (ours['device'], ours['success']) == ('cpu', 1.0) and ours['median_error_m'] < 0.05
    assert (lost['success'], lost['median_error_m']) == (0.0, None)
    (speed,) = table['speed']
    assert speed['device'] == 'cpu' and tuple(speed['stages_ms']) == STAGES
    assert min(speed['stages_ms'].values()) >= 0 and speed['one_ms'] > 0
    printed = capsys.readouterr()
    assert 'a batch of 16' in printed.out and printed.err == ''
    (lost_line,) = (
        line
        for line in printed.out.splitlines()
        if 'opencv_usac' in line and line.startswith('    50%')
    )
    assert 'none' in lost_line


def test_bench_ransac_refuses_no_threads_and_no_frames(capsys):
    for option in ('--frames', '--threads'):
        assert main(['bench', 'ransac', option, '0']) == 1
        assert f'{option} is 0, expected at least 1' in capsys.readouterr().err


def test_a_head_that_loses_half_the_queries_has_a_row():
    """Its median is infinite, None in the report, and was multiplied by a hundred."""
    lost = Localization(Result.LOW_INLIERS, 'lost')
    report = evaluate([lost, lost], [np.eye(4), np.eye(4)]).as_dict()
    assert tuning_line('dsac', 'RGB', report).split()[:4] == ['dsac', 'RGB', 'none', 'none']


@pytest.fixture
def wall_scenes(tmp_path):
    """Two scenes of a textured wall, one of them with queries of its own."""
    wall = texture(0)

    def frames(places):
        return [
            PosedFrame(Frame(seen_from(place, wall), Camera(SIZE_WH, MATRIX)), place)
            for place in places
        ]

    drive = [pose(x, 0.1 * np.sin(9 * x), 0.1 * x, 10.0 * x) for x in np.linspace(-0.5, 0.5, 6)]
    as_folder(tmp_path / 'scenes' / 'lane' / 'mapping', frames(drive))
    as_folder(tmp_path / 'scenes' / 'wall' / 'train', frames(drive))
    as_folder(tmp_path / 'scenes' / 'wall' / 'test', frames([pose(0.25, -0.1, 0.3, 5.0)]))
    return tmp_path / 'scenes'


def fake_learner(calls):
    """In place of the learning of a map, which takes a minute: finds nothing."""

    class Nothing:
        def localize(self, frame):
            return Localization(Result.LOW_INLIERS, 'lost', timings_ms={'network': 4.0})

    def make(config, *rest):
        if config.recipe != 'ace':
            return recipe_learner(config, *rest)

        def learner(frames, path):
            calls.append((config.minutes, path.name))
            path.write_bytes(bytes(5000))
            return LearnedMap(Nothing(), 5000, 60.0, False)

        return learner

    return make


@pytest.mark.benchmark
def test_bench_scenes_has_both_systems_side_by_side(wall_scenes, tmp_path, capsys, monkeypatch):
    calls = []
    monkeypatch.setattr('dsac_ros.benchmark.scene_comparison.recipe_learner', fake_learner(calls))
    words = [
        'bench',
        'scenes',
        str(wall_scenes),
        '--minutes',
        '0.5',
        '--maps',
        str(tmp_path / 'maps'),
        '--device',
        'cpu',
        '--progress',
        'off',
    ]
    assert main([*words, '--json', str(tmp_path / 'table.json')]) == 0
    table = json.loads((tmp_path / 'table.json').read_text(), parse_constant=pytest.fail)
    rows = {(row['scene'], row['split'], row['system']): row for row in table['rows']}
    assert list(rows) == [
        (scene, split, system)
        for scene, first in (('lane', 'stretches'), ('wall', 'full'))
        for split in (first, 'thinned', 'zoom x2')
        for system in ('dsac', 'sift_sfm')
    ]
    assert calls == [
        (0.5, f'{scene}.{split}.dsac')
        for scene, first in (('lane', 'stretches'), ('wall', 'full'))
        for split in (first, 'thinned')
    ]
    ours, peer = (rows['wall', 'full', name] for name in ('dsac', 'sift_sfm'))
    assert ours['results']['lost'] == 1 and ours['results']['median_translation'] is None
    assert peer['results']['within'] == dict.fromkeys(
        ('1.0%', '2.5%', '5.0%', '12.5%', '25.0%'), 1.0
    )
    assert peer['results']['map_bytes'] == (tmp_path / 'maps/wall.full.sift_sfm').stat().st_size
    assert peer['depth'] == pytest.approx(3.0, rel=0.1) and table['machine']['cpu']
    # a single frame of the drive is left, of which nothing can be triangulated
    assert '1 usable posed frames' in rows['wall', 'thinned', 'sift_sfm']['error']
    lines = capsys.readouterr().out.splitlines()
    assert sum('failed: 1 usable posed frames' in line for line in lines) == 2
    assert any(
        line.startswith('wall') and '100 / 100 / 100 / 100 / 100 %' in line for line in lines
    )

    assert main([*words, '--scenes', 'wall', '--splits', 'full', '--no-ours']) == 0
    assert '(map reused)' in capsys.readouterr().out


def test_bench_scenes_without_the_extra_is_ours_alone(wall_scenes, capsys, monkeypatch):
    monkeypatch.setattr('dsac_ros.benchmark.scene_comparison.recipe_learner', fake_learner([]))
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    words = [
        'bench',
        'scenes',
        str(wall_scenes),
        '--splits',
        'full',
        '--device',
        'cpu',
        '--progress',
        'off',
    ]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines[1:3]] == ['dsac', 'dsac']
    assert '  none       none     1 ' in lines[1]  # no position, no rotation, one lost
    assert lines[3].startswith('without sift_sfm: the system sift_sfm needs pycolmap and poselib')
    assert main([*words, '--no-ours']) == 1
    assert 'no system is left to measure (without sift_sfm' in capsys.readouterr().err


def test_bench_refuses_unknown_splits_and_scenes(wall_scenes, capsys):
    for option, value, message in (
        ('--splits', 'full,night', "'night', expected some of full"),
        ('--scenes', 'attic', "'attic', expected one of lane, wall"),
    ):
        assert main(['bench', 'scenes', str(wall_scenes), option, value]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_bench_scenes_uses_a_map_that_is_there(tiny_map, tmp_path, capsys):
    as_folder(tmp_path / 'scenes' / 'corner' / 'train', tiny_map.mapping)
    as_folder(tmp_path / 'scenes' / 'corner' / 'test', tiny_map.queries[:3])
    (tmp_path / 'maps').mkdir()
    shutil.copy(tiny_map.map, tmp_path / 'maps' / 'corner.full.dsac')
    assert (
        main(
            [
                'bench',
                'scenes',
                str(tmp_path / 'scenes'),
                '--splits',
                'full',
                '--no-peer',
                '--maps',
                str(tmp_path / 'maps'),
                '--queries',
                '2',
                '--device',
                'cpu',
                '--progress',
                'off',
                '--json',
            ]
        )
        == 0
    )
    (row,) = json.loads(capsys.readouterr().out)['rows']
    assert row['error'] == '' and row['queries'] == 2 and row['results']['map_reused']
    assert row['results']['within']['5.0%'] == 1.0 and row['results']['query_ms']['p50'] > 0
    assert row['results']['mapping_seconds'] > 1


@pytest.mark.slow
def test_confidence_is_compared_on_two_scenes(tiny_map, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('dsac_ros.benchmark.trust.SHOWN', ('blur 30 px',))
    for name in ('corner', 'other'):
        as_folder(tmp_path / 'scenes' / name / 'train', tiny_map.mapping[:12])
        as_folder(tmp_path / 'scenes' / name / 'test', tiny_map.queries[:2])
        (tmp_path / 'maps').mkdir(exist_ok=True)
        shutil.copy(tiny_map.map, tmp_path / 'maps' / f'{name}.full.dsac')
    words = [str(tmp_path / 'scenes'), '--maps', str(tmp_path / 'maps'), '--device', 'cpu']
    target = tmp_path / 'table.json'
    assert main(['bench', 'trust', *words, '--progress', 'off', '--json', str(target)]) == 0
    table = json.loads(target.read_text())
    frames = {row['group']: row['frames'] for row in table['rows']}
    assert frames == {
        'intact': 4,
        'damaged': 16,
        'of another place': 16,
        'intact + damaged + of another place': 36,
    }
    intact = table['rows'][0]
    assert intact['right'] == intact['accepted'] == 4 and intact['predicted'] > 3.0
    assert all(row['most_of_refused'] <= 0.5 for row in table['rows'])
    kinds = table['kinds']
    assert kinds['intact']['exact_accepted'] == kinds['intact']['exact'] == 4
    assert all(kinds[name]['accepted'] == 0 for name in ('noise', 'black'))
    assert set(table['scenes']['corner']['coverage']) == {'1sigma', '2sigma', '3sigma'}
    assert len(table['quartiles']) == 4
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith('intact: 4 frames, right 4') for line in lines)
    assert main(['bench', 'trust', *words, '--scenes', 'corner', '--progress', 'off']) == 1
    assert 'expected two or more' in capsys.readouterr().err
