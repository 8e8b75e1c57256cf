# SPDX-License-Identifier: Apache-2.0
"""feature_localizer.py: poses by features, made precise by matches with the pose known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from walls import DISTANCE, MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.alignment import feature_localizer
from dsac_ros.alignment.feature_localizer import (
    CHANCE,
    FeatureLocalizer,
    count_distributed_inliers,
)
from dsac_ros.alignment.matched_points import matched_points
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.resample import Resampler
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.point_selection import point_map
from dsac_ros.mapping.sfm.tracks import find_tracks
from dsac_ros.metrics import twist_error
from dsac_ros.types import Camera, Frame

WALL, TRUE = texture(0), pose(0.2, 0.1, 0.6)


@pytest.fixture(scope='module')
def points():
    views = []
    for x in np.linspace(-0.4, 0.4, 6):
        where = pose(x, 0.05, 0.0, 3.0 * x)
        image = seen_from(where, WALL)
        where[:3, 3] /= DISTANCE
        views.append(View(image, np.ones(SIZE_WH[::-1], bool), MATRIX, where, None))
    return point_map(find_tracks(views), DISTANCE, 100_000)


def localized(points, image):
    frame = Frame(image, Camera(SIZE_WH, MATRIX))
    pinhole = Resampler(frame.camera, min(SIZE_WH))
    return FeatureLocalizer(points).localize(frame, pinhole, RansacConfig())


def test_a_known_pose_finds_more_matches(points):
    blurred = cv2.GaussianBlur(seen_from(TRUE, WALL), None, 2.0)
    noise = np.random.default_rng(0).normal(0, 6, blurred.shape)
    found = localized(points, np.clip(blurred + noise, 0, 255).astype(np.uint8))
    error = twist_error(found.estimate.world_from_camera[0].numpy(), TRUE)
    assert np.linalg.norm(error[:3]) < 0.02 and np.linalg.norm(error[3:]) < 0.01
    assert found.guided.valid.sum() > 1.1 * found.inlier_count
    assert CHANCE < found.inlier_count <= found.matches.valid.sum()


def test_guided_matches_do_not_confirm_a_pose(points, monkeypatch):
    """Another place: even where a pose by chance guides, what it finds is not counted."""
    monkeypatch.setattr(feature_localizer, 'CHANCE', 0)
    found = localized(points, seen_from(pose(0.1), texture(2)))
    assert found.inlier_count <= CHANCE


def test_a_pose_that_guides_to_nothing_stays(points, monkeypatch):
    image = seen_from(TRUE, WALL)
    plain = localized(points, image)

    monkeypatch.setattr(
        feature_localizer.PointMatcher,
        'guided_match',
        lambda self, *known: (np.zeros(0, int), np.zeros(0, int)),
    )
    found = localized(points, image)
    assert found.guided is found.matches and found.inlier_count >= plain.inlier_count
    assert np.linalg.norm(twist_error(found.estimate.world_from_camera[0].numpy(), TRUE)) < 0.05


@pytest.mark.parametrize('outside', [False, True])
def test_a_map_without_points_has_no_pose(outside):
    nothing = FeatureLocalizer(None)
    nothing = nothing.outside(np.zeros(3), 1.0) if outside else nothing
    frame = Frame(seen_from(TRUE, WALL), Camera(SIZE_WH, MATRIX))
    found = nothing.localize(frame, Resampler(frame.camera, min(SIZE_WH)), RansacConfig())
    assert found.inlier_count == 0 and not found.estimate.found[0]
    assert found.matches.valid.sum() == found.guided.valid.sum() == 0


def test_outside_of_its_place_an_image_has_no_pose(points, monkeypatch):
    """Nothing is made anew: a relocalizer asks for every image that it does not expect."""
    frame = Frame(seen_from(TRUE, WALL), Camera(SIZE_WH, MATRIX))
    pinhole = Resampler(frame.camera, min(SIZE_WH))
    whole = FeatureLocalizer(points)
    monkeypatch.setattr(feature_localizer, 'PointMatcher', None)
    monkeypatch.setattr(feature_localizer, 'Resamplers', None)
    for centre, is_found in (([0.0, 0.0, DISTANCE], False), ([50.0, 0.0, 0.0], True)):
        others = whole.outside(np.array(centre), DISTANCE)
        found = others.localize(frame, pinhole, RansacConfig())
        assert (found.inlier_count > CHANCE) == is_found


def test_matches_in_a_corner_hardly_count():
    """Two hundred on one window count as two; two elsewhere as two more."""
    corner = np.random.default_rng(0).uniform(2, 36, (200, 2))
    pixels = torch.from_numpy(np.concatenate([corner, [[200, 30], [300, 200]]])).float()
    intrinsics = torch.from_numpy(MATRIX).float()
    rays = (pixels - intrinsics[:2, 2]) / intrinsics[0, 0]
    points = torch.nn.functional.pad(3.0 * rays, (0, 1), value=3.0)
    scene = matched_points([points], [pixels], intrinsics)
    assert count_distributed_inliers(scene, torch.eye(4), SIZE_WH) == 4
    assert count_distributed_inliers(scene, torch.from_numpy(pose(1.0)).float(), SIZE_WH) == 0
