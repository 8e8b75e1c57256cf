# SPDX-License-Identifier: Apache-2.0
"""The batched estimator beside the slow, readable one: hypotheses, scores, poses, gradients."""

from dataclasses import replace

import numpy as np
import pytest
import reference_ransac
import torch
from ransac_scenes import scene

from dsac_ros.config import EndToEndConfig, RansacConfig
from dsac_ros.geometry.pose_losses import MaxLoss, PoseLossConfig
from dsac_ros.ransac import dsac, scoring
from dsac_ros.ransac.correspondences import normalize_correspondences
from dsac_ros.ransac.estimator import draw_samples, estimate_from_samples, generate_hypotheses

CONFIG = RansacConfig(hypotheses=48, screen_cells=192, screened=192, prescore_cells=192)


def both(seed, inliers=0.6, noise=0.003):
    image, truth = scene(
        seed, inliers=inliers, noise=noise, rows=12, columns=16, dtype=torch.float64
    )
    correspondences = normalize_correspondences(image)
    samples = draw_samples(correspondences.valid, CONFIG, torch.Generator().manual_seed(seed))
    arrays = (image.points_world[0].numpy(), image.pixels[0].numpy(), image.matrices[0].numpy())
    return image, correspondences, samples, arrays, truth


@pytest.mark.parametrize('seed', range(3))
def test_best_hypothesis_scores_like_the_reference(seed):
    _, correspondences, samples, arrays, _ = both(seed)
    _, expected = reference_ransac.estimate(*arrays, samples.sets[0].numpy())
    hypotheses = generate_hypotheses(correspondences, samples.sets)
    error = scoring.reprojection_error(hypotheses.poses, correspondences, 100.0)
    scores = scoring.soft_inlier_count(error, correspondences.valid.double(), 10.0)
    assert scores[hypotheses.valid].max().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('seed', range(3))
def test_pose_matches_the_reference_within_its_noise(seed):
    _, correspondences, samples, arrays, truth = both(seed)
    expected, _ = reference_ransac.estimate(*arrays, samples.sets[0].numpy())
    found = estimate_from_samples(correspondences, samples, CONFIG).world_from_camera[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=4e-3)
    assert np.abs(expected - truth.numpy()).max() < 1e-2


def test_the_gradient_is_that_of_the_reference():
    """Move one point along a direction and let the slow estimator start over."""
    image, _, samples, arrays, _ = both(0, inliers=1.0, noise=0.0)
    points = image.points_world.clone().requires_grad_()
    found = estimate_from_samples(
        normalize_correspondences(replace(image, points_world=points)), samples, CONFIG
    )
    random = np.random.default_rng(0)
    probe, direction = random.normal(size=(4, 4)), random.normal(size=arrays[0].shape)
    (found.world_from_camera[0] * torch.from_numpy(probe)).sum().backward()
    ahead, behind = (
        reference_ransac.estimate(
            arrays[0] + step * direction, *arrays[1:], samples.sets[0, :8].numpy()
        )[0]
        for step in (1e-5, -1e-5)
    )
    expected = ((ahead - behind) / 2e-5 * probe).sum()
    assert (points.grad[0].numpy() * direction).sum() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize('seed', range(3))
def test_the_expected_loss_is_that_of_the_reference(seed):
    """The true pose is said to be 10 cm off, so that every hypothesis has a loss."""
    _, correspondences, _, arrays, truth = both(seed, inliers=0.8)
    config = EndToEndConfig(hypotheses=12, cells=192)
    hypothesis_set = dsac.draw_hypotheses(
        correspondences, config, torch.Generator().manual_seed(seed)
    )
    aside = truth.clone()
    aside[0, 3] += 0.1
    loss, probability = reference_ransac.expected_loss(
        *arrays, hypothesis_set.sets[0].numpy(), aside.numpy(), 20.0
    )
    found = dsac.expected_loss_of_hypotheses(
        correspondences, hypothesis_set, aside[None], config, 20.0, MaxLoss(PoseLossConfig())
    )
    np.testing.assert_allclose(found.probability[0], probability, rtol=1e-5, atol=1e-9)
    assert found.loss.item() == pytest.approx(loss, rel=0.03)
    assert 2.0 < found.loss.item() < 50.0
