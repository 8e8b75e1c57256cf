# SPDX-License-Identifier: Apache-2.0
"""`dsac bench`: the tables as a user would print them."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from dsac_ros.baselines import pnp
from dsac_ros.cli.bench_tables import ransac
from dsac_ros.cli.bench_tables.finetune import tuning_line
from dsac_ros.cli.main import main
from dsac_ros.evaluation.damage import DAMAGES
from dsac_ros.evaluation.tuning_race import VARIANTS
from dsac_ros.map_file import save_map
from dsac_ros.metrics import evaluate
from dsac_ros.network.convolutional import WholeNetwork
from dsac_ros.ransac.estimator import STAGES
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.types import Localization, Result


def as_folder(path, frames):
    with FolderWriter(path) as folder:
        for posed in frames:
            folder.write(posed.frame, posed.world_from_camera)
    return str(path)


@pytest.mark.slow
@pytest.mark.benchmark
def test_both_systems_stand_in_every_row(tiny_map, tmp_path, capsys, monkeypatch):
    few = {kind: DAMAGES[kind] for kind in ('none', 'half resolution')}
    monkeypatch.setattr('dsac_ros.evaluation.damage.DAMAGES', few)
    queries = as_folder(tmp_path / 'queries', tiny_map.queries[:2])
    mapping = as_folder(tmp_path / 'mapping', tiny_map.mapping[:8])
    assert main(['bench', 'damage', str(tiny_map.map), queries, '--peer', mapping, '--device',
                 'cpu', '--progress', 'off', '--json', str(tmp_path / 'table.json')]) == 0
    table = json.loads((tmp_path / 'table.json').read_text())
    assert table['frames'] == 2
    assert [(row['damage'], row['method']) for row in table['rows']] == [
        (kind, method) for kind in few for method in ('dsac', 'sift_sfm')]
    intact = {row['method']: row for row in table['rows'] if row['damage'] == 'none'}
    assert intact['sift_sfm']['recall']['0.05m_5deg'] == 1.0
    lines = capsys.readouterr().out.splitlines()
    assert sum('sift_sfm' in line for line in lines) == len(few)


@pytest.mark.slow
def test_every_way_of_fine_tuning_has_a_row(tiny_map, tmp_path, capsys, monkeypatch):
    few = {name: VARIANTS[name] for name in ('softam', 'encoder', 'rgbd')}
    monkeypatch.setattr('dsac_ros.evaluation.tuning_race.VARIANTS', few)
    queries = as_folder(tmp_path / 'queries', tiny_map.queries[:3])
    mapping = as_folder(tmp_path / 'mapping', tiny_map.mapping)
    words = ['--queries', queries, '--device', 'cpu', '--progress', 'off', '--json',
             str(tmp_path / 'table.json'), '--set', 'finetune_steps=2', '--set', 'hypotheses=8']
    assert main(['bench', 'finetune', str(tiny_map.map), mapping, *words]) == 0
    rows = json.loads((tmp_path / 'table.json').read_text())['rows']
    assert [row['training'] for row in rows] == ['before', 'softam', 'encoder', 'rgbd']
    assert all(row[kind]['frames'] == 3 for row in rows for kind in ('rgb', 'rgbd'))
    # a corner of 24 frames has none to judge by: all rows are those of the head as it was
    assert all(row['told']['reason'] == 'too few held-out frames' for row in rows[1:])
    assert len({row['rgb']['median_translation_m'] for row in rows}) == 1
    assert sum('RGB' in line for line in capsys.readouterr().out.splitlines()) == 8


@pytest.mark.slow
def test_a_map_of_a_whole_network_is_not_fine_tuned(tiny_map, tmp_path, capsys):
    header = {'origin': [0.0] * 3, 'encoder_id': 'dsacstar_tiny', 'short_side': 64}
    save_map(tmp_path / 'whole.map', WholeNetwork('dsacstar_tiny', 2.5), header)
    frames = as_folder(tmp_path / 'frames', tiny_map.queries[:1])
    assert main(['bench', 'finetune', str(tmp_path / 'whole.map'), frames, '--queries', frames,
                 '--device', 'cpu', '--progress', 'off']) == 1
    assert 'the map holds a whole network (dsacstar_tiny)' in capsys.readouterr().err


def test_the_race_of_ransac_says_what_it_measured(tmp_path, capsys, monkeypatch):
    """Also where a peer has no pose for half of the frames: infinity is no JSON."""
    monkeypatch.setattr(pnp, 'opencv_usac_pose', lambda *arguments: None)
    monkeypatch.setattr(ransac, 'RATIOS', (0.8, 0.5))
    threads = torch.get_num_threads()
    assert main(['bench', 'ransac', '--frames', '2', '--set', 'hypotheses=64', '--device', 'cpu',
                 '--threads', '1', '--progress', 'off', '--json', str(tmp_path / 'r.json')]) == 0
    table = json.loads((tmp_path / 'r.json').read_text(), parse_constant=pytest.fail)
    assert (table['frames'], table['threads']) == (2, 1)
    assert torch.get_num_threads() == threads
    rows = {(row['method'], row['inlier_ratio']): row for row in table['rows']}
    assert {method for method, _ in rows} == {'dsac', *pnp.peers()}
    ours, lost = rows['dsac', 0.5], rows['opencv_usac', 0.5]
    assert (ours['device'], ours['success']) == ('cpu', 1.0) and ours['median_error_m'] < 0.05
    assert (lost['success'], lost['median_error_m']) == (0.0, None)
    speed, = table['speed']
    assert speed['device'] == 'cpu' and tuple(speed['stages_ms']) == STAGES
    assert sum(speed['stages_ms'].values()) == pytest.approx(speed['one_ms'], rel=0.7)
    printed = capsys.readouterr()
    assert 'a batch of 16' in printed.out and printed.err == ''
    lost_line, = (line for line in printed.out.splitlines()
                  if 'opencv_usac' in line and line.startswith('    50%'))
    assert 'none' in lost_line


def test_bench_ransac_refuses_no_threads_and_no_frames(capsys):
    for option in ('--frames', '--threads'):
        assert main(['bench', 'ransac', option, '0']) == 1
        assert f'{option} is 0, expected at least 1' in capsys.readouterr().err


def test_a_head_that_finds_half_of_the_queries_has_a_row():
    """Its median is infinite, None in the report, and was multiplied by a hundred."""
    lost = Localization(Result.LOW_INLIERS, 'lost')
    report = evaluate([lost, lost], [np.eye(4), np.eye(4)]).as_dict()
    assert tuning_line('dsac', 'RGB', report).split()[:4] == ['dsac', 'RGB', 'none', 'none']
