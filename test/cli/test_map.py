# SPDX-License-Identifier: Apache-2.0
"""cli/map.py: what is refused before any work is done."""
from __future__ import annotations

import pytest

from dsac_ros.cli.main import main


@pytest.mark.parametrize('words', [['--set', 'selection=softam'],
                                   ['--recipe', 'ace', '--set', 'entropy_bits=2']])
def test_settings_of_a_training_that_nobody_asked_for_are_refused(words, tmp_path, capsys):
    assert main(['map', str(tmp_path), '-o', str(tmp_path / 'a.map'), *words]) == 1
    assert 'end-to-end training; add --finetune' in capsys.readouterr().err


@pytest.mark.parametrize('words', [['--finetune', '--set', 'selection=softam'],
                                   ['--recipe', 'dsacstar', '--set', 'selection=softam'],
                                   ['--set', 'inlier_px=8', '--finetune']])
def test_where_it_was_asked_for_the_source_is_read(words, tmp_path, capsys):
    assert main(['map', str(tmp_path), '-o', str(tmp_path / 'a.map'), *words]) == 1
    told = capsys.readouterr().err
    assert str(tmp_path) in told and 'add --finetune' not in told
