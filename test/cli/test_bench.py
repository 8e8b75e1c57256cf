# SPDX-License-Identifier: Apache-2.0
"""`dsac bench damage`: the table beside SIFT + SfM, as a user would print it."""
from __future__ import annotations

import json

import pytest

from dsac_ros.cli.main import main
from dsac_ros.evaluation.damage import DAMAGES
from dsac_ros.sources.folder import FolderWriter

pytestmark = pytest.mark.slow


def as_folder(path, frames):
    with FolderWriter(path) as folder:
        for posed in frames:
            folder.write(posed.frame, posed.world_from_camera)
    return str(path)


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
