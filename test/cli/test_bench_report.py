# SPDX-License-Identifier: Apache-2.0
"""`dsac bench report`: the page of the benchmarks is what the committed JSON says."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from dsac_ros.cli.bench_tables.report import BEGIN, END, report_lines
from dsac_ros.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
RUNS = sorted((ROOT / 'docs' / 'data').glob('scenes-*.json'))
MACHINE = {'cpu': 'some CPU, 2 cores', 'gpu': 'none'}
ROW = {
    'scene': 'attic',
    'split': 'full',
    'system': 'dsac',
    'mapping_frames': 30,
    'queries': 8,
    'error': '',
    'results': {
        'within': {'1.0%': 0.5, '5.0%': 1.0},
        'median_translation': 0.0123,
        'lost': 1,
        'wrong': 0,
        'map_bytes': 2_340_000,
        'query_ms': {'p50': 61.2, 'p99': 99.6},
    },
}


def run_of(*rows, date='2026-11-30'):
    return {'rows': list(rows), 'machine': MACHINE, 'date': date}


def changed(row, **values):
    return {**copy.deepcopy(row), **values}


def test_committed_page_matches_the_committed_json(tmp_path):
    page = ROOT / 'docs' / 'benchmarks.md'
    copied = tmp_path / 'page.md'
    copied.write_text(page.read_text())
    assert RUNS
    assert main(['bench', 'report', *map(str, RUNS), '-o', str(copied)]) == 0
    assert copied.read_text() == page.read_text()


def test_a_row_says_what_was_measured():
    lines = report_lines([run_of(ROW)])
    assert '| attic | 30 + 8 | ours | 50 / 100 | 1.23 % | 1 / 0 | 2.3 | 61 / 100 |' in lines
    assert '- 1 rows: 2026-11-30, some CPU, 2 cores, gpu none' in lines


def test_the_newest_run_of_a_row_stands_and_says_when():
    newer = changed(ROW, queries=9)
    lines = report_lines(
        [run_of(ROW, changed(ROW, split='zoom x2')), run_of(newer, date='2026-12-01')]
    )
    assert sum('| attic |' in line for line in lines) == 2
    assert any('| attic | 30 + 9 |' in line for line in lines)
    assert [line for line in lines if 'rows:' in line] == [
        '- 1 rows: 2026-12-01, some CPU, 2 cores, gpu none',
        '- 1 rows: 2026-11-30, some CPU, 2 cores, gpu none',
    ]


def test_table_shows_failures_and_missing_poses():
    nothing = changed(ROW, system='sift_sfm')
    nothing['results'].update(median_translation=None, query_ms=None)
    lines = report_lines([run_of(changed(ROW, error='no frames', results={}), nothing)])
    assert '| attic | 30 + 8 | ours | failed: no frames |  |  |  |  |' in lines
    assert '|  |  | SIFT + SfM | 50 / 100 | - | 1 / 0 | 2.3 | - |' in lines


@pytest.mark.parametrize(
    ('text', 'said'),
    [('{"rows": []}', 'has no machine, date'), ('{', 'is no JSON'), (None, 'cannot read')],
)
def test_a_file_of_something_else_is_refused(tmp_path, capsys, text, said):
    path = tmp_path / 'run.json'
    if text is not None:
        path.write_text(text)
    assert main(['bench', 'report', str(path)]) == 1
    assert said in capsys.readouterr().err


def test_a_page_without_its_marks_is_refused_and_stays(tmp_path, capsys):
    run, page = tmp_path / 'run.json', tmp_path / 'page.md'
    run.write_text(json.dumps(run_of(ROW)))
    page.write_text('# Mine\n')
    assert main(['bench', 'report', str(run), '-o', str(page)]) == 1
    assert BEGIN in capsys.readouterr().err and page.read_text() == '# Mine\n'
    page.write_text(f'# Mine\n{BEGIN}\nold\n{END}\nafter\n')
    assert main(['bench', 'report', str(run), '-o', str(page)]) == 0
    assert 'old' not in page.read_text() and page.read_text().endswith(f'{END}\nafter\n')
