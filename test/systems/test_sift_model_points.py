# SPDX-License-Identifier: Apache-2.0
"""SIFT + SfM with the points of a model: nothing is matched or triangulated."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
from walls import DISTANCE, MATRIX

from dsac_ros.alignment.features import quantised, root_sift
from dsac_ros.config import MappingConfig
from dsac_ros.geometry.resample import Resampler
from dsac_ros.map_container import read_header
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.sift_sfm.config import SiftSfmConfig
from dsac_ros.systems.sift_sfm.model_points import (
    Track,
    features_of_model,
    projected,
    structure_of,
    track_of,
)
from dsac_ros.systems.sift_sfm.triangulation import Features
from dsac_ros.types import TrackedPoints


def points_on_the_wall(posed, with_descriptors):
    """Return what a model knows: places of features, and the same number for the same place."""
    pixels, descriptors = root_sift(posed.frame.image, 500)
    place = posed.world_from_camera
    rays = np.column_stack([(pixels - MATRIX[:2, 2]) / MATRIX[0, 0], np.ones(len(pixels))])
    rays = rays @ place[:3, :3].T
    points = place[:3, 3] + rays * ((DISTANCE - place[2, 3]) / rays[:, 2])[:, None]
    cells = np.round(points[:, :2] / 0.02).astype(int)
    found = TrackedPoints(
        points,
        cells[:, 0] * 100000 + cells[:, 1],
        quantised(descriptors) if with_descriptors else None,
    )
    return replace(posed, points=lambda: found)


@pytest.mark.benchmark
@pytest.mark.parametrize('with_descriptors', [False, True])
def test_a_model_needs_no_mapping(
    wall_frames, wall_queries, tmp_path, monkeypatch, with_descriptors
):
    monkeypatch.setitem(sys.modules, 'pycolmap', None)  # whoever imports it fails
    frames = [points_on_the_wall(posed, with_descriptors) for posed in wall_frames]
    config = MappingConfig(recipe='sift_sfm', held_out=0.3)
    learn(frames, config, SiftSfmConfig(), device='cpu', output=tmp_path / 'map')
    header = read_header(tmp_path / 'map')
    assert header['training']['points'] == 'model' and header['training']['count'] > 500
    assert header['held_out']['frames'] == header['held_out']['accepted'] == 12
    localizer = load_localizer(tmp_path / 'map', 'cpu')
    for query in wall_queries:
        found = localizer.localize(query.frame)
        assert found.accepted, found.reason
        off = found.world_from_camera[:3, 3] - query.world_from_camera[:3, 3]
        assert np.linalg.norm(off) < 0.02


@pytest.mark.benchmark
def test_a_model_of_other_features_is_triangulated(wall_frames, tmp_path, caplog):
    """Its points lie between the features of SIFT."""
    frames = [
        replace(one, points=lambda: TrackedPoints(np.array([[0.0, 0, 50]]), np.array([1])))
        for one in wall_frames[::4]
    ]
    config = MappingConfig(recipe='sift_sfm')
    with caplog.at_level(logging.WARNING):
        learn(frames, config, SiftSfmConfig(), device='cpu', output=tmp_path / 'map')
    assert 'triangulating anew' in caplog.text
    assert read_header(tmp_path / 'map')['training']['points'] == 'triangulated'


@pytest.mark.benchmark
def test_model_points_can_be_left_aside(wall_frames, tmp_path):
    frames = [points_on_the_wall(posed, True) for posed in wall_frames[::4]]
    config, own = MappingConfig(recipe='sift_sfm'), SiftSfmConfig(model_points='ignore')
    learn(frames, config, own, device='cpu', output=tmp_path / 'map')
    assert read_header(tmp_path / 'map')['training']['points'] == 'triangulated'


def features_at(pixels):
    count = len(pixels)
    return Features(
        np.array(pixels, float), np.zeros((count, 128), np.float32), MATRIX, (320, 240), np.eye(4)
    )


def test_a_feature_shows_the_nearest_point():
    centre = MATRIX[:2, 2]
    features = features_at([centre, centre + (40, 0), centre + (0.9, 0)])
    points = TrackedPoints(
        np.array([[0.0, 0, 2], [0, 0, -2], [1.2 / MATRIX[0, 0], 0, 1]]), np.array([5, 6, 7])
    )
    track = track_of(features, points)
    assert track.rows.tolist() == [0, 2] and track.ids.tolist() == [5, 7]


def test_an_image_that_shows_no_point_has_no_track():
    behind = TrackedPoints(np.array([[0.0, 0, -2]]), np.array([5]))
    assert len(track_of(features_at([(10, 10)]), behind).rows) == 0
    none = TrackedPoints(np.zeros((0, 3)), np.zeros(0, np.int64))
    assert len(track_of(features_at([(10, 10)]), none).rows) == 0


def test_points_of_a_model_are_projected():
    pixels, ahead = projected(np.array([[0.2, -0.1, 2.0], [0, 0, -1]]), MATRIX, np.eye(4))
    np.testing.assert_allclose(pixels[0], MATRIX[:2, 2] + MATRIX[0, 0] * np.array([0.1, -0.05]))
    assert ahead.tolist() == [True, False]


def test_descriptors_of_points_behind_are_left_out(wall_frames):
    resampler = Resampler(wall_frames[0].frame.camera, 240)
    points = TrackedPoints(
        np.array([[0.0, 0, 2], [0, 0, -2]]), np.array([5, 6]), np.full((2, 128), 45, np.uint8)
    )
    features, track = features_of_model(points, resampler, np.eye(4))
    assert track.ids.tolist() == [5] and len(features.pixels) == 1
    assert np.linalg.norm(features.descriptors[0]) == pytest.approx(1.0)
    assert features_of_model(replace(points, descriptors=None), resampler, np.eye(4)) is None


def test_a_point_that_two_images_show_is_one():
    place = np.array([1.0, 2, 3])
    tracks = [
        Track(np.array([4, 2]), np.array([9, 7]), np.stack([place, 2 * place])),
        Track(np.array([0]), np.array([9]), place[None]),
    ]
    structure = structure_of(tracks)
    np.testing.assert_array_equal(structure.points, [2 * place, place])
    assert [rows.tolist() for rows, _ in structure.tracks] == [[4, 2], [0]]
    assert [points.tolist() for _, points in structure.tracks] == [[1, 0], [1]]
