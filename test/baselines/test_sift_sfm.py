# SPDX-License-Identifier: Apache-2.0
"""baselines/sift_sfm.py: the peer of the damage table finds its way on a wall that it has seen."""
from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from walls import DISTANCE, MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.baselines.sift_sfm import SiftSfm, partners, require
from dsac_ros.errors import ConfigError, SourceError
from dsac_ros.metrics import twist_error
from dsac_ros.types import Camera, Frame, PosedFrame, Result

WALL = texture(0)
QUERY = pose(0.25, -0.1, 0.3, 5.0)


def frame(image):
    return Frame(image, Camera(SIZE_WH, MATRIX), 7, 'query')


@pytest.fixture(scope='module')
def learned():
    places = [pose(x, y, 0.2 * y, 10.0 * x) for x in (-0.6, 0.0, 0.6) for y in (-0.3, 0.3)]
    return SiftSfm.learn([PosedFrame(frame(seen_from(place, WALL)), place) for place in places])


@pytest.mark.benchmark
def test_points_lie_on_the_wall(learned):
    assert len(learned.points) > 300
    assert np.abs(learned.points[:, 2] - DISTANCE).max() < 0.05
    assert all(len(picture.point) == len(picture.descriptors) for picture in learned.pictures)


@pytest.mark.benchmark
def test_a_new_view_of_the_wall_is_found(learned):
    found = learned.localize(frame(seen_from(QUERY, WALL)))
    error = twist_error(found.world_from_camera, QUERY)
    assert found.accepted and (found.stamp_ns, found.name) == (7, 'query')
    assert np.linalg.norm(error[:3]) < 0.01 and np.linalg.norm(error[3:]) < np.radians(0.2)


@pytest.mark.benchmark
@pytest.mark.parametrize('image', [np.zeros((240, 320), np.uint8),
                                   seen_from(QUERY, texture(1))], ids=['black', 'another wall'])
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


def test_a_map_of_no_frames_is_refused_in_one_line():
    with pytest.raises(SourceError, match='SIFT \\+ SfM has no mapping frame with a pose'):
        SiftSfm.learn([])
