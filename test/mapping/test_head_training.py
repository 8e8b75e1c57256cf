# SPDX-License-Identifier: Apache-2.0
"""mapping/head_training.py: what is interrupted goes on as if nothing had been."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.mapping.data.buffer import FeatureBuffer
from dsac_ros.mapping.head_training import new_head, train_head
from dsac_ros.mapping.optim.checkpoint import Checkpoint

CONFIG = MappingConfig(steps=40, minutes=1000.0, batch=64, width=16, experts=2)


@pytest.fixture
def patches():
    """A camera at the origin before a wall at depth 1, with a descriptor per place."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(512, 2, generator=generator) * 320
    descriptors = torch.randn(512, 8, generator=generator)
    descriptors[:, :2] = pixels / 100
    return FeatureBuffer(
        descriptors.half(),
        pixels,
        torch.ones(512),
        torch.zeros(512, dtype=torch.long),
        torch.tensor([[300.0, 160, 160]]),
        torch.eye(4)[None, :3],
    )


def interrupted_at(step):
    """A reporter, called every tenth step, that presses Ctrl-C."""
    calls = []

    def report(state):
        calls.append(state)
        if len(calls) == step // 10:
            raise KeyboardInterrupt

    return report


def train(patches, checkpoint, config=CONFIG, resume=False, report=lambda state: None):
    head = new_head(8, config, 'cpu')
    return head, train_head(head, patches, config, checkpoint, resume, report)


def test_resume_restores_weights_and_optimizer_state(patches, tmp_path):
    checkpoint = Checkpoint(tmp_path / 'c', 'same')
    with pytest.raises(KeyboardInterrupt):
        train(patches, checkpoint, report=interrupted_at(20))
    stood = checkpoint.load('cpu')
    assert stood['step'] == 20 and stood['metadata']['steps'] == 20
    # nothing is left to do: what comes back is what was saved, and no error
    head, told = train(patches, checkpoint, replace(CONFIG, steps=20), resume=True)
    assert told == stood['metadata']
    assert all(
        torch.equal(value, stood['head'][name]) for name, value in head.state_dict().items()
    )
    moments = checkpoint.load('cpu')['optimizer']['state']
    assert moments.keys() == stood['optimizer']['state'].keys()
    assert all(
        torch.equal(moments[k]['exp_avg'], stood['optimizer']['state'][k]['exp_avg'])
        for k in moments
    )


def test_it_goes_on_from_there(patches, tmp_path):
    checkpoint = Checkpoint(tmp_path / 'c', 'same')
    with pytest.raises(KeyboardInterrupt):
        train(patches, checkpoint, report=interrupted_at(20))
    states = []
    _, told = train(patches, checkpoint, resume=True, report=states.append)
    assert told['steps'] == 40 and [round(s.fraction, 2) for s in states] == [0.72, 0.97]


def test_divergence_is_an_error_without_a_checkpoint(patches, tmp_path):
    broken = replace(patches, pixels=patches.pixels * float('nan'))
    checkpoint = Checkpoint(tmp_path / 'c', 'same')
    with pytest.raises(MappingError, match='the training diverged'):
        train(broken, checkpoint)
    assert not checkpoint.path.exists()
