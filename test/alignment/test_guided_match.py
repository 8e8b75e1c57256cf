# SPDX-License-Identifier: Apache-2.0
"""guided_match.py: features compared with the points that a known pose projects near them."""

from __future__ import annotations

import numpy as np
import pytest
from walls import MATRIX, pose

from dsac_ros.alignment.guided_match import RADIUS_PX, guided_match

POSE = pose(0.3, 0.1, 0.4, 5.0)


@pytest.fixture
def scene():
    """Sixty points before the camera, their pixels in random order, and one descriptor each."""
    rng = np.random.default_rng(0)
    camera = np.stack(
        [rng.uniform(-1, 1, 60), rng.uniform(-0.8, 0.8, 60), rng.uniform(2.5, 4.0, 60)], 1
    )
    points = camera @ POSE[:3, :3].T + POSE[:3, 3]
    descriptors = rng.random((60, 128))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    order = rng.permutation(60)
    image = camera[order] @ MATRIX.T
    return image[:, :2] / image[:, 2:], descriptors, points, order


def matched(pixels, descriptors, points, of_points):
    return guided_match(pixels, descriptors, points, of_points, POSE, MATRIX)


def test_features_find_the_points_that_project_near(scene):
    pixels, descriptors, points, order = scene
    rows, index = matched(
        pixels + 0.7 * RADIUS_PX * np.array([0.6, 0.8]), descriptors[order], points, descriptors
    )
    assert len(rows) > 50 and np.array_equal(index, order[rows])
    rows, index = matched(pixels + [0.0, 1.1 * RADIUS_PX], descriptors[order], points, descriptors)
    assert (index == order[rows]).sum() == 0


def test_a_pattern_that_repeats_far_away_matches(scene):
    """Every descriptor is there twice, and so stands out nowhere in the whole image."""
    pixels, descriptors, points, order = scene
    twins = descriptors[np.arange(60) // 2]
    rows, index = matched(pixels, twins[order], points, twins)
    assert len(rows) > 45 and np.array_equal(index, order[rows])


def test_one_of_two_equal_neighbours_is_no_match(scene):
    pixels, descriptors, points, order = scene
    beside = np.concatenate([points, points + 1e-3])
    seen = descriptors[order] + 1e-3
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    rows, _ = matched(pixels, seen, beside, np.tile(descriptors, (2, 1)))
    assert len(rows) == 0


def test_a_point_is_matched_once(scene):
    pixels, descriptors, points, order = scene
    twice = np.concatenate([pixels, pixels + 1.0])
    other = 0.95 * descriptors[order] + 0.05 / np.sqrt(128)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    rows, index = matched(twice, np.concatenate([descriptors[order], other]), points, descriptors)
    assert len(np.unique(index)) == len(index) > 50 and rows.max() < 60


def test_points_behind_the_camera_match_nothing(scene):
    pixels, descriptors, points, order = scene
    behind = 2.0 * POSE[:3, 3] - points
    rows, index = matched(pixels, descriptors[order], behind, descriptors)
    assert len(rows) == len(index) == 0
