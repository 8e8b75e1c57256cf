# SPDX-License-Identifier: Apache-2.0
"""Maps in memory: loaded when needed, the least recently used dropped."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from entries import entry, map_set
from torch import nn

from dsac_ros.errors import MapError
from dsac_ros.map_set.loaded_maps import Common, LoadedMaps
from dsac_ros.map_set.resident import resident_bytes

MB = 1_000_000
HOUSE = map_set(*(entry(str(k)) for k in range(4)))


class FakeSystem:
    """A map of one megabyte."""

    def __init__(self, map_id):
        self.map = SimpleNamespace(id=map_id)
        self.weights = torch.zeros(MB // 4)

    def warm_up(self):
        self.is_warm = True


@pytest.fixture
def loaded(tmp_path):
    def load(path, device):
        return FakeSystem(f'id of {path.stem}')

    common = Common(nn.Identity(), 'an encoder', torch.device('cpu'))
    return LoadedMaps(tmp_path / 'house.mapset', HOUSE, common, load, 'cpu', limit_mb=2.5)


def test_the_least_recently_used_is_dropped(loaded):
    for index in (0, 1, 0, 2):
        loaded.get(index)
        loaded.used({index})
    assert len(loaded) == 2 and loaded.bytes == 2 * MB
    loaded.get(0)  # used after map 1, and still there
    assert loaded.loads == 3
    loaded.get(1)
    assert loaded.loads == 4


def test_the_map_in_use_is_kept(loaded):
    loaded.limit_bytes = 1.0
    loaded.get(3)
    loaded.used({3})
    assert len(loaded) == 1


def test_warm_up_stops_when_the_memory_is_full(loaded):
    loaded.warm_up()
    assert loaded.loads == 3 and len(loaded) == 2
    assert loaded.get(2).is_warm


def test_a_replaced_map_is_named(loaded):
    loaded._load = lambda path, device: FakeSystem('another')
    with pytest.raises(MapError, match=r'was replaced.*dsac mapset update .* 1'):
        loaded.get(1)


def test_a_broken_map_is_named(loaded):
    def missing(path, device):
        raise MapError(f'no such map: {path}')

    loaded._load = missing
    with pytest.raises(MapError, match="map '2' of the set"):
        loaded.get(2)


def test_shared_memory_counts_once():
    module = nn.Linear(10, 10, bias=False)
    owner = SimpleNamespace(module=module, view=module.weight.data[:2], rows=[module.weight])
    assert resident_bytes(owner) == 400
    assert resident_bytes(owner, shared=(module, module.weight)) == 400
    assert resident_bytes(SimpleNamespace(module=module), shared=(module,)) == 0
