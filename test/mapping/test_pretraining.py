# SPDX-License-Identifier: Apache-2.0
"""Pre-training: correspondences are true, the loss falls, a run resumes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import cell_centres
from dsac_ros.mapping.pretraining.config import PretrainConfig
from dsac_ros.mapping.pretraining.pretrain import contrastive_loss, pretrain
from dsac_ros.mapping.pretraining.view_pairs import draw_pairs, photograph_pair, posed_pair
from dsac_ros.types import Camera, Frame, PosedFrame

CONFIG = PretrainConfig(crop=96, pairs=2, correspondences=32, steps=6)


def photograph(seed: int) -> np.ndarray:
    """A smooth picture, so that a pixel's value says where it is."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (12, 16), dtype=np.uint8)
    return cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC)


def values_at(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values of an image at pixels (N, 2)."""
    u, v = (np.ascontiguousarray(x, np.float32) for x in pixels.T)
    return cv2.remap(image.astype(np.float32), u[:, None], v[:, None], cv2.INTER_LINEAR)[:, 0]


@pytest.mark.parametrize('seed', range(5))
def test_photograph_views_agree_at_correspondences(seed):
    generator = torch.Generator().manual_seed(seed)
    pair = photograph_pair(photograph(seed), CONFIG, generator)
    seen = np.isfinite(pair.pixels).all(1)
    assert seen.mean() > 0.1
    first = values_at(pair.first, cell_centres((96, 96))[seen])
    second = values_at(pair.second, pair.pixels[seen])
    assert np.median(np.abs(first - second)) < 3.0


def test_photographs_without_texture_are_refused():
    """The search for a view with texture ends."""
    plain = np.full((360, 480), 128, np.uint8)
    pairs = draw_pairs([plain], [], CONFIG, torch.Generator().manual_seed(0))
    with pytest.raises(MappingError, match='1000 views in a row show no texture'):
        next(pairs)
    assert next(draw_pairs([plain, photograph(0)], [], CONFIG, torch.Generator().manual_seed(0)))


def wall(shift: float) -> PosedFrame:
    """A camera 2 m before a wall, moved sideways by `shift` pixels' worth."""
    camera = Camera((96, 96), np.array([[96.0, 0, 47.5], [0, 96, 47.5], [0, 0, 1]]))
    left = 100 + int(shift)
    pose = np.eye(4)
    pose[0, 3] = shift * 2.0 / 96
    image = np.ascontiguousarray(photograph(0)[100:196, left : left + 96])
    return PosedFrame(Frame(image, camera, depth=np.full((96, 96), 2.0, np.float32)), pose)


def test_posed_frames_correspond_by_their_depth():
    pair = posed_pair([wall(0), wall(24)], CONFIG, torch.Generator().manual_seed(1))
    moved = pair.pixels - cell_centres((96, 96))
    seen = np.isfinite(moved).all(1)
    assert np.allclose(np.abs(moved[seen, 0]), 24, atol=1e-6) and np.allclose(moved[seen, 1], 0)


def test_occluded_points_are_no_correspondences():
    near = wall(0)
    blocked = replace(near, frame=replace(near.frame, depth=near.frame.depth * 0.5))
    pair = posed_pair([near, blocked], CONFIG, torch.Generator().manual_seed(0))
    assert pair is None


def test_contrastive_loss_from_perfect_to_chance():
    """Perfect descriptors cost little, random ones as much as chance."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 64, 12, 12, generator=generator)
    pixels = torch.from_numpy(cell_centres((96, 96))).expand(2, -1, 2)
    exact = contrastive_loss(features, features, pixels, 96, CONFIG, generator)
    other = torch.randn(2, 64, 12, 12, generator=generator)
    chance = contrastive_loss(features, other, pixels, 96, CONFIG, generator)
    assert exact < 0.1 and chance > np.log(64) - 0.5


def test_it_resumes_where_it_was_stopped(tmp_path):
    checkpoint, states = tmp_path / 'e.checkpoint', []
    pretrain([photograph(1)], [], CONFIG, checkpoint, stop_at=2)
    assert torch.load(checkpoint, weights_only=True)['step'] == 2
    encoder = pretrain([photograph(1)], [], CONFIG, checkpoint, progress=states.append)
    assert len(states) == 4 and states[-1].fraction == 1.0
    assert not encoder.training and np.isfinite(states[-1].loss)


@pytest.mark.parametrize('changed', [{'seed': 1}, {'objective': 'distillation'}, {'steps': 7}])
def test_checkpoint_of_another_training_is_refused(tmp_path, changed):
    checkpoint = tmp_path / 'e.checkpoint'
    pretrain([photograph(1)], [], CONFIG, checkpoint, stop_at=1)
    ((name, value),) = changed.items()
    expected = f'another training \\({name} is {getattr(CONFIG, name)}, expected {value}\\)'
    with pytest.raises(MappingError, match=expected):
        pretrain([photograph(1)], [], replace(CONFIG, **changed), checkpoint)
    with pytest.raises(MappingError, match=r'another training \(images is'):
        pretrain([photograph(2)], [], CONFIG, checkpoint)


@pytest.mark.parametrize('objective', ['contrastive', 'distillation', 'both'])
def test_every_objective_lowers_its_own_loss(tmp_path, objective):
    config = replace(CONFIG, steps=20, objective=objective)
    states = []
    pretrain([photograph(1)], [], config, tmp_path / 'e.checkpoint', progress=states.append)
    losses = [state.loss for state in states]
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])
