# SPDX-License-Identifier: Apache-2.0
"""benchmark/baselines/sift_sfm.py: the peer finds its way on a wall that it has seen."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from walls import DISTANCE, MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.benchmark.baselines.sift_sfm import FEATURES, SiftSfm, features_of, require
from dsac_ros.benchmark.baselines.triangulation import partners
from dsac_ros.errors import ConfigError, MapError, MappingError, SourceError
from dsac_ros.geometry.altered_frames import zoomed
from dsac_ros.geometry.resample import Resampler
from dsac_ros.metrics import twist_error
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


def off(found, reference):
    """Error of position and rotation [deg] of an accepted localization."""
    assert found.accepted
    error = twist_error(found.world_from_camera, reference)
    return np.linalg.norm(error[:3]), np.degrees(np.linalg.norm(error[3:]))


@pytest.fixture(scope='module')
def learned():
    return SiftSfm.learn(iter(posed_frames()))


@pytest.mark.benchmark
def test_points_lie_on_the_wall(learned):
    points = learned.map.points + learned.map.origin
    assert len(points) > 300
    assert np.median(np.abs(points[:, 2] - DISTANCE)) < 0.01
    assert np.abs(points[:, 2] - DISTANCE).max() < 0.1


@pytest.mark.benchmark
def test_a_new_view_of_the_wall_is_found(learned):
    found = learned.localize(frame(seen_from(QUERY, WALL)))
    assert (found.stamp_ns, found.name) == (7, 'query')
    assert set(found.timings_ms) == {'features', 'retrieval', 'matching', 'ransac'}
    metres, degrees = off(found, QUERY)
    assert metres < 0.01 and degrees < 0.2


@pytest.mark.benchmark
def test_every_image_has_its_own_camera():
    """Those of the first frame were taken for all."""
    mixed = SiftSfm.learn(posed_frames(lambda index, frame: zoomed(frame) if index % 2 else frame))
    for query in (frame(seen_from(QUERY, WALL)), zoomed(frame(seen_from(QUERY, WALL)))):
        metres, degrees = off(mixed.localize(query), QUERY)
        assert metres < 0.02 and degrees < 0.3


@pytest.mark.benchmark
def test_a_place_far_from_the_origin_is_as_exact(learned):
    """Positions in single precision would be half a metre apart."""
    shift = np.array([5e6, 4e5, 100.0])
    moved = [
        replace(posed, world_from_camera=posed.world_from_camera.copy())
        for posed in posed_frames()
    ]
    reference = QUERY.copy()
    for place in (reference, *(posed.world_from_camera for posed in moved)):
        place[:3, 3] += shift
    metres, _ = off(SiftSfm.learn(moved).localize(frame(seen_from(QUERY, WALL))), reference)
    assert metres < 0.01


@pytest.mark.benchmark
def test_a_map_file_holds_one_descriptor_a_point(learned, tmp_path):
    path = tmp_path / 'wall.sift_sfm'
    learned.save(path)
    count, seen = len(learned.map.points), len(learned.map.visible)
    assert seen >= 2 * count and learned.map.descriptors.shape == (count, 128)
    payload = 140 * count + 4 * seen
    assert payload < path.stat().st_size < payload + 60e3  # words, codes and the file's header
    again = SiftSfm.load(path)
    assert again.seconds == learned.seconds > 0
    query = frame(seen_from(QUERY, WALL))
    assert np.array_equal(
        again.localize(query).world_from_camera, learned.localize(query).world_from_camera
    )


@pytest.mark.benchmark
def test_another_file_is_no_map(tmp_path):
    path = tmp_path / 'wall.sift_sfm'
    path.write_bytes(b'not a map')
    with pytest.raises(MapError, match=r'is no map of SIFT \+ SfM .*remove it'):
        SiftSfm.load(path)


@pytest.mark.benchmark
def test_frames_without_a_common_point_are_refused():
    blank = [
        replace(posed, frame=replace(posed.frame, image=np.zeros((240, 320), np.uint8)))
        for posed in posed_frames()
    ]
    with pytest.raises(MappingError, match='triangulates no point of 6 mapping frames'):
        SiftSfm.learn(blank)


@pytest.mark.benchmark
@pytest.mark.parametrize(
    'image',
    [np.zeros((240, 320), np.uint8), seen_from(QUERY, texture(1))],
    ids=['black', 'another wall'],
)
def test_what_it_has_never_seen_is_refused(learned, image):
    found = learned.localize(frame(image))
    assert found.result is Result.LOW_INLIERS and found.world_from_camera is None


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError, match=r'needs pycolmap and poselib; .*dsac_ros\[benchmark\]'):
        require('pycolmap')


def test_views_that_face_away_are_no_partners():
    pairs = partners([pose(0.0), pose(0.1), pose(0.2, turn_deg=120.0)])
    assert pairs == [(0, 1)]


@pytest.mark.benchmark
def test_a_map_of_no_frames_is_refused_in_one_line():
    with pytest.raises(SourceError, match='SIFT \\+ SfM has no mapping frame with a pose'):
        SiftSfm.learn([])


def test_what_a_mask_hides_has_no_features():
    image = frame(seen_from(QUERY, WALL))
    mask = np.zeros((240, 320), bool)
    mask[:, :160] = True
    found = features_of(replace(image, mask=mask), Resampler(image.camera, 240), QUERY)
    assert 50 < len(found.pixels) < FEATURES and found.pixels[:, 0].max() < 160
