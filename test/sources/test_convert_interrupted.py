# SPDX-License-Identifier: Apache-2.0
"""`dsac convert` on a full disk, and killed: what was there is there, and nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from source_frames import posed_frames

from dsac_ros.sources.conversion import write_folder

NAMES = {
    'bag': 'a.mcap',
    'bag of sqlite3': 'a.db3',
    'folder': 'folder',
    'transforms': 'transforms',
    'euroc': 'euroc',
    'kapture': 'kapture',
    'colmap': 'colmap',
}
# Every target in one process, whose files may have so many bytes: a disk that is full.
CONVERT = """
import contextlib, io, json, resource, sys
from dsac_ros.cli.main import main
source, folder, names = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
told = {}
for kind, name in names.items():
    to = [] if name.endswith(('.mcap', '.db3')) else ['--to', kind]
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = main(['convert', source, f'{folder}/{name}', *to, '--progress', 'off'])
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    told[kind] = code, stderr.getvalue()
print(json.dumps(told))
"""


@pytest.fixture
def source(tmp_path):
    write_folder(tmp_path / 'source', posed_frames(6, depth=True), 'map', '.png', 'folder')
    return tmp_path / 'source'


def test_a_full_disk_leaves_nothing_half_written(source, tmp_path):
    target = tmp_path / 'out'
    target.mkdir()
    words = [sys.executable, '-c', CONVERT, str(source), str(target), json.dumps(NAMES)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    for kind, (code, told) in json.loads(found.stdout).items():
        errors = [line for line in told.splitlines() if 'error' in line]
        assert code == 1 and len(errors) == 1, (kind, told)
        assert any(words in errors[0] for words in ('grew beyond', 'is full', 'or written')), told
        assert 'Traceback' not in told
    assert list(target.iterdir()) == []


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3', 'kapture'])
def test_killed_at_any_moment_nothing_half_stands(source, tmp_path, name):
    target = tmp_path / 'out' / name
    target.parent.mkdir()
    (target.parent / 'old.mcap').write_text('what was there')
    to = ['--to', name] if '.' not in name else []
    words = [sys.executable, '-m', 'dsac_ros.cli.main', 'convert', str(source), str(target), *to]
    killed = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = target.parent / f'.{name}.partial'
    deadline = time.monotonic() + 60
    while not partial.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert (target.parent / 'old.mcap').read_text() == 'what was there'
    assert not target.exists() or killed.returncode == 0
    # the next run goes over what the killed one left
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    assert target.exists() and not partial.exists()
    assert sorted(p.name for p in target.parent.iterdir()) == sorted([name, 'old.mcap'])
