# SPDX-License-Identifier: Apache-2.0
"""protocols/run.py and table.py, `dsac benchmark`: resumable, and silent before it is complete."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace

import pytest
from published_layouts import WRITERS, rendered_frames

from dsac_ros.cli import benchmark, main
from dsac_ros.errors import ConfigError, MappingError, OutputError
from dsac_ros.protocols import protocol as protocols
from dsac_ros.protocols import run, table
from dsac_ros.protocols.protocol import PROTOCOLS
from dsac_ros.protocols.scene_data import SceneData


@pytest.fixture
def seven(tmp_path, monkeypatch):
    """Two scenes of 7-Scenes, which has but these two here."""
    for scene in ('chess', 'fire'):
        WRITERS['7scenes'][0](tmp_path / 'data', *rendered_frames(), scene)
    whole = replace(PROTOCOLS['7scenes'], scenes=('chess', 'fire'), counts={})
    monkeypatch.setitem(protocols.PROTOCOLS, '7scenes', whole)
    return tmp_path / 'data'


def dsac(*words):
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    given = [str(word) for word in words]
    return benchmark.run(parser.parse_args([*given, '--progress', 'off', '--recipe', 'retrieval']))


@pytest.mark.slow
@pytest.mark.parametrize('name', PROTOCOLS)
def test_a_scene_is_mapped_and_measured(tmp_path, capsys, monkeypatch, name):
    """A protocol with one of its scenes has a value in that column, and no mean."""
    writer, scene = WRITERS[name]
    writer(tmp_path / 'data', *rendered_frames())
    monkeypatch.setitem(protocols.PROTOCOLS, name, replace(PROTOCOLS[name], counts={}))
    assert (
        dsac(name, tmp_path / 'data', '-o', tmp_path / 'out', '--json', tmp_path / 'a.json') == 0
    )
    told = capsys.readouterr()
    total = len(PROTOCOLS[name].scenes)
    assert f'not complete: 1 of {total} scenes' in told.out
    assert 'no such folder in' in told.err and f'{scene}: 6 of 6 test frames' in told.err
    found = json.loads((tmp_path / 'a.json').read_text())
    result = found['scenes'][scene]
    assert (found['complete'], result['training_frames'], result['evaluated']) == (False, 24, 6)
    assert result['median_cm'] < 100 and (tmp_path / 'out' / f'{scene}.dsac').is_file()
    ours = next(line for line in told.out.splitlines() if line.startswith('dsac_ros '))
    assert ours.split()[-1] == '-' and len(set(ours.split())) > 2


@pytest.mark.slow
def test_a_run_goes_on_where_it_ended(seven, tmp_path, capsys, monkeypatch):
    out = tmp_path / 'out'
    words = ('7scenes', seven, '-o', out, '--ground-truth', 'sfm')
    dsac(*words, '--scenes', 'chess')
    assert 'not complete: 1 of 2 scenes' in capsys.readouterr().out
    first = (out / 'chess.json').read_bytes()
    learned = []

    def learn(*args, **options):
        learned.append(options['output'].stem)
        return real(*args, **options)

    real = run.learn
    monkeypatch.setattr(run, 'learn', learn)
    dsac(*words)
    told = capsys.readouterr().out
    assert learned == ['fire'] and (out / 'chess.json').read_bytes() == first
    assert 'complete: 2 of 2 scenes' in told and 'not complete' not in told
    (out / 'fire.json').unlink()
    dsac(*words)
    assert learned == ['fire']  # the map was there
    dsac(*words, '--again', '--scenes', 'fire')
    assert learned == ['fire', 'fire']
    with pytest.raises(OutputError, match=r'another run \(its seed is 0, now 7\).*--again'):
        dsac(*words, '--seed', '7')
    assert (out / 'chess.json').read_bytes() == first


def result(within, median_cm, **changes):
    limits = {run.key(*limit): within for limit in run.LIMITS}
    return {
        'evaluated': 6,
        'test_frames': 6,
        'within': limits,
        'accepted_within': limits,
        'median_cm': median_cm,
        'median_deg': 1.0,
        'left_out': {'train': {}, 'test': {}},
    } | changes


def two_scenes(**changes):
    one = replace(PROTOCOLS['7scenes'], scenes=('chess', 'fire'))
    found = [
        (SceneData('chess', None, None), result(0.5, 2.0)),
        (SceneData('fire', None, None), result(0.8, 4.0, **changes)),
    ]
    return one, found


def row(lines, name):
    return next(line for line in lines if line.startswith(f'{name} ')).split()


def test_a_complete_table_has_means_and_papers():
    lines = table.tables(*_with_truth(two_scenes()))
    assert row(lines, 'dsac_ros')[1:] == ['50.0', '80.0', '65.0']
    assert row(lines, 'ACE')[2:] == ['-', '-', '80.8']
    assert 'complete: 2 of 2 scenes' in lines
    sources = [line for line in lines if line.startswith('[')]
    assert len(sources) == 2 and 'ICCV 2021' in sources[0]


@pytest.mark.parametrize(
    'changes', [{'evaluated': 5}, {'left_out': {'train': {'an image file that is missing': 1}}}]
)
def test_a_part_of_the_frames_makes_no_mean(changes):
    lines = table.tables(*_with_truth(two_scenes(**changes)))
    assert row(lines, 'dsac_ros')[1:] == ['50.0', '80.0*', '-']
    assert any(line.startswith('not complete: 1 of 2 scenes; no mean') for line in lines)


def test_frames_without_an_estimate_are_infinite():
    one, found = two_scenes()
    found[1][1]['median_cm'] = None
    assert 'inf/1.00' in row(table.tables(one, 'slam', found)[8:], 'dsac_ros')


def _with_truth(given):
    one, found = given
    return one, 'slam', found


@pytest.mark.parametrize('name', PROTOCOLS)
def test_published_rows_name_paper_and_scenes(name):
    protocol = PROTOCOLS[name]
    for ground_truth in protocol.ground_truths or ('',):
        rows = table.published(protocol, ground_truth)
        assert rows
        for one in rows:
            assert one['source'] and one['method']
            values = [*one.get('within', {}).values(), one.get('mean_within', 50)]
            assert all(0 <= value <= 100 for value in values)
            for kind in ('within', 'median'):
                assert set(one.get(kind, {})) <= set(protocol.scenes)
        assert table.tables(protocol, ground_truth, [])


def test_means_of_published_estimates_match_the_paper():
    """Those of the tutorial's table: 98.5, 95.7 and 95.7 % under SfM."""
    rows = {one['method']: one for one in table.published(PROTOCOLS['7scenes'], 'sfm')}
    for name, mean in (('Active Search', 98.5), ('hLoc', 95.7), ('D.VLAD+R2D2', 95.7)):
        values = rows[name]['within'].values()
        assert math.isclose(sum(values) / len(values), mean, abs_tol=0.06)


