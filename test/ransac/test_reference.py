# SPDX-License-Identifier: Apache-2.0
"""The batched estimator beside the slow, readable one: hypotheses, scores, poses, gradients."""
from dataclasses import replace

import numpy as np
import pytest
import reference_ransac
import torch
from ransac_scenes import scene

from dsac_ros.config import RansacConfig
from dsac_ros.ransac import scoring
from dsac_ros.ransac.correspondences import correspondences
from dsac_ros.ransac.estimator import draw, estimate_from_draws, hypothesise

CONFIG = RansacConfig(hypotheses=48, screen_cells=192, screened=192, prescore_cells=192)


def both(seed, inliers=0.6, noise=0.003):
    image, truth = scene(seed, inliers=inliers, noise=noise, rows=12, columns=16,
                         dtype=torch.float64)
    seen = correspondences(image)
    draws = draw(seen.valid, CONFIG, torch.Generator().manual_seed(seed))
    arrays = (image.points_world[0].numpy(), image.pixels[0].numpy(), image.matrices[0].numpy())
    return image, seen, draws, arrays, truth


@pytest.mark.parametrize('seed', range(3))
def test_the_best_hypothesis_scores_what_the_reference_says(seed):
    _, seen, draws, arrays, _ = both(seed)
    _, expected = reference_ransac.estimate(*arrays, draws.sets[0].numpy())
    hypotheses = hypothesise(seen, draws.sets)
    error = scoring.reprojection_error(hypotheses.poses, seen, 100.0)
    scores = scoring.soft_inlier_count(error, seen.valid.double(), 10.0)
    assert scores[hypotheses.solved].max().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('seed', range(3))
def test_the_pose_is_that_of_the_reference_within_its_noise(seed):
    _, seen, draws, arrays, truth = both(seed)
    expected, _ = reference_ransac.estimate(*arrays, draws.sets[0].numpy())
    found = estimate_from_draws(seen, draws, CONFIG).world_from_camera[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=4e-3)
    assert np.abs(expected - truth.numpy()).max() < 1e-2


def test_the_gradient_is_that_of_the_reference():
    """Move one point along a direction and let the slow estimator start over."""
    image, _, draws, arrays, _ = both(0, inliers=1.0, noise=0.0)
    points = image.points_world.clone().requires_grad_()
    found = estimate_from_draws(correspondences(replace(image, points_world=points)), draws,
                                CONFIG)
    random = np.random.default_rng(0)
    probe, direction = random.normal(size=(4, 4)), random.normal(size=arrays[0].shape)
    (found.world_from_camera[0] * torch.from_numpy(probe)).sum().backward()
    ahead, behind = (reference_ransac.estimate(arrays[0] + step * direction, *arrays[1:],
                                               draws.sets[0, :8].numpy())[0]
                     for step in (1e-5, -1e-5))
    expected = ((ahead - behind) / 2e-5 * probe).sum()
    assert (points.grad[0].numpy() * direction).sum() == pytest.approx(expected, rel=1e-3)
