# SPDX-License-Identifier: Apache-2.0
"""End-to-end training: it makes a head better, and leaves none worse."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from dsac_ros.benchmark.synthetic_correspondences import synthetic_correspondences
from dsac_ros.config import EndToEndConfig, build
from dsac_ros.geometry import se3
from dsac_ros.geometry.distances import DISTANCES
from dsac_ros.mapping import end_to_end as fine_tuning
from dsac_ros.mapping.data.buffer import FeatureBuffer
from dsac_ros.mapping.end_to_end import (
    ROOM_M,
    HeadLearner,
    Validator,
    fine_tune,
    mean_cost,
    significantly_better,
)
from dsac_ros.network.encoder import Encoder, EncoderConfig
from dsac_ros.network.head import Head, HeadConfig

ROWS, COLUMNS = 12, 16
CODE = ROWS * COLUMNS  # every cell looks different
FRAMES = 12
CONFIG = EndToEndConfig(hypotheses=16, cells=200, finetune_steps=16, finetune_rate=3e-3)


@pytest.fixture(autouse=True)
def few_validations(monkeypatch):
    monkeypatch.setattr(fine_tuning, 'VALIDATIONS', 2)


@pytest.fixture(scope='module')
def wall():
    """Descriptors of a wall seen six times, a validator, and a head that half knows the wall."""
    image, world_from_camera = synthetic_correspondences(
        0, rows=ROWS, columns=COLUMNS, depth=ROOM_M
    )
    scene_from_camera = world_from_camera.clone()
    scene_from_camera[:3, 3] /= ROOM_M
    generator = torch.Generator().manual_seed(0)

    def seen():
        noise = torch.randn(CODE, CODE, generator=generator)
        return torch.nn.functional.normalize(torch.eye(CODE) + 0.02 * noise, dim=1)

    count, cells = 6, ROWS * COLUMNS
    camera_from_scene = se3.inverse(scene_from_camera)[:3].float()
    camera_from_world = se3.inverse(world_from_camera)[None].float()
    depth = se3.transform(camera_from_world, image.points_world)[0, :, 2]
    patches = FeatureBuffer(
        descriptors=torch.cat([seen() for _ in range(count)]).half(),
        pixels=image.pixels[0].repeat(count, 1),
        depth=(depth / ROOM_M).repeat(count),
        image=torch.arange(count).repeat_interleave(cells),
        intrinsics=image.matrices[0][[0, 0, 1], [0, 2, 2]].expand(count, 3),
        camera_from_scene=camera_from_scene.expand(count, 3, 4),
    )
    validation_frames = [seen().T.reshape(1, CODE, ROWS, COLUMNS) for _ in range(FRAMES)]
    encoder = Encoder(EncoderConfig(stem=(4, 8, 8), dilations=(1, 1), descriptor=CODE))
    validator = Validator(
        encoder,
        validation_frames,
        [image.matrices] * FRAMES,
        [torch.ones(1, 8 * ROWS, 8 * COLUMNS, dtype=torch.bool)] * FRAMES,
        [scene_from_camera[None]] * FRAMES,
        [in_every_pixel(depth / ROOM_M)] * FRAMES,
    )
    return patches, validator, half_learned(patches, image.points_world[0] / ROOM_M, generator)


def in_every_pixel(depth):
    """Depths (N,) of the cells as an image."""
    return np.kron(depth.reshape(ROWS, COLUMNS).numpy(), np.ones((8, 8)))


def half_learned(patches, points, generator):
    """A head fitted to points that are 4 % of the depth off, each in its own direction."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = Head(CODE, HeadConfig(width=64, blocks=0, experts=1))
    wrong = points + 0.04 * torch.randn(points.shape, generator=generator)
    target = wrong.repeat(len(patches.intrinsics), 1)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(120):
        found, _ = head(patches.descriptors.float())
        optimizer.zero_grad()
        (found - target).square().sum(1).mean().backward()
        optimizer.step()
    return head


@pytest.mark.parametrize(
    'change',
    [
        {},
        {'selection': 'argmax'},
        # where half of the hypotheses are wrong their mean is coarse
        {'selection': 'softam', 'finetune_rate': 1e-3, 'finetune_steps': 32},
        {'gradient': 'implicit', 'score': 'uncertainty'},
        {'rgbd': True, 'finetune_steps': 32},
        {'rgbd': True, 'pose_loss': 'adaptive', 'finetune_steps': 32},
    ],
)
def test_fine_tuning_improves_held_out_poses(wall, change):
    patches, validator, known = wall
    head = copy.deepcopy(known)
    told = fine_tune(HeadLearner(head, patches, validator), replace(CONFIG, **change), seed=0)
    assert told['kept_step'] > 0
    assert told['after'] < told['before']
    assert told['after'] == pytest.approx(mean_cost(validator(head, 'rgbd' in change)), abs=1e-3)


def test_a_training_that_goes_wrong_changes_nothing(wall):
    patches, validator, known = wall
    head = copy.deepcopy(known)
    told = fine_tune(
        HeadLearner(head, patches, validator), replace(CONFIG, finetune_rate=10.0), seed=0
    )
    assert told['steps'] > 0
    assert told['kept_step'] == 0
    assert told['after'] == told['before']
    for name, value in known.state_dict().items():
        assert torch.equal(head.state_dict()[name], value)


