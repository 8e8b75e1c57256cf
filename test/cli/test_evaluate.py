# SPDX-License-Identifier: Apache-2.0
"""cli/evaluate.py: options that say what is measured, and those that name nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from dsac_ros.cli.evaluate import add_arguments, is_run, named_path
from dsac_ros.cli.evaluation_lines import analysis_lines, run_lines
from dsac_ros.cli.main import main


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(['a.map', 'frames', *words])


def test_options_are_parsed_and_have_defaults():
    args = parsed('--thresholds', '0.2/5,2%/5', '--false-accept', '15%/15', '--kidnap', '9')
    assert [one.key for one in args.thresholds] == ['0.20m_5deg', '2%_5deg']
    assert args.false_accept.metres(10.0) == pytest.approx(1.5)
    assert (args.kidnap, args.seed, args.beside, args.mapping) == (9, 0, [], None)
    assert (parsed().thresholds, parsed().false_accept, parsed().kidnap) == ((), None, 0)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--thresholds', '5cm/5'], "'5cm/5' is no threshold; expected METRES/DEGREES"),
        (['--false-accept', '15%'], "'15%' is no threshold"),
        (['--kidnap', '0'], '0 is not a whole number of at least 1'),
        (['--fail-if', 'recall@5cm<1'], 'known names: frames'),
    ],
)
def test_wrong_options_say_what_was_expected(words, message, capsys):
    with pytest.raises(SystemExit):
        parsed(*words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('beside', 'message'),
    [
        ('absent.map', 'absent.map does not exist, expected a map'),
        ('name=absent.json', 'absent.json does not exist, expected the folder that'),
        ('a.png', 'a.png is not a dsac_ros map'),
        ('empty', 'summary.json does not exist, expected the folder that'),
    ],
)
def test_runs_that_are_none_cost_no_work(beside, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('a.map').write_bytes(b'')
    Path('a.png').write_bytes(b'')
    Path('empty').mkdir()
    assert main(['evaluate', 'a.map', 'a.png', '--beside', beside]) == 1
    told = capsys.readouterr().err
    assert message in told and told.count('\n') == 1


def test_what_stands_beside_has_a_name(tmp_path):
    assert named_path('old=runs/a') == ('old', Path('runs/a'))
    assert named_path('maps/room.map') == ('room', Path('maps/room.map'))
    assert is_run(tmp_path) and is_run(Path('a.json')) and not is_run(Path('a.map'))


def test_lines_tell_what_is_missing():
    nothing = {'frames': 0}
    values = {
        'consistency': {'accepted': nothing, 'quartiles': []},
        'worst': [],
        'kidnap': {
            'starts': 4,
            'relocalized': 1,
            'seconds_until_right': {'p50': None, 'max': None},
            'wrong_first': 2,
            'ever_wrong': 3,
        },
    }
    assert analysis_lines(values) == [
        'kidnaps         4, relocalized 1 (p50 never, max never), wrong first 2, wrong at some time 3'
    ]
    row = {
        'name': 'old',
        'accepted': 3,
        'frames': 9,
        'false_accepts': None,
        'median_translation_m': None,
        'median_rotation_deg': 1.0,
        'same_frames': False,
        **{f'coverage_{one}sigma': None for one in '123'},
    }
    assert run_lines([row]) == [
        'old  accepted 3 of 9, false accepts None, median none, 1.00 deg, '
        'inside 1, 2, 3 sigma -, -, -   (of other frames)'
    ]
