# SPDX-License-Identifier: Apache-2.0
"""alignment/verification.py: occluded landmarks do not count, chance inliers do not help."""

from __future__ import annotations

import pytest
import torch

from dsac_ros.alignment.landmarks import PATCH
from dsac_ros.alignment.verification import VerificationConfig, visible_inlier_ratio

SIDE = 2.0 * PATCH


def landmarks(seed, count=240):
    """Pixels (L, 2) all over an image of 640 x 480, and as many random numbers in [0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(count, 2, generator=generator) * torch.tensor([640.0, 480.0]),
        torch.rand(count, generator=generator),
    )


@pytest.mark.parametrize('seed', range(3))
def test_an_occluded_half_costs_little(seed):
    pixels, chance = landmarks(seed)
    inlier = chance < 0.8
    hidden = pixels[:, 0] < 320
    whole, half = (visible_inlier_ratio(some, pixels, SIDE) for some in (inlier, inlier & ~hidden))
    assert whole > 0.6 and half > 0.45
    # of as many at random, all over the image, half as much is made
    thinned = inlier & (landmarks(seed + 10)[1] < 0.5)
    assert visible_inlier_ratio(thinned, pixels, SIDE) < 0.3


@pytest.mark.parametrize('rate', [0.05, 0.2, 0.3])
def test_chance_gives_no_more_than_it_gives_everywhere(rate):
    pixels, chance = landmarks(0)
    assert visible_inlier_ratio(chance < rate, pixels, SIDE) < rate


def test_a_few_in_a_corner_prove_nothing():
    pixels, _ = landmarks(0)
    corner = (pixels < torch.tensor([160.0, 110.0])).all(1)
    assert 8 < corner.sum() < 24
    assert visible_inlier_ratio(corner, pixels, SIDE) < 0.2


def test_one_patch_seen_twice_is_not_two_witnesses():
    pixels, _ = landmarks(0)
    inlier = torch.zeros(len(pixels), dtype=torch.bool)
    inlier[:20] = True
    pixels[:20] = pixels[0] + torch.rand(20, 2, generator=torch.Generator().manual_seed(1))
    assert visible_inlier_ratio(inlier, pixels, SIDE) == 0.0


def test_everything_inlier_is_certain_up_to_the_prior():
    pixels, _ = landmarks(0)
    everything = torch.ones(len(pixels), dtype=torch.bool)
    certain = 1 / (1 + VerificationConfig.prior)
    assert visible_inlier_ratio(everything, pixels, SIDE) == pytest.approx(certain)
    assert visible_inlier_ratio(~everything, pixels, SIDE) == 0.0
    assert visible_inlier_ratio(everything[:1], pixels[:1], SIDE) == 0.0
