# SPDX-License-Identifier: Apache-2.0
"""Sizes that lie, bombs and endless nesting: one line, and no more than a gigabyte of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import hostile_files
import pytest


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """The line by which each reader refused its file, all read in one process of little memory."""
    folder = tmp_path_factory.mktemp('hostile')
    words = [sys.executable, hostile_files.__file__, str(folder / 'files'), str(folder / 'json')]
    (folder / 'files').mkdir()
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path), 'TMPDIR': str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / 'json').read_text())


@pytest.mark.parametrize(
    'kind',
    ['png', 'bmp', 'pgm', 'npy', 'npz', 'checkpoint', 'nested', 'colmap', 'mcap', 'bag', 'map'],
)
def test_a_hostile_file_is_refused_in_one_line(outcomes, kind):
    lines = {name: line for name, line in outcomes.items() if kind in name}
    assert lines
    for name, line in lines.items():
        assert not line.startswith('!!') and len(line.splitlines()) == 1, (name, line)
        assert 'emory' not in line, (name, line)


def test_a_sparse_file_of_a_terabyte_is_refused(outcomes):
    lines = [line for name, line in outcomes.items() if 'terabyte' in name]
    assert len(lines) >= 10
    assert not [line for line in lines if line.startswith('!!') or 'emory' in line]


def test_what_was_unpacked_is_gone(outcomes, tmp_path_factory):
    folder = Path(str(tmp_path_factory.getbasetemp()))
    assert outcomes and not list(folder.glob('hostile*/dsac-bag-*'))
