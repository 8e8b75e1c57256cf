# SPDX-License-Identifier: Apache-2.0
"""The number format of networks and descriptors."""

from __future__ import annotations

import pytest
import torch

from dsac_ros.compute.device import PRECISIONS, fastest_dtype, in_half, set_precision
from dsac_ros.errors import ConfigError


@pytest.fixture(autouse=True)
def _put_back():
    yield
    set_precision('auto', 'cpu')


def product():
    """A product of float32 under autocast."""
    with in_half('cpu'):
        return torch.ones(2, 3) @ torch.ones(3, 2)


def test_auto_is_what_the_device_is_fast_at():
    before = fastest_dtype('cpu')
    set_precision('fp32', 'cpu')
    set_precision('auto', 'cpu')
    assert fastest_dtype('cpu') == before and fastest_dtype('cuda') == torch.float16


@pytest.mark.parametrize('name', ['fp32', 'bf16'])
def test_a_chosen_precision_holds(name):
    set_precision(name, 'cpu')
    assert fastest_dtype('cpu') == fastest_dtype('cuda') == PRECISIONS[name]
    assert product().dtype == PRECISIONS[name]


@pytest.mark.parametrize('device', ['cpu', 'auto'])
def test_fp16_needs_a_gpu(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    set_precision('fp32', 'cpu')
    with pytest.raises(ConfigError, match='precision is fp16, which needs a GPU'):
        set_precision('fp16', device)
    assert fastest_dtype('cpu') == torch.float32  # as it was
