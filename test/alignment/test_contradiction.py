# SPDX-License-Identifier: Apache-2.0
"""Contradictions: what tells apart two rooms that look alike."""

from __future__ import annotations

import pytest
import torch

from dsac_ros.alignment.contradiction import SoughtLandmarks, contradictions

SHORT_SIDE = 240.0


def grid(found):
    """Return landmarks 10 px apart in a square of 60 px, found where `found` says."""
    u, v = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing='ij')
    pixels = 10 * torch.stack([u.flatten(), v.flatten()], 1) + 50
    return SoughtLandmarks(pixels, found(pixels))


def everywhere(pixels):
    return torch.ones(len(pixels), dtype=torch.bool)


def nowhere(pixels):
    return ~everywhere(pixels)


def left(pixels):
    return pixels[:, 0] < 75


def test_identical_rooms_are_not_contradicted():
    assert contradictions(grid(everywhere), grid(everywhere), SHORT_SIDE) == 0


def test_an_occlusion_contradicts_nothing():
    """It hides the landmarks of both maps."""
    assert contradictions(grid(left), grid(left), SHORT_SIDE) == 0


def test_another_print_contradicts():
    """All of the right half is missing in one map; its border has landmarks of both kinds."""
    found = contradictions(grid(everywhere), grid(left), SHORT_SIDE)
    assert 6 <= found <= 18
    assert contradictions(grid(left), grid(everywhere), SHORT_SIDE) == 0


@pytest.mark.parametrize('far', [0.0, 500.0])
def test_only_landmarks_near_contradict(far):
    """A place that one map never saw is not contradicted by the other one."""
    missed = grid(nowhere)
    moved = SoughtLandmarks(missed.pixels + far, missed.found)
    found = contradictions(grid(everywhere), moved, SHORT_SIDE)
    assert found == (0 if far else len(missed.found))


def test_few_landmarks_prove_nothing():
    few = SoughtLandmarks(torch.zeros(2, 2), torch.zeros(2, dtype=torch.bool))
    none = SoughtLandmarks(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool))
    assert contradictions(grid(everywhere), few, SHORT_SIDE) == 0
    assert contradictions(grid(everywhere), none, SHORT_SIDE) == 0
    assert none.ratio == 0.0 and grid(left).ratio == 0.5


@pytest.mark.parametrize(
    ('shown', 'missing'), [(everywhere, False), (left, False), (nowhere, True)]
)
def test_an_image_may_lack_all_landmarks(shown, missing):
    """An occlusion leaves some together; chance finds a few, apart from one another."""
    assert grid(shown).are_missing is missing


def test_landmarks_found_by_chance_are_missing():
    generator = torch.Generator().manual_seed(0)
    pixels = 200 * torch.rand(200, 2, generator=generator)
    by_chance = torch.rand(200, generator=generator) < 0.15
    assert SoughtLandmarks(pixels, by_chance).are_missing
    assert not SoughtLandmarks(pixels[:20], by_chance[:20]).are_missing  # too few to tell
