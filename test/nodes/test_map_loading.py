# SPDX-License-Identifier: Apache-2.0
"""Maps are loaded beside the executor; whatever goes wrong is a reason in one line."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from robot import untrained_map

from dsac_ros.compute.device import fastest_dtype, set_precision
from dsac_ros.errors import ConfigError, MapError
from dsac_ros.nodes import map_loading
from dsac_ros.nodes.map_loading import MapLoader, reason_of
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters

VALUES = RelocalizerParameters()


class Slow:
    """Stands for the loading of a map; `go` lets it end."""

    def __init__(self) -> None:
        self.begun, self.go = [], threading.Event()

    def __call__(self, path, values):
        self.begun.append(path)
        assert self.go.wait(20.0)
        if path.startswith('bad'):
            raise MapError(f'{path} is damaged')
        return SimpleNamespace(path=path)


@pytest.fixture
def slow(monkeypatch):
    slow = Slow()
    monkeypatch.setattr(map_loading, 'load_localizer', slow)
    monkeypatch.setattr(map_loading, 'warm_up', lambda localizer: None)
    return slow


@pytest.fixture
def loader(make_node):
    loader = MapLoader(
        make_node('a'),
        lambda loaded, values: loader.loaded.append(loaded.path),
        lambda path, reason: loader.failed.append((path, reason)),
    )
    loader.loaded, loader.failed = [], []
    yield loader
    loader.close()


def test_the_executor_goes_on_while_a_map_is_loaded(loader, slow, make_node, spin_until):
    times = []
    make_node('b').create_timer(0.02, lambda: times.append(time.monotonic()))
    loader.load('a.map', VALUES)
    assert loader.loading == 'a.map'
    assert spin_until(lambda: len(times) > 25 and slow.begun)
    assert not loader.loaded
    slow.go.set()
    assert spin_until(lambda: loader.loaded == ['a.map'])
    assert loader.loading == ''


def test_the_newest_request_wins(loader, slow, spin_until):
    loader.load('first.map', VALUES)
    assert spin_until(lambda: slow.begun)
    for path in ('bad.map', 'third.map'):
        loader.load(path, VALUES)
    slow.go.set()
    assert spin_until(lambda: loader.loaded)
    assert loader.loaded == ['third.map'] and slow.begun == ['first.map', 'third.map']
    assert not loader.failed


def test_a_cancelled_request_has_no_result(loader, slow, spin_until):
    loader.load('a.map', VALUES)
    assert spin_until(lambda: slow.begun)
    loader.cancel()
    slow.go.set()
    assert not spin_until(lambda: loader.loaded or loader.failed, 0.5)
    loader.load('b.map', VALUES)
    assert spin_until(lambda: loader.loaded == ['b.map'])


def test_a_failure_is_told_and_the_next_map_is_loaded(loader, slow, spin_until):
    slow.go.set()
    loader.load('bad.map', VALUES)
    assert spin_until(lambda: loader.failed)
    assert loader.failed == [('bad.map', 'bad.map is damaged')] and loader.loading == ''
    loader.load('good.map', VALUES)
    assert spin_until(lambda: loader.loaded == ['good.map'])


def test_the_end_does_not_wait_for_ever(loader, slow, spin_until, monkeypatch):
    loader.load('a.map', VALUES)
    assert spin_until(lambda: slow.begun)
    slow.go.set()
    assert loader.close()
    assert not any(thread.name == 'dsac_maps' for thread in threading.enumerate())


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (MapError('a.map is damaged; copy it'), 'a.map is damaged; copy it'),
        (
            torch.cuda.OutOfMemoryError('CUDA out of memory. Tried 2 GiB.\nMore lines'),
            'not enough memory for the map a.map',
        ),
        (MemoryError(), 'not enough memory for the map a.map'),
        (KeyError('descriptor'), "the map a.map cannot be loaded: KeyError: 'descriptor'"),
        (RuntimeError(), 'the map a.map cannot be loaded: RuntimeError'),
        (ValueError('x' * 5000), 'ValueError: xxx'),
    ],
    ids=['known', 'CUDA', 'memory', 'field', 'no text', 'long'],
)
def test_any_error_is_one_line(error, words):
    reason = reason_of(error, 'a.map')
    assert words in reason and '\n' not in reason and len(reason) < 500


def test_precision_holds_for_the_map(tmp_path):
    path = untrained_map(tmp_path / 'a.map')
    try:
        map_loading.load_localizer(str(path), replace(VALUES, device='cpu', precision='fp32'))
        assert fastest_dtype('cpu') == torch.float32
        with pytest.raises(ConfigError, match='fp16, which needs a GPU'):
            map_loading.load_localizer(str(path), replace(VALUES, device='cpu', precision='fp16'))
    finally:
        set_precision('auto', 'cpu')