def test_without_validation_frames_nothing_is_changed(wall):
    patches, validator, known = wall
    head = copy.deepcopy(known)
    few = Validator(
        validator.encoder,
        *(
            list(x)[:1]
            for x in (
                validator.descriptors,
                validator.matrices,
                validator.masks,
                validator.scene_from_camera,
                validator.depths,
            )
        ),
    )
    told = fine_tune(HeadLearner(head, patches, few), CONFIG, seed=0)
    assert told['steps'] == 0 and 'few' in told['reason']
    assert all(torch.equal(head.state_dict()[k], v) for k, v in known.state_dict().items())


def test_images_with_too_few_cells_change_nothing(wall, monkeypatch):
    """It raised, after the whole training of the map."""
    patches, validator, known = wall
    monkeypatch.setattr(fine_tuning, 'MIN_CELLS', ROWS * COLUMNS + 1)
    told = fine_tune(HeadLearner(copy.deepcopy(known), patches, validator), CONFIG, seed=0)
    assert told == {'steps': 0, 'kept_step': 0, 'reason': 'too few cells in every image'}


@pytest.mark.parametrize(
    'change',
    [
        {'pose_loss': 'weighted', 'rotation_distance': 'angular', 'rotation_weight': 2.0},
        {'pose_loss': 'weighted', 'rotation_distance': 'chordal'},
        {'pose_loss': 'reprojection', 'loss_clamp': 40.0},
    ],
)
def test_the_pose_loss_follows_the_settings(wall, monkeypatch, change):
    patches, validator, known = wall
    used = []
    original = fine_tuning.expected_loss
    monkeypatch.setattr(
        fine_tuning, 'expected_loss', lambda *args: used.append(args[-1]) or original(*args)
    )
    config = build(EndToEndConfig, {**asdict(CONFIG), 'finetune_steps': 1, **change})
    fine_tune(HeadLearner(copy.deepcopy(known), patches, validator), config, seed=0)
    if change['pose_loss'] == 'weighted':
        assert used[0].distance is DISTANCES[change['rotation_distance']]
        assert used[0].beta == change.get('rotation_weight', 500.0)
    else:
        assert used[0].max_px == 40.0


@pytest.mark.slow
def test_an_adaptive_loss_finds_the_size_of_the_errors(wall, monkeypatch):
    """Its logarithms start far off, and a rate that suits a network would leave them there."""
    patches, validator, known = wall
    losses, errors = [], []
    original = fine_tuning.training_loss

    def listening(config):
        losses.append(original(config))
        losses[0].register_forward_hook(
            lambda module, poses, value: errors.append(
                (poses[0][..., :3, 3] - poses[1][..., :3, 3]).norm(dim=-1).detach().mean()
            )
        )
        return losses[0]

    monkeypatch.setattr(fine_tuning, 'training_loss', listening)
    fine_tune(
        HeadLearner(copy.deepcopy(known), patches, validator),
        replace(
            CONFIG,
            pose_loss='adaptive',
            finetune_steps=200,
            finetune_rate=1e-9,
            selection='argmax',
        ),
        seed=0,
    )
    mean = torch.stack(errors[-400:]).mean()
    assert losses[0].log_variances[0].item() == pytest.approx(mean.log().item(), abs=0.4)


@pytest.mark.parametrize(
    ('gain', 'sure'),
    [
        ([0.1] * 8, True),
        ([0.0] * 8, False),
        ([-0.1] * 8, False),
        ([2.0] + [-0.1] * 7, False),
        ([0.3, 0.1] * 4, True),
        ([float('nan')] * 8, False),
    ],
)
def test_better_is_what_is_better_by_more_than_chance(gain, sure):
    before = torch.arange(8.0)
    assert significantly_better(before - torch.tensor(gain), before) == sure


def test_a_gain_that_may_be_chance_changes_nothing(wall):
    """The best of many looks at noise is always some gain: here half a standard error."""
    patches, validator, known = wall

    class Noise(HeadLearner):
        looks = 0

        def cost(self, rgbd: bool) -> torch.Tensor:
            self.looks += 1
            return torch.tensor([1.0, -1.2] * 12) if self.looks > 1 else torch.zeros(24)

    learner = Noise(copy.deepcopy(known), patches, validator)
    told = fine_tune(learner, replace(CONFIG, finetune_steps=4), seed=0)
    assert told['kept_step'] == 0 and told['after'] == told['before']


def test_depth_is_judged_by_where_it_is_trained_with(wall):
    _, validator, known = wall
    blind = replace(validator, depths=[None] * FRAMES)
    assert mean_cost(validator(known, rgbd=True)) < 0.9 * mean_cost(validator(known))
    assert torch.equal(blind(known, rgbd=True), validator(known))


def test_scene_of_a_buffer_image_agrees_with_its_pose(wall):
    patches, validator, known = wall
    images = HeadLearner(known, patches, validator)
    scene, pose = images.scene(3, rgbd=True)
    assert images.usable == list(range(6))
    camera = se3.transform(se3.inverse(pose), scene.points_world)
    # the head is a few percent of the depth off, so that most of its points lie near where they
    # are measured and seen
    share = (camera[0, :, 2] / scene.depth[0] - 1.0).abs()
    assert share.median() < 0.15
    seen = camera @ scene.matrices.mT
    off = (seen[..., :2] / seen[..., 2:] - scene.pixels).norm(dim=-1)
    assert off.median() < 80.0
