# SPDX-License-Identifier: Apache-2.0
"""benchmark/damage.py: each kind of damage does what its name says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsac_ros.benchmark.damage import DAMAGES, blurred, darkened, occluded, shrunk
from dsac_ros.geometry.camera import project
from dsac_ros.types import Camera, Frame

CAMERA = Camera((160, 120), np.array([[140.0, 0, 79.5], [0, 140, 59.5], [0, 0, 1]]))


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return Frame(rng.integers(60, 200, (120, 160, 3), dtype=np.uint8), CAMERA, 5, 'a')


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize('name', DAMAGES)
def test_a_damaged_frame_is_a_frame_still(frame, generator, name):
    before = frame.image.copy()
    damaged = DAMAGES[name](frame, generator)
    np.testing.assert_array_equal(frame.image, before)
    assert damaged.image.dtype == np.uint8 and damaged.image.shape[2] == 3
    assert damaged.image.shape[1::-1] == tuple(damaged.camera.size_wh)
    assert (damaged.stamp_ns, damaged.name) == (5, 'a')
    assert (name == 'none') == np.array_equal(damaged.image, before)


def test_blur_spreads_a_point_along_its_length(generator):
    image = np.zeros((101, 101), np.uint8)
    image[50, 50] = 255
    camera = Camera((101, 101), CAMERA.matrix)
    rows, columns = np.nonzero(blurred(20)(Frame(image, camera), generator).image > 5)
    assert 14 <= max(np.ptp(rows), np.ptp(columns)) <= 21


def test_three_stops_are_an_eighth_of_the_light(generator):
    image = np.full((120, 160), 200, np.uint8)
    dark = darkened(3)(Frame(image, CAMERA), generator).image / 255.0
    assert (dark**2.2).mean() == pytest.approx((200 / 255) ** 2.2 / 8, rel=0.02)
    assert dark.std() > 0.005


def test_half_of_the_image_is_covered(frame, generator):
    image = occluded(0.5)(frame, generator).image
    assert (image == 100).all(2).mean() == pytest.approx(0.5, abs=0.02)


def test_a_shrunk_image_sees_the_same_rays(frame, generator):
    small = shrunk(2)(frame, generator)
    assert small.camera.size_wh == (80, 60)
    point = np.array([[0.2, -0.1, 1.0]])
    before, after = (project(one.camera, point)[0] for one in (frame, small))
    np.testing.assert_allclose((before + 0.5) / 2, after + 0.5)
