# SPDX-License-Identifier: Apache-2.0
"""Training of PixLoc's features: pairs with exact poses, and a loss that poses alone make."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from walls import texture

from dsac_ros.errors import MappingError
from dsac_ros.network.encoder import load_encoder
from dsac_ros.synthetic.gaze import gaze, gaze_camera
from dsac_ros.synthetic.world import RenderedWorld
from dsac_ros.systems.pixloc import pairs, training
from dsac_ros.systems.pixloc.config import PixLocTraining
from dsac_ros.systems.pixloc.network import Expansion, FeatureNetwork
from dsac_ros.systems.pixloc.pairs import collate, draw_pose_pairs, photograph_pair, posed_pair
from dsac_ros.systems.pixloc.training import pose_loss, reprojection_error, train

CONFIG = PixLocTraining(steps=4, pairs=2, crop=96, points=64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope='module')
def rendered():
    """Four views of one thing in a rendered room."""
    world = RenderedWorld(0)
    return [
        gaze(world, gaze_camera(CONFIG.crop), 4, np.random.default_rng(seed)) for seed in (3, 4)
    ]


@pytest.fixture
def same_light(monkeypatch):
    monkeypatch.setattr(pairs, 'change_light', lambda image, config, generator: image)


def gray_at(image, points, pose, matrix):
    """Gray values (N,) where an image shows points; NaN outside."""
    inside, places = pairs.seen_in(points, pose, matrix, image.shape[0])
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.float32)
    found = cv2.remap(
        smooth, places[:, :1].astype(np.float32), places[:, 1:2].astype(np.float32), 1
    )
    return np.where(inside, found[:, 0], np.nan)


def agreement(pair):
    """Correlation of the gray values of the points in both images."""
    reference = gray_at(pair.reference, pair.points, np.eye(4), pair.matrix)
    query = gray_at(pair.query, pair.points, pair.query_from_reference, pair.matrix)
    both = np.isfinite(reference) & np.isfinite(query)
    return np.corrcoef(reference[both], query[both])[0, 1]


def drawn(make, count):
    found = []
    random = generator(1)
    while len(found) < count:
        pair = make(random)
        if pair is not None:
            found.append(pair)
    return found


def test_poses_of_photographs_are_exact(same_light):
    shown = drawn(lambda random: photograph_pair(texture(0), CONFIG, random), 5)
    assert np.median([agreement(pair) for pair in shown]) > 0.9
    for pair in shown:
        turned = pair.query_from_reference.copy()
        turned[:3, :3] = cv2.Rodrigues(np.array([0.0, 0.06, 0.0]))[0] @ turned[:3, :3]
        assert agreement(pair) > agreement(replace(pair, query_from_reference=turned)) + 0.1


def test_poses_of_rendered_pairs_are_exact(same_light, rendered):
    shown = drawn(lambda random: posed_pair(rendered[0], CONFIG, random), 5)
    assert np.median([agreement(pair) for pair in shown]) > 0.85


def test_starts_lie_within_reach():
    for pair in drawn(lambda random: photograph_pair(texture(0), CONFIG, random), 8):
        batch = collate([pair])
        error = reprojection_error(
            batch['points'], batch['start'], batch['query_from_reference'], batch['matrix']
        )
        assert float(error.median()) < 0.5 * CONFIG.crop


def test_images_of_nothing_are_refused():
    blank = np.full((300, 400), 90, np.uint8)
    with pytest.raises(MappingError, match='1000 pairs in a row show too little'):
        next(draw_pose_pairs([blank], [], CONFIG, generator()))


def test_error_of_the_true_pose_is_zero():
    batch = collate(drawn(lambda random: photograph_pair(texture(0), CONFIG, random), 2))
    truth = batch['query_from_reference']
    error = reprojection_error(batch['points'], truth, truth, batch['matrix'])
    assert float(error.max()) < 2e-3
    behind = truth.clone()
    behind[:, 2, 3] -= 100.0
    far = reprojection_error(batch['points'], behind, truth, batch['matrix'])
    assert bool((far == training.MOST_ERROR_PX).all())


def test_poses_alone_teach_the_features(rendered):
    """Gradient steps on one batch: the loss falls, and everything learned has moved."""
    torch.manual_seed(0)
    expansion = Expansion()
    network = FeatureNetwork(load_encoder()[0], expansion)
    frozen = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    start = {name: value.clone() for name, value in expansion.state_dict().items()}
    batch = collate(drawn(lambda random: photograph_pair(texture(0), CONFIG, random), 3))
    optimizer = torch.optim.Adam(training.parameter_groups(expansion, CONFIG))
    losses = []
    for _ in range(12):
        loss, errors = pose_loss(network, batch, 3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(errors) == 3 and all(len(one) == 3 for one in errors)
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    assert all(
        not torch.equal(start[name], value) for name, value in expansion.state_dict().items()
    )
    after = network.encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in frozen.items())


def test_an_interrupted_training_goes_on(tmp_path, rendered):
    """Another training does not go on from its checkpoint."""
    checkpoint = tmp_path / 'checkpoint'
    run = (([texture(0)], rendered), CONFIG, checkpoint)
    train(*run[0], *run[1:], stop_at=2)
    assert torch.load(checkpoint, weights_only=True)['step'] == 2
    train(*run[0], *run[1:])
    assert torch.load(checkpoint, weights_only=True)['step'] == 4
    with pytest.raises(MappingError, match='another training'):
        train(*run[0], replace(CONFIG, seed=1), checkpoint)