@pytest.mark.parametrize(
    'error, told_as',
    [
        (MappingError('the images show no motion'), 'the images show no motion'),
        (ValueError('two\nlines'), 'ValueError: two lines'),
    ],
)
def test_one_failing_scene_ends_no_run(seven, tmp_path, capsys, monkeypatch, error, told_as):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(run, 'learn', fail)
    assert dsac('7scenes', seven, '-o', tmp_path / 'out') == 0
    told = capsys.readouterr()
    assert told.err.count(f'no result: {told_as}') == 2
    assert 'not complete: 0 of 2 scenes' in told.out


def test_an_interrupted_training_goes_on(seven, tmp_path, monkeypatch):
    resumed = []

    def interrupted(*args, resume, output, **options):
        resumed.append(resume)
        run.checkpoint_of(output).write_bytes(b'state')
        raise KeyboardInterrupt

    monkeypatch.setattr(run, 'learn', interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            dsac('7scenes', seven, '-o', tmp_path / 'out')
    with pytest.raises(KeyboardInterrupt):
        dsac('7scenes', seven, '-o', tmp_path / 'out', '--again')
    assert resumed == [False, True, False]


def test_check_says_what_is_missing(seven, capsys):
    assert dsac('7scenes', seven, '--check') == 0
    (seven / 'fire/TestSplit.txt').unlink()
    assert dsac('7scenes', seven, '--check') == 1
    told = capsys.readouterr()
    assert '1 of 2 scenes of 7-Scenes are complete' in told.out and 'microsoft.com' in told.out
    assert 'missing: fire test:' in told.err


def test_other_folders_and_options_are_refused(seven, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/letter.txt').write_text('dear')
    with pytest.raises(OutputError, match='holds other things than results'):
        dsac('7scenes', seven, '-o', tmp_path / 'mine')
    with pytest.raises(ConfigError, match='--ground-truth sfm is for 7scenes and 12scenes'):
        dsac('cambridge', seven, '--ground-truth', 'sfm')


def test_an_empty_folder_is_one_line(tmp_path, capsys):
    assert main.main(['benchmark', 'wayspots', str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'https://nianticlabs.github.io/ace/wayspots.html' in line


def test_the_verb_knows_every_protocol():
    assert tuple(PROTOCOLS) == benchmark.NAMES
