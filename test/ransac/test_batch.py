# SPDX-License-Identifier: Apache-2.0
"""ransac/batch.py: whatever dimensions lead, every image gets the answer of its place in them."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from ransac_scenes import batch, scene

from dsac_ros.config import EndToEndConfig, RansacConfig
from dsac_ros.ransac.batch import TRAILING_DIMENSIONS, flatten_batch, unflatten_batch
from dsac_ros.ransac.dsac import expected_loss
from dsac_ros.ransac.estimator import estimate_pose

SHAPES = [(), (1,), (3, 1, 2)]
CONFIG = RansacConfig(hypotheses=64, screened=32, prescore_cells=100)


def images(shape):
    """Scenes in this shape, their true poses (*shape, 4, 4), and the same as one batch."""
    count = torch.Size(shape).numel()
    walls, poses = zip(*(scene(seed, inliers=0.7, rows=12, columns=16) for seed in range(count)))
    together = batch(walls)
    together = replace(together, depth=together.points_world[..., 2].abs() + 1.0)
    return unflatten_batch(together, shape), torch.stack(poses).reshape(*shape, 4, 4), together


def assert_same(found, expected, shape):
    for one in fields(expected):
        values = getattr(expected, one.name)
        assert torch.equal(
            getattr(found, one.name), values.reshape((*shape, *values.shape[1:]))
        ), one.name


@pytest.mark.parametrize('shape', SHAPES)
def test_nothing_is_lost_on_the_way_there_and_back(shape):
    shaped, _, together = images(shape)
    assert shaped.points_world.shape == (*shape, 192, 3) and shaped.depth.shape == (*shape, 192)
    again = flatten_batch(shaped)
    assert all(
        torch.equal(getattr(again, name), getattr(together, name)) for name in TRAILING_DIMENSIONS
    )


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('measured', [False, True], ids=['rgb', 'rgbd'])
@pytest.mark.parametrize('guessed', [False, True])
def test_poses_of_any_shape_of_images(shape, guessed, measured):
    shaped, poses, together = images(shape)
    if not measured:
        shaped, together = replace(shaped, depth=None), replace(together, depth=None)
    guess = poses if guessed else None
    found = estimate_pose(shaped, CONFIG, guess=guess)
    expected = estimate_pose(together, CONFIG, guess=guess.reshape(-1, 4, 4) if guessed else None)
    assert found.world_from_camera.shape == (*shape, 4, 4)
    assert measured or found.found.all()  # the depth here is of another wall
    assert_same(found, expected, shape)


@pytest.mark.parametrize('shape', SHAPES)
def test_without_a_cell_there_is_no_pose_and_no_loss(shape):
    shaped, poses, _ = images(shape)
    empty = replace(
        shaped,
        **{
            name: getattr(shaped, name)[
                (..., slice(0), *(slice(None),) * (TRAILING_DIMENSIONS[name] - 1))
            ]
            for name in TRAILING_DIMENSIONS
            if name != 'matrices'
        },
    )
    assert empty.points_world.shape == (*shape, 0, 3)
    assert not estimate_pose(empty, CONFIG).found.any()
    found = expected_loss(
        empty, poses, EndToEndConfig(hypotheses=8), 10.0, torch.Generator().manual_seed(0)
    )
    assert found.loss.shape == shape and not found.found.any() and (found.loss == 0).all()


def test_a_guess_of_another_shape_is_told():
    shaped, poses, _ = images((1,))
    with pytest.raises(ValueError, match='guess has shape'):
        estimate_pose(shaped, CONFIG, guess=poses[0])


@pytest.mark.parametrize('shape', SHAPES)
def test_expected_losses_of_any_shape_of_images(shape):
    shaped, poses, together = images(shape)
    shaped, together = replace(shaped, depth=None), replace(together, depth=None)
    config = EndToEndConfig(hypotheses=16, cells=100)
    found, expected = (
        expected_loss(one, truth, config, 10.0, torch.Generator().manual_seed(0))
        for one, truth in ((shaped, poses), (together, poses.reshape(-1, 4, 4)))
    )
    assert found.loss.shape == shape and found.entropy_bits.shape == shape
    assert_same(found, expected, shape)
