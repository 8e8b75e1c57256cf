# SPDX-License-Identifier: Apache-2.0
"""cli/output.py: what cannot be written is found out before the work, whichever verb it is."""

from __future__ import annotations

import os

import pytest

from dsac_ros.cli.main import main
from dsac_ros.cli.output import check_file, check_folder
from dsac_ros.errors import OutputError


@pytest.fixture
def places(tmp_path):
    """An empty map and source: a verb that begins to work complains about them."""
    for name in ('a.map', 'a.png', 'afile'):
        (tmp_path / name).write_bytes(b'')
    return tmp_path


@pytest.mark.parametrize(
    'words',
    [
        ['convert', 'a.png', 'nodir/x.tum'],
        ['convert', 'a.png', 'afile/x.mcap'],
        ['convert', 'a.png', 'afile/x/frames'],
        ['convert', 'a.png', 'x.mcap', '--json', 'nodir/a'],
        ['localize', 'a.map', 'a.png', '-o', 'nodir/x.tum'],
        ['localize', 'a.map', 'a.png', '--json', '.'],
        ['evaluate', 'a.map', 'a.png', '--report', 'afile'],
        ['evaluate', 'a.map', 'a.png', '--json', 'nodir/a.json'],
        ['inspect', 'a.map', '--picture', 'nodir/a.png'],
        ['inspect', 'a.map', '--json', 'nodir/a'],
        ['demo', '--output', 'afile'],
        ['demo', '--output', 'out', '--picture', 'nodir/a.png'],
        ['map', 'a.png', '-o', 'nodir/a.map'],
        ['map', 'a.png', '-o', 'b.map', '--json', 'nodir/a'],
        ['pretrain', '--photographs', 'a.png', '-o', 'nodir/a.safetensors'],
    ],
)
def test_a_place_that_cannot_be_written_costs_no_work(places, monkeypatch, capsys, words):
    monkeypatch.chdir(places)
    before = sorted(places.iterdir())
    assert main(words) == 1
    told = capsys.readouterr().err
    assert told.startswith('dsac: error: ') and told.count('\n') == 1
    assert any(text in told for text in ('make it first', 'not a folder', 'is a folder'))
    assert sorted(places.iterdir()) == before


def test_a_write_protected_folder_is_an_error(tmp_path, monkeypatch):
    # the superuser, who may run the tests, is refused nothing
    monkeypatch.setattr(os, 'access', lambda path, mode: not mode & os.W_OK)
    with pytest.raises(OutputError, match=f'nothing may be written into the folder {tmp_path};'):
        check_file(tmp_path / 'a.json')
    with pytest.raises(OutputError, match=f'nothing may be written into the folder {tmp_path};'):
        check_folder(tmp_path / 'new' / 'report')
    (tmp_path / 'old').write_text('')
    with pytest.raises(OutputError, match='old is write-protected'):
        check_file(tmp_path / 'old')


def test_what_can_be_written_is_let_through(tmp_path):
    (tmp_path / 'old').write_text('')
    check_file(None, '-', '/dev/null', tmp_path / 'old', tmp_path / 'new')
    check_folder(None)
    check_folder(tmp_path)
    check_folder(tmp_path / 'some' / 'new' / 'folder')
    assert [path.name for path in tmp_path.iterdir()] == ['old']
