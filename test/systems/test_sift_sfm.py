# SPDX-License-Identifier: Apache-2.0
"""SIFT + SfM finds its way on a wall that it has seen."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from walls import DISTANCE, MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.config import AcceptConfig, MappingConfig, RansacConfig
from dsac_ros.errors import ConfigError, MapError, MappingError
from dsac_ros.geometry.altered_frames import zoomed
from dsac_ros.geometry.resample import Resampler
from dsac_ros.map_container import read_container, write_container
from dsac_ros.metrics import mahalanobis_squared, twist_error
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.sift_sfm.config import SiftSfmConfig
from dsac_ros.systems.sift_sfm.reprojection import pose_covariance
from dsac_ros.systems.sift_sfm.system import FEATURES, features_of, require
from dsac_ros.systems.sift_sfm.triangulation import partners
from dsac_ros.types import Camera, Frame, PosedFrame, Result

WALL = texture(0)
QUERY = pose(0.25, -0.1, 0.3, 5.0)
PLACES = [pose(x, y, 0.2 * y, 10.0 * x) for x in (-0.6, 0.0, 0.6) for y in (-0.3, 0.3)]


def frame(image):
    return Frame(image, Camera(SIZE_WH, MATRIX), 7, 'query')


def posed_frames(change=lambda index, frame: frame):
    return [
        PosedFrame(change(index, frame(seen_from(place, WALL))), place)
        for index, place in enumerate(PLACES)
    ]


def mapped(frames, path):
    """Map frames without any check of their poses; return the loaded system."""
    config = MappingConfig(recipe='sift_sfm', trust_poses=True)
    learn(frames, config, SiftSfmConfig(), device='cpu', output=path)
    return load_localizer(path, 'cpu')


def off(found, reference):
    """Error of position and rotation [deg] of an accepted localization."""
    assert found.accepted, found.reason
    error = twist_error(found.world_from_camera, reference)
    return np.linalg.norm(error[:3]), np.degrees(np.linalg.norm(error[3:]))


@pytest.fixture(scope='module')
def learned(tmp_path_factory):
    return mapped(posed_frames(), tmp_path_factory.mktemp('maps') / 'wall.map')


@pytest.mark.benchmark
def test_points_lie_on_the_wall(learned):
    points = learned.learned.points + learned.map.origin
    assert len(points) > 300
    assert np.median(np.abs(points[:, 2] - DISTANCE)) < 0.01
    assert np.abs(points[:, 2] - DISTANCE).max() < 0.1


@pytest.mark.benchmark
def test_a_new_view_of_the_wall_is_found(learned):
    found = learned.localize(frame(seen_from(QUERY, WALL)))
    assert (found.stamp_ns, found.name) == (7, 'query')
    assert {'features', 'retrieval', 'matching', 'ransac'} < set(found.timings_ms)
    metres, degrees = off(found, QUERY)
    assert metres < 0.01 and degrees < 0.2
    assert found.confidence > 0.9


@pytest.mark.benchmark
def test_every_image_has_its_own_camera(tmp_path):
    """Those of the first frame were taken for all."""
    mixed = mapped(
        posed_frames(lambda index, frame: zoomed(frame) if index % 2 else frame), tmp_path / 'map'
    )
    for query in (frame(seen_from(QUERY, WALL)), zoomed(frame(seen_from(QUERY, WALL)))):
        metres, degrees = off(mixed.localize(query), QUERY)
        assert metres < 0.02 and degrees < 0.3


@pytest.mark.benchmark
def test_a_place_far_from_the_origin_is_as_exact(tmp_path):
    """Positions in single precision would be half a metre apart."""
    shift = np.array([5e6, 4e5, 100.0])
    moved = [
        replace(posed, world_from_camera=posed.world_from_camera.copy())
        for posed in posed_frames()
    ]
    reference = QUERY.copy()
    for place in (reference, *(posed.world_from_camera for posed in moved)):
        place[:3, 3] += shift
    found = mapped(moved, tmp_path / 'map').localize(frame(seen_from(QUERY, WALL)))
    assert off(found, reference)[0] < 0.01


@pytest.mark.benchmark
def test_held_out_frames_are_mapped_at_last(wall_frames, tmp_path):
    """The map that is calibrated does not know them, the one that is written does."""
    config = MappingConfig(recipe='sift_sfm', held_out=0.3)
    learn(wall_frames, config, SiftSfmConfig(), device='cpu', output=tmp_path / 'map')
    header, tensors = read_container(tmp_path / 'map')
    assert header['held_out']['frames'] == 12 and header['held_out']['false_accepts'] == 0
    assert len(tensors['codes']) == 40


@pytest.mark.benchmark
def test_points_without_their_images_are_no_map(learned, tmp_path):
    tensors = learned.learned.tensors()
    tensors['visible'] = torch.full_like(tensors['visible'], 10**8)
    write_container(tmp_path / 'map', learned.map.header, tensors)
    with pytest.raises(MapError, match='do not belong together'):
        load_localizer(tmp_path / 'map')


@pytest.mark.benchmark
def test_frames_without_a_common_point_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    noise = [
        replace(one, frame=replace(one.frame, image=rng.integers(0, 255, (240, 320), np.uint8)))
        for one in posed_frames()
    ]
    with pytest.raises(MappingError, match='no point could be triangulated of 6 mapping frames'):
        mapped(noise, tmp_path / 'map')


@pytest.mark.benchmark
def test_another_wall_is_refused(learned):
    found = learned.localize(frame(seen_from(QUERY, texture(1))))
    assert found.result is Result.LOW_INLIERS and not found.accepted


@pytest.mark.benchmark
def test_a_user_may_set_the_inliers_asked_for(learned):
    query = frame(seen_from(QUERY, WALL))
    count = learned.localize(query).statistics.feature_inliers
    ransac = RansacConfig()
    asked = learned.with_settings(ransac, AcceptConfig(min_feature_inliers=count + 1))
    assert f'expected at least {count + 1}' in asked.localize(query).reason
    assert (
        learned.with_settings(ransac, AcceptConfig(min_feature_inliers=count))
        .localize(query)
        .accepted
    )
    assert asked.with_settings(ransac, AcceptConfig()).localize(query).accepted


@pytest.mark.parametrize('turned', [False, True])
def test_covariance_is_that_of_the_errors(turned):
    """Poses refined on noisy pixels lie where the covariance says."""
    import cv2

    rng = np.random.default_rng(1)
    points = rng.uniform((-1, -1, 2), (1, 1, 5), (60, 3))
    world_from_camera = pose(0.1, 0.2, -0.1, 20.0 if turned else 0.0)
    camera_from_map = np.linalg.inv(world_from_camera)
    camera = points @ camera_from_map[:3, :3].T + camera_from_map[:3, 3]
    exact = camera[:, :2] / camera[:, 2:] * MATRIX[0, 0] + MATRIX[:2, 2]
    distances = []
    for _ in range(200):
        pixels = exact + rng.normal(size=exact.shape)
        turn, shift = cv2.Rodrigues(camera_from_map[:3, :3])[0], camera_from_map[:3, 3:].copy()
        turn, shift = cv2.solvePnPRefineLM(points, pixels, MATRIX, None, turn, shift)
        found = np.eye(4)
        found[:3, :3], found[:3, 3] = cv2.Rodrigues(turn)[0], shift[:, 0]
        covariance = pose_covariance(found, points, pixels, MATRIX)
        error = twist_error(np.linalg.inv(found), world_from_camera)
        distances.append(mahalanobis_squared(error, covariance))
    assert np.mean(distances) == pytest.approx(6.0, rel=0.15)


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError, match=r'needs pycolmap and poselib; .*dsac_ros\[sfm\]'):
        require('pycolmap', 'poselib')


def test_views_that_face_away_are_no_partners():
    pairs = partners([pose(0.0), pose(0.1), pose(0.2, turn_deg=120.0)])
    assert pairs == [(0, 1)]


def test_what_a_mask_hides_has_no_features():
    image = frame(seen_from(QUERY, WALL))
    mask = np.zeros((240, 320), bool)
    mask[:, :160] = True
    found = features_of(replace(image, mask=mask), Resampler(image.camera, 240), QUERY)
    assert 50 < len(found.pixels) < FEATURES and found.pixels[:, 0].max() < 160
