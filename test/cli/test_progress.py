# SPDX-License-Identifier: Apache-2.0
"""cli/progress.py: bars for people, JSON lines for programs."""

from __future__ import annotations

import io
import json

import pytest

from dsac_ros.cli import progress
from dsac_ros.cli.progress import JsonLines, StageBar, StageLines, clock, counted, reporter
from dsac_ros.mapping.optim.progress import Progress

RUN = (
    Progress('reading', 0.5),
    Progress('reading', 1.0),
    Progress('training', 0.0),
    Progress('training', 0.1, 130.0, 3.21, 0.54),
    Progress('training', 1.0, 0.0, 1.0, 0.9),
)


def test_a_follower_that_has_gone_interrupts():
    """A mapper that was killed: its training leaves a checkpoint, as after Ctrl-C."""

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with pytest.raises(KeyboardInterrupt):
        JsonLines(Gone())(RUN[0])


def test_the_bar_keeps_one_line_per_stage():
    stream = io.StringIO()
    bar = StageBar(stream)
    for state in RUN:
        bar(state)
    bar.close()
    shown = stream.getvalue()
    assert shown.count('\n') == 2
    assert 'left 2:10, loss 3.21, valid 54%' in shown
    assert 'nan' not in shown
    assert '100%' in shown.split('\n')[0]


def test_a_closed_bar_begins_the_same_stage_anew():
    stream = io.StringIO()
    bar = StageBar(stream)
    for _ in range(2):
        bar(Progress('reading', 1.0))
        bar.close()
    assert stream.getvalue().count('\n') == 2


@pytest.fixture
def at(monkeypatch):
    """Set the time that `progress` reads."""
    now = [0.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def test_plain_lines_come_every_ten_seconds(at):
    stream = io.StringIO()
    lines = StageLines(stream)
    for tenth in range(300):
        at(tenth / 10)
        lines(Progress('training', tenth / 300, 30 - tenth / 10, 3.2, 0.5))
    assert stream.getvalue().splitlines() == [
        'training 0:10 33%, left 0:20, loss 3.20, valid 50%',
        'training 0:20 67%, left 0:10, loss 3.20, valid 50%',
    ]


def test_plain_lines_tell_each_end_once(at):
    stream = io.StringIO()
    lines = StageLines(stream)
    for seconds, stage, fraction in (
        (0, 'reading', 0.5),
        (3, 'reading', 1.0),
        (4, 'reading', 1.0),
        (5, 'training', 0.0),
        (6, 'training', 1.0),
    ):
        at(float(seconds))
        lines(Progress(stage, fraction))
    assert stream.getvalue().splitlines() == ['reading 0:03 100%', 'training 0:01 100%']


def test_a_stage_that_ends_early_keeps_its_last_line(at):
    stream = io.StringIO()
    lines = StageLines(stream)
    for seconds, stage in ((0, 'training'), (2, 'training'), (3, 'measuring')):
        at(float(seconds))
        lines(Progress(stage, 0.1 * seconds))
    lines.close()
    lines.close()
    assert stream.getvalue().splitlines() == ['training 0:03 20%', 'measuring 0:00 30%']


def test_counted_items_write_a_line_every_ten_seconds(at, capsys):
    for item in counted(range(300), 300, 'localize', 'bar'):
        at((item + 1) / 10)
    assert capsys.readouterr().err.splitlines() == [
        'localize 0:10 100/300',
        'localize 0:20 200/300',
        'localize 0:30 300/300',
    ]


@pytest.mark.parametrize(('terminal', 'expected'), [(True, StageBar), (False, StageLines)])
def test_a_bar_is_drawn_on_terminals_only(terminal, expected, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, 'isatty', lambda: terminal, raising=False)
    assert type(reporter('bar')) is expected


def test_json_lines_are_json_and_never_skip_a_stage():
    stream = io.StringIO()
    lines = JsonLines(stream)
    for state in RUN:
        lines(state)
    values = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(value['stage'], value['fraction']) for value in values] == [
        ('reading', 0.5),
        ('reading', 1.0),
        ('training', 0.0),
        ('training', 1.0),
    ]
    assert values[0] == {
        'stage': 'reading',
        'fraction': 0.5,
        'seconds_left': None,
        'loss': None,
        'valid': None,
    }


def test_counted_yields_items_and_writes_to_stderr(capsys):
    """Nothing goes to stdout."""
    for style in ('bar', 'json', 'off'):
        assert list(counted(range(5), 5, 'count', style)) == [0, 1, 2, 3, 4]
        captured = capsys.readouterr()
        assert captured.out == ''
        assert bool(captured.err) is (style != 'off')


def test_clock():
    assert [clock(value) for value in (0.0, 61.9, 3600.0, float('nan'))] == [
        '0:00',
        '1:01',
        '60:00',
        '?',
    ]
