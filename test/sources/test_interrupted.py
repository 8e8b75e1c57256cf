# SPDX-License-Identifier: Apache-2.0
"""Killed, or out of disk, at any moment: what was there is there and whole."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from source_frames import posed_frames

from dsac_ros.cli.bench_tables import report
from dsac_ros.cli.output import write_results
from dsac_ros.compute import files
from dsac_ros.errors import ConfigError, MapError
from dsac_ros.map_container import read_container, write_container
from dsac_ros.map_set.file import MapEntry, MapSet, read_map_set, write_map_set
from dsac_ros.mapping.optim.checkpoint import Checkpoint
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import read_tum, write_tum

HEADER = {'system': 'test', 'settings': {}, 'origin': [0.0, 0, 0], 'scale': 1.0, 'short_side': 480}
KILLS = 8


def write_map(path, value=0):
    tensors = {'a': torch.full((200_000,), value, dtype=torch.uint8)}
    write_container(path, {**HEADER, 'frames': value}, tensors)


def write_set(path, value=0):
    entries = tuple(
        MapEntry(f'map {n}', f'{n}.map', f'id {n}', 'map', 2.0, value)
        for n in range(value % 5 + 1)
    )
    write_map_set(path, MapSet('house', 'encoder', 'vocabulary', 250.0, 480, entries))


def write_trajectory(path, value=0):
    write_tum(path, range(value, value + 500), [np.eye(4)] * 500)


def write_checkpoint(path, value=0):
    Checkpoint(path, 'mine').save({'step': value, 'weights': torch.full((50_000,), float(value))})


def write_page(path, value=0):
    """Put tables into a page of documentation, as `dsac bench report` does."""
    report.run(Namespace(output=path, files=[]))


@contextmanager
def full_disk(bytes_left):
    """No file grows beyond so many bytes; EFBIG stands for ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize('left', [0, 1, 100, 500])
@pytest.mark.parametrize(
    ('write', 'error'),
    [
        (write_map, MapError),
        (write_set, MapError),
        (write_trajectory, OSError),
        (lambda path: write_results({'a': ['b'] * 5000}, [], str(path)), OSError),
        (write_checkpoint, None),
    ],
    ids=['map', 'map set', 'trajectory', 'JSON', 'checkpoint'],
)
def test_a_full_disk_leaves_the_old_file(tmp_path, write, error, left):
    path = tmp_path / 'a'
    path.write_text('what was there')
    with full_disk(left):
        if error is None:  # costs the checkpoint, not the training
            write(path)
        else:
            with pytest.raises(error) as told:
                write(path)
            assert len(str(told.value).splitlines()) == 1
    assert path.read_text() == 'what was there'
    assert os.listdir(tmp_path) == ['a']


def test_a_full_disk_leaves_the_page_of_a_report(tmp_path, monkeypatch):
    page = tmp_path / 'page.md'
    before = f'# Results\n{report.BEGIN}\n{report.END}\n' + 'text\n' * 100
    page.write_text(before)
    with full_disk(20), pytest.raises(ConfigError, match='cannot write the tables'):
        write_page(page)
    assert page.read_text() == before and os.listdir(tmp_path) == ['page.md']


@pytest.mark.parametrize('call', range(8))
def test_a_full_disk_costs_the_recorder_one_frame(tmp_path, monkeypatch, call):
    """Whichever of its files has no room; the recording goes on when there is some again."""
    first, second, third = posed_frames(3, depth=True)
    writer = FolderWriter(tmp_path / 'drive')
    writer.write(first.frame, first.world_from_camera, np.eye(4), begins_segment=True)
    calls = iter(range(100))
    sync = os.fsync

    def full(file):
        if next(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    monkeypatch.setattr(os, 'fsync', full)
    whole = True
    try:
        writer.write(second.frame, second.world_from_camera, np.eye(4), begins_segment=True)
    except OSError:
        whole = False
    monkeypatch.undo()
    kept = [first, second] if whole else [first]
    for expected in (kept, [*kept, third]):
        found = list(open_source(tmp_path / 'drive').posed_frames())
        assert [one.frame.stamp_ns for one in found] == [one.frame.stamp_ns for one in expected]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.frame.image, other.frame.image)
            np.testing.assert_allclose(one.world_from_camera, other.world_from_camera, atol=1e-9)
        if len(found) == len(kept):
            writer.write(third.frame, third.world_from_camera, np.eye(4))
    assert not list(tmp_path.rglob('*.partial'))


def killed_after(seconds, work):
    """Run some work again and again in a process of its own, and kill that after a while."""
    process = os.fork()
    if not process:
        try:
            value = 0
            while True:
                value = (value + 1) % 100
                work(value)
        finally:
            os._exit(1)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL  # it did not end by itself before


def whole_map(path):
    header, tensors = read_container(path)  # verifies the hash of the content
    assert (tensors['a'] == header['frames']).all()


def whole_set(path):
    maps, _ = read_map_set(path)
    assert {len(maps.entries)} == {entry.frames % 5 + 1 for entry in maps.entries}


def whole_trajectory(path):
    assert read_tum(path).at(100 + 99, 1) is not None


def whole_checkpoint(path):
    state = Checkpoint(path, 'mine').load('cpu')
    assert (state['weights'] == state['step']).all()


@pytest.mark.parametrize(
    ('write', 'check'),
    [
        (write_map, whole_map),
        (write_set, whole_set),
        (write_trajectory, whole_trajectory),
        (write_checkpoint, whole_checkpoint),
    ],
    ids=['map', 'map set', 'trajectory', 'checkpoint'],
)
def test_a_killed_writer_leaves_a_whole_file(tmp_path, write, check):
    path, moments = tmp_path / 'a', random.Random(1)
    write(path, 0)
    for _ in range(KILLS):
        killed_after(moments.uniform(0.01, 0.06), lambda value: write(path, value))
        check(path)


def test_what_a_killed_writer_left_is_removed(tmp_path):
    path = tmp_path / 'a.map'
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    old, recent = (tmp_path / f'.a.map.{ended.pid}{end}.partial' for end in ('', '0' * 9))
    running = tmp_path / f'.a.map.{os.getppid()}.partial'
    other = tmp_path / f'.b.map.{ended.pid}.partial'
    for one in (old, recent, running, other):
        one.write_bytes(b'half')
    for one in (old, running, other):
        os.utime(one, (0, 0))
    write_map(path)
    assert sorted(tmp_path.iterdir()) == sorted([path, recent, running, other])


def test_a_file_that_grows_without_end_is_refused(tmp_path):
    for path, words in (
        (Path('/dev/zero'), 'it has over 11 bytes'),
        (tmp_path / 'a', 'it has 11'),
    ):
        if path.parent == tmp_path:
            path.write_bytes(bytes(11))
        with pytest.raises(OSError, match=words):
            files.read_whole(path, 10)
