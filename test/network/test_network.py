# SPDX-License-Identifier: Apache-2.0
"""Encoder, head and scene network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from dsac_ros.errors import MapError
from dsac_ros.network.encoder import Encoder, EncoderConfig, folded, load_encoder, standardise
from dsac_ros.network.head import MAX_SIGMA_PX, MIN_SIGMA_PX, Head, HeadConfig
from dsac_ros.network.scene_network import SceneNetwork

SMALL = EncoderConfig(stem=(4, 8, 16), dilations=(1, 2), descriptor=24)


@pytest.mark.parametrize('size_hw', [(64, 96), (96, 64), (8, 8), (480, 640)])
def test_one_descriptor_per_8x8_cell(size_hw):
    images = torch.rand(2, 1, *size_hw, generator=torch.Generator().manual_seed(0))
    assert Encoder(SMALL)(images).shape == (2, 24, size_hw[0] // 8, size_hw[1] // 8)


def test_descriptors_are_invariant_to_exposure():
    """They have unit variance."""
    torch.manual_seed(0)
    encoder, image = Encoder(SMALL).eval(), torch.rand(1, 1, 64, 64)
    bright, dark = encoder(image), encoder(0.2 + 0.3 * image)
    torch.testing.assert_close(bright, dark, atol=0.02, rtol=0.02)
    torch.testing.assert_close(bright.square().mean(1), torch.ones(1, 8, 8), atol=1e-3, rtol=0)


def test_standardise_survives_a_black_image():
    assert torch.isfinite(standardise(torch.zeros(1, 1, 16, 16))).all()


def test_folding_the_normalisation_changes_nothing():
    torch.manual_seed(0)
    trained = Encoder(SMALL, norm=True)
    for _ in range(3):  # running statistics that are not those of a fresh layer
        trained(torch.rand(4, 1, 64, 64))
    trained.eval()
    image = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(folded(trained)(image), trained(image), atol=1e-4, rtol=1e-3)


def test_shipped_encoder_is_frozen_and_named_by_hash():
    encoder, name = load_encoder()
    assert len(name) == 16 and int(name, 16) >= 0
    assert not any(p.requires_grad for p in encoder.parameters())
    assert load_encoder()[1] == name


def test_a_missing_encoder_is_named_in_the_error():
    with pytest.raises(MapError, match="no encoder 'nonsense'"):
        load_encoder('nonsense')


def test_the_shipped_encoder_tells_points_apart():
    """Descriptors of a shifted picture match their own cell, not another."""
    encoder, _ = load_encoder()
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 32, 40, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (256, 320), mode='bicubic').clamp(0, 1)
    a = encoder(image[..., :-16, :-16])[0, :, 2:-2, 2:-2].flatten(1).T
    b = encoder(image[..., 16:, 16:])[0, :, :, :]
    b = b[:, :-4, :-4].flatten(1).T  # cell (i, j) of b is cell (i + 2, j + 2) of a
    nearest = torch.cdist(a, b).argmin(1)
    assert (nearest == torch.arange(len(a))).float().mean() > 0.9


def test_half_precision_preserves_descriptors():
    encoder, _ = load_encoder()
    coarse = torch.rand(1, 1, 24, 32, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(coarse, (192, 256), mode='bicubic').clamp(0, 1)
    full = normalize(encoder(image), dim=1)[0].flatten(1)
    with torch.autocast('cpu', torch.bfloat16):
        half = normalize(encoder(image).float(), dim=1)[0].flatten(1)
    assert (full * half).sum(0).min() > 0.995
    assert ((full.T @ half).argmax(1) == torch.arange(full.shape[1])).all()


def test_head_gives_finite_points_and_bounded_sigma():
    torch.manual_seed(0)
    head = Head(24, HeadConfig(width=16, blocks=2))
    points, sigma = head(100 * torch.randn(5, 7, 24))
    assert points.shape == (5, 7, 3) and sigma.shape == (5, 7, 1)
    assert torch.isfinite(points).all()
    assert sigma.min() >= MIN_SIGMA_PX * 0.999 and sigma.max() <= MAX_SIGMA_PX * 1.001


def test_the_uncertainty_does_not_train_the_points():
    torch.manual_seed(0)
    head = Head(24, HeadConfig(width=16, blocks=1))
    _, sigma = head(torch.randn(9, 24))
    sigma.sum().backward()
    assert head.experts.spread.weight.grad.any()
    assert all(p.grad is None or not p.grad.any() for p in head.experts.enter.parameters())


@pytest.mark.parametrize('training', [True, False])
def test_descriptors_go_to_the_expert_of_their_cluster(training):
    torch.manual_seed(2)
    head = Head(24, HeadConfig(width=16, blocks=1, experts=3)).train(training)
    head.centres.copy_(normalize(torch.randn(3, 24), dim=1))
    descriptors = torch.randn(4, 5, 24)
    points, sigma = head(descriptors)
    for row, column in np.ndindex(4, 5):
        descriptor = descriptors[row, column]
        expert = max(range(3), key=lambda i: float(descriptor @ head.centres[i]))
        point, doubt = head.experts(descriptor[None, None], torch.tensor([expert]))
        torch.testing.assert_close(points[row, column], point[0, 0])
        torch.testing.assert_close(sigma[row, column], doubt[0, 0])


@pytest.mark.parametrize('training', [True, False])
def test_an_expert_without_cells_is_no_trouble(training):
    head = Head(24, HeadConfig(width=16, blocks=0, experts=4)).train(training)
    points, _ = head(torch.ones(2, 24))
    points.sum().backward()
    assert points.shape == (2, 3)


def test_scene_coordinates_follow_scale_and_mask():
    """Their cells are in row-major order."""
    torch.manual_seed(1)
    network = SceneNetwork(Encoder(SMALL), Head(24, HeadConfig(16, 0)), scale=3.0).eval()
    images = torch.rand(2, 1, 32, 48)
    mask = torch.ones(2, 32, 48, dtype=torch.bool)
    mask[1, :, 24:] = False
    matrices = torch.eye(3).expand(2, 3, 3)
    with torch.no_grad():
        scene = network.correspondences(network.encoder(images), matrices, mask)
        unit, _ = network.head(network.encoder(images).permute(0, 2, 3, 1))
    assert scene.grid_hw == (4, 6) and scene.points_world.shape == (2, 24, 3)
    torch.testing.assert_close(scene.points_world, 3.0 * unit.reshape(2, 24, 3))
    np.testing.assert_allclose(scene.pixels[0, :2], [[3.5, 3.5], [11.5, 3.5]])
    assert scene.valid[0].all()
    np.testing.assert_array_equal(
        scene.valid[1].reshape(4, 6)[0], [True, True, True, False, False, False]
    )


def test_scene_coordinates_say_which_shape_is_wrong():
    network = SceneNetwork(Encoder(SMALL), Head(24, HeadConfig(16, 0)), scale=1.0)
    with pytest.raises(ValueError, match='matrices has shape'):
        network.correspondences(
            network.encoder(torch.rand(1, 1, 32, 32)),
            torch.eye(3),
            torch.ones(1, 32, 32, dtype=torch.bool),
        )
