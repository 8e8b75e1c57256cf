# SPDX-License-Identifier: Apache-2.0
"""Features look the same turned and from nearer; matched with pictures they tell the pose."""
from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from walls import MATRIX, SIZE_WH, depth_at, pose, seen_from, texture

from dsac_ros.alignment.features import mutual, root_sift
from dsac_ros.alignment.gallery import Gallery
from dsac_ros.alignment.landmarks import Picture, compressed
from dsac_ros.config import RansacConfig
from dsac_ros.metrics import twist_error
from dsac_ros.network.encoder import load_encoder
from dsac_ros.ransac.estimator import estimate_pose

WALL = texture(0)


def test_features_are_found_again_in_an_image_that_was_turned():
    image = seen_from(pose(), WALL)
    turn = cv2.getRotationMatrix2D((159.5, 119.5), 70.0, 0.8)
    turned = cv2.warpAffine(image, turn, SIZE_WH)
    (here, a), (there, b) = root_sift(image, 800), root_sift(turned, 800)
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1.0, atol=1e-3)
    ours, theirs = mutual(a, b).T
    error = np.linalg.norm(here[ours] @ turn[:, :2].T + turn[:, 2] - there[theirs], axis=1)
    assert len(ours) > 60 and (error < 1.5).mean() > 0.9


def test_only_features_under_the_mask_and_among_the_possible_pairs():
    image = seen_from(pose(), WALL)
    mask = np.zeros(image.shape, bool)
    mask[:, :100] = True
    pixels, descriptors = root_sift(image, 800, mask)
    assert len(pixels) > 0 and pixels[:, 0].max() < 100
    itself = mutual(descriptors, descriptors)
    assert len(itself) > 0 and (itself[:, 0] == itself[:, 1]).all()
    nothing = np.zeros((len(pixels), len(pixels)), bool)
    assert len(mutual(descriptors, descriptors, nothing)) == 0


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


@pytest.fixture(scope='module')
def gallery():
    encoder, _ = load_encoder()
    pictures = []
    for offset, wall in ((0.0, WALL), (10.0, texture(1))):
        image = seen_from(pose(), wall)
        pixels = np.unique(root_sift(image, 300)[0].round().astype(int), axis=0)
        camera_from_map = np.eye(4)
        camera_from_map[0, 3] = -offset
        pictures.append(Picture(compressed(image), MATRIX, camera_from_map, pixels,
                                depth_at(pixels, pose()), np.ones(256, np.float32) / 16))
    return Gallery(pictures, encoder)


def matched(gallery, image, columns=320):
    """The correspondences of the image's first columns."""
    with torch.no_grad():
        descriptors = gallery.encode(torch.from_numpy(image)[None, None].float() / 255)
    mask = np.zeros(image.shape, bool)
    mask[:, :columns] = True
    return gallery.match(image, mask, descriptors, torch.from_numpy(MATRIX))


def found_by_features(gallery, image):
    return estimate_pose(matched(gallery, image), RansacConfig())


def test_what_the_mask_hides_is_no_feature(gallery):
    image = seen_from(pose(0.1), WALL)
    whole, part = matched(gallery, image), matched(gallery, image, 150)
    assert whole.pixels[..., 0].max() > 200 > 150 > part.pixels[part.valid][:, 0].max()
    assert part.valid.sum() > 20


def test_features_tell_a_pose_that_is_turned_about_the_optical_axis(gallery):
    true = pose(0.2, 0.1, 0.6)
    roll = np.radians(75.0)
    true[:2, :2] = [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    found = found_by_features(gallery, seen_from(true, WALL))
    error = twist_error(found.world_from_camera[0].numpy(), true)
    assert found.inlier_count[0] > 40
    assert np.linalg.norm(error[:3]) < 0.03 and np.linalg.norm(error[3:]) < 0.01


def test_hardly_any_feature_of_another_place_agrees_with_a_pose(gallery):
    assert found_by_features(gallery, seen_from(pose(0.1), texture(2))).inlier_count[0] < 12


def test_an_image_of_nothing_has_no_pose(gallery):
    assert not found_by_features(gallery, np.full((240, 320), 90, np.uint8)).found[0]
