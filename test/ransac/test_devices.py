# SPDX-License-Identifier: Apache-2.0
"""Nothing of RANSAC stays on the CPU: on no device at all, and on a GPU where there is one."""

from dataclasses import replace

import pytest
import torch
from ransac_scenes import batch, scene, to_device

from dsac_ros.config import EndToEndConfig, RansacConfig
from dsac_ros.geometry.pose_losses import POSE_LOSSES, training_loss
from dsac_ros.ransac.dsac import expected_loss
from dsac_ros.ransac.estimator import estimate_pose

CONFIG = RansacConfig(hypotheses=128)


@pytest.fixture(params=['rgb', 'rgbd', 'guess'])
def query(request):
    """Two images, and a guess where there is one."""
    scenes, truths = zip(
        *(scene(s, inliers=0.6, noise=0.01, rows=12, columns=16) for s in range(2))
    )
    images, truth = batch(scenes), torch.stack(truths)
    if request.param == 'rgbd':
        images = replace(images, depth=torch.full_like(images.sigma_px, 2.5))
    return images, truth, truth if request.param == 'guess' else None


def test_an_estimate_mixes_no_devices(query):
    """Tensors on 'meta' have shapes and no values, and meet none that have some."""
    images, _, guess = query
    with torch.no_grad():
        found = estimate_pose(to_device(images, 'meta'), CONFIG, guess=guess)
    assert {getattr(found, name).device.type for name in found.__dataclass_fields__} == {'meta'}


@pytest.mark.gpu
def test_the_same_seed_gives_the_same_pose_on_a_gpu(query):
    images, _, guess = query
    cpu = estimate_pose(images, CONFIG, guess=guess)
    gpu = estimate_pose(to_device(images, 'cuda'), CONFIG, guess=guess)
    assert torch.equal(gpu.found.cpu(), cpu.found)
    torch.testing.assert_close(
        gpu.world_from_camera.cpu(), cpu.world_from_camera, rtol=0.0, atol=1e-3
    )


def slope(images, truth, config, device):
    """The loss of two images, and its gradient by the points."""
    images = to_device(images, device)
    images = replace(images, points_world=images.points_world.clone().requires_grad_())
    found = expected_loss(
        images,
        truth.to(device),
        config,
        20.0,
        torch.Generator().manual_seed(0),
        training_loss(config).to(device),
    )
    return found.loss, torch.autograd.grad(found.loss.sum(), images.points_world)[0]


@pytest.mark.parametrize('how', ['one_step', 'implicit'])
@pytest.mark.parametrize('selection', ['softam', 'argmax'])
def test_a_training_loss_mixes_no_devices(query, selection, how):
    """DSAC's expectation counts the likely hypotheses, which takes values."""
    images, truth, _ = query
    config = EndToEndConfig(hypotheses=16, cells=100, selection=selection, gradient=how)
    loss, gradient = slope(images, truth, config, 'meta')
    assert (loss.device.type, gradient.device.type) == ('meta', 'meta')


@pytest.mark.parametrize('name', POSE_LOSSES)
def test_pose_losses_mix_no_devices(query, name):
    images, truth, _ = query
    config = EndToEndConfig(hypotheses=16, cells=100, selection='argmax', pose_loss=name)
    assert slope(images, truth, config, 'meta')[0].device.type == 'meta'


@pytest.mark.gpu
@pytest.mark.parametrize('how', ['one_step', 'implicit'])
@pytest.mark.parametrize('selection', ['dsac', 'softam', 'argmax'])
def test_a_training_loss_is_the_same_on_a_gpu(query, selection, how):
    images, truth, _ = query
    config = EndToEndConfig(hypotheses=16, cells=100, selection=selection, gradient=how)
    (cpu, by_cpu), (gpu, by_gpu) = (slope(images, truth, config, d) for d in ('cpu', 'cuda'))
    torch.testing.assert_close(gpu.cpu(), cpu, rtol=0.02, atol=0.02)
    assert (by_gpu.cpu() - by_cpu).norm() < 0.1 * by_cpu.norm()
