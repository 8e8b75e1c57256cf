# SPDX-License-Identifier: Apache-2.0
"""End-to-end training of encoder and head: the map carries both, reference images follow."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from dsac_ros.alignment.reference_database import as_input, global_descriptor
from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.localizer import Localizer
from dsac_ros.map_file import OWN_ENCODER, load_map
from dsac_ros.mapping import end_to_end as fine_tuning
from dsac_ros.mapping.ace import learn_map
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.encoder_tuning import NetworkLearner
from dsac_ros.mapping.end_to_end import fine_tune, mean_cost
from dsac_ros.network.encoder import load_encoder
from dsac_ros.ransac.dsac import expected_loss

pytestmark = pytest.mark.slow
MAPPING = MappingConfig(
    minutes=10.0,
    steps=60,
    batch=1024,
    short_side=240,
    passes=1,
    patches_per_image=400,
    held_out=0.34,
    max_zoom=1.0,
    max_rotation=0.0,
)
CONFIG = EndToEndConfig(
    hypotheses=32,
    cells=300,
    finetune_encoder=True,
    finetune_steps=40,
    finetune_rate=1e-5,
    finetune_minutes=10.0,
)


@pytest.fixture(scope='module')
def data(tiny_map):
    """The frames of the map, validated on some of them; no learner changes that."""
    known = load_map(tiny_map.map)
    data = dataset.prepare(
        tiny_map.mapping,
        replace(MAPPING, held_out=0.0),
        units=(known.origin, known.header['scale']),
    )
    return replace(data, held_out=data.views)


@pytest.fixture
def learner(tiny_map, data):
    return NetworkLearner(load_map(tiny_map.map).network, data, MAPPING, 'cpu')


@pytest.fixture(scope='module')
def own(tiny_map, tmp_path_factory):
    """A map whose encoder was tuned. A corner seen eight times judges nothing, so all is kept."""
    costs, path = itertools.count(100, -1), tmp_path_factory.mktemp('own') / 'own.map'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            NetworkLearner, 'cost', lambda self, rgbd: torch.full((8,), float(next(costs)))
        )
        learn_map(
            tiny_map.mapping,
            MAPPING,
            device='cpu',
            output=path,
            end_to_end=replace(CONFIG, finetune_steps=2),
        )
    return path


@pytest.mark.parametrize('rgbd', [False, True])
def test_expected_loss_reaches_every_encoder_layer(learner, rgbd):
    scene, pose = learner.scene(learner.usable[0], rgbd)
    assert (scene.depth is not None) == rgbd
    generator = torch.Generator().manual_seed(0)
    expected_loss(scene, pose, CONFIG, 100.0, generator).loss.sum().backward()
    for name, weight in learner.module.named_parameters():
        if 'spread' not in name:  # how sure it is has no part in a soft count
            assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_encoder_and_head_learn_together(learner, monkeypatch):
    monkeypatch.setattr(fine_tuning, 'VALIDATIONS', 2)
    before = copy.deepcopy(learner.module)
    told = fine_tune(learner, CONFIG, seed=0)
    assert told['kept_step'] > 0
    assert told['after'] < 0.95 * told['before']
    assert told['after'] == pytest.approx(mean_cost(learner.cost(False)), abs=1e-3)
    for (name, old), new in zip(before.named_parameters(), learner.module.parameters()):
        assert torch.equal(old, new) == ('spread' in name), name


def test_tuning_without_gain_restores_encoder_and_head(learner):
    before = {name: value.clone() for name, value in learner.module.state_dict().items()}
    wild = EndToEndConfig(hypotheses=8, cells=100, finetune_steps=3, finetune_rate=1.0)
    told = fine_tune(learner, wild, seed=0)
    assert told['steps'] == 3 and told['kept_step'] == 0
    torch.testing.assert_close(learner.module.state_dict(), before, rtol=0, atol=0)


def test_a_map_whose_encoder_was_tuned_carries_it(own, tiny_map):
    known = load_map(own)
    assert known.header['training']['end_to_end']['kept_step'] == 2
    assert known.header['encoder_id'] == OWN_ENCODER
    tuned, shipped = known.network.encoder.state_dict(), load_encoder()[0].state_dict()
    assert not any(
        torch.equal(tuned[name], shipped[name].half().float())
        for name in shipped
        if 'weight' in name
    )
    # global descriptors are those of this encoder, not of the shipped one
    for reference in known.reference_images[:3]:
        shown = as_input(reference.image, 'cpu')
        with torch.no_grad():
            unit = torch.nn.functional.normalize(known.network.encoder(shown), dim=1)
            seen = global_descriptor(unit, shown)
        np.testing.assert_allclose(reference.global_descriptor, seen.numpy(), atol=3e-3)
    answers = [Localizer.load(own, 'cpu').localize(posed.frame) for posed in tiny_map.queries[:3]]
    assert max(answer.statistics.visible_inlier_ratio for answer in answers) > 0.3


def test_an_update_goes_on_with_the_encoder_of_the_map(own, tiny_map, tmp_path):
    learn_map(
        tiny_map.mapping[:8],
        MAPPING,
        device='cpu',
        output=tmp_path / 'more.map',
        base_map=load_map(own),
    )
    before, after = load_map(own), load_map(tmp_path / 'more.map')
    assert after.header['encoder_id'] == OWN_ENCODER
    torch.testing.assert_close(
        after.network.encoder.state_dict(), before.network.encoder.state_dict()
    )


def test_an_update_without_room_keeps_reference_images(own, tiny_map, tmp_path):
    full = replace(MAPPING, reference_images_mb=0.001, steps=5)
    learn_map(
        tiny_map.mapping[:8],
        full,
        device='cpu',
        output=tmp_path / 'full.map',
        base_map=load_map(own),
    )
    kept, before = (len(load_map(path).reference_images) for path in (tmp_path / 'full.map', own))
    assert kept == before
