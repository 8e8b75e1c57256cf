# SPDX-License-Identifier: Apache-2.0
"""alignment/features.py: features match when turned and from nearer, and tell the pose."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from walls import SIZE_WH, pose, seen_from, texture

from dsac_ros.alignment.features import mutual, root_sift

WALL = texture(0)


def test_features_match_in_a_rotated_image():
    image = seen_from(pose(), WALL)
    turn = cv2.getRotationMatrix2D((159.5, 119.5), 70.0, 0.8)
    turned = cv2.warpAffine(image, turn, SIZE_WH)
    (here, a), (there, b) = root_sift(image, 800), root_sift(turned, 800)
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1.0, atol=1e-3)
    ours, theirs = mutual(a, b).T
    error = np.linalg.norm(here[ours] @ turn[:, :2].T + turn[:, 2] - there[theirs], axis=1)
    assert len(ours) > 60 and (error < 1.5).mean() > 0.9


def test_features_are_found_under_the_mask_alone():
    image = seen_from(pose(), WALL)
    mask = np.zeros(image.shape, bool)
    mask[:, :100] = True
    pixels, descriptors = root_sift(image, 800, mask)
    assert len(pixels) > 0 and pixels[:, 0].max() < 100
    itself = mutual(descriptors, descriptors)
    assert len(itself) > 0 and (itself[:, 0] == itself[:, 1]).all()


def test_matches_are_mutual_and_stand_out():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40, 128)) + 1.0
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    order = rng.permutation(40)
    rows, columns = mutual(a, a[order]).T
    assert len(rows) == 40 and (order[columns] == rows).all()
    # what is there twice stands out from nothing
    rows, _ = mutual(a, np.concatenate([a[order], a[:1]])).T
    assert 0 not in rows and len(rows) == 39
    assert len(mutual(a[:1], a)) == 0


def test_an_image_without_features_matches_nothing():
    pixels, descriptors = root_sift(np.full((64, 80), 90, np.uint8), 800)
    assert pixels.shape == (0, 2) and descriptors.shape == (0, 128)
    assert mutual(descriptors, descriptors).shape == (0, 2)
