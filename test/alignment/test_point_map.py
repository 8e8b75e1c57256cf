# SPDX-License-Identifier: Apache-2.0
"""point_map.py and mapping/sfm/point_selection.py: features matched with the points of a map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from walls import DISTANCE, MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.alignment.features import Features, features_of_frame, quantised, root_sift, unit
from dsac_ros.alignment.matched_points import matched_points
from dsac_ros.alignment.point_map import (
    PointMap,
    PointMatcher,
    from_tensors,
    maxima,
    to_tensors,
)
from dsac_ros.config import RansacConfig
from dsac_ros.geometry.resample import Resampler
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.point_selection import place_in_views, point_map
from dsac_ros.mapping.sfm.tracks import Tracks, find_tracks
from dsac_ros.metrics import twist_error
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.types import Camera, Frame

WALL, APART = texture(0), 10.0


def views_of(wall, offset):
    views = []
    for x in np.linspace(-0.4, 0.4, 6):
        where = pose(x, 0.05, 0.0, 3.0 * x)
        image = seen_from(where, wall)
        where[:3, 3] = (where[:3, 3] + [offset, 0, 0]) / DISTANCE
        views.append(View(image, np.ones(SIZE_WH[::-1], bool), MATRIX, where, None))
    return views


@pytest.fixture(scope='module')
def tracks():
    """Points of two walls, ten metres apart."""
    return find_tracks([*views_of(WALL, 0.0), *views_of(texture(1), APART)])


@pytest.fixture(scope='module')
def points(tracks):
    return point_map(tracks, DISTANCE, 100_000)


def features(image, mask=None):
    pixels, descriptors = root_sift(image, 3000, mask)
    return Features(pixels, quantised(descriptors))


def matched(points, found, views=20):
    matcher = PointMatcher(points)
    return matcher.match(found, matcher.retrieve(found, views))


def estimate(points, image):
    found = features(image)
    rows, index = matched(points, found)
    scene = matched_points(
        [torch.from_numpy(points.points[index])],
        [torch.from_numpy(found.pixels[rows]).float()],
        torch.from_numpy(MATRIX),
    )
    return estimate_pose(scene, RansacConfig(inlier_px=4.0))


def test_a_pose_that_is_turned_about_the_axis(points):
    true = pose(0.2, 0.1, 0.6)
    roll = np.radians(75.0)
    true[:2, :2] = [[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]
    found = estimate(points, seen_from(true, WALL))
    error = twist_error(found.world_from_camera[0].numpy(), true)
    assert found.inlier_count[0] > 40
    assert np.linalg.norm(error[:3]) < 0.03 and np.linalg.norm(error[3:]) < 0.01


def test_the_views_of_the_right_wall_are_chosen(points):
    _, index = matched(points, features(seen_from(pose(0.1), texture(1))))
    assert len(index) > 40 and (points.points[index, 0] > 0.5 * APART).mean() > 0.95


def test_another_place_agrees_with_no_pose(points):
    assert estimate(points, seen_from(pose(0.1), texture(2))).inlier_count[0] < 12


@pytest.mark.parametrize('image', (np.full((240, 320), 90, np.uint8), WALL[:16, :16]))
def test_an_image_of_nothing_matches_nothing(points, image):
    rows, index = matched(points, features(image))
    assert len(rows) == len(index) < 4


def test_a_map_file_holds_the_points(points):
    again = from_tensors(to_tensors(points))
    for name in ('points', 'view', 'point'):
        assert np.array_equal(getattr(again, name), getattr(points, name))
    cosine = (unit(again.descriptors) * unit(points.descriptors)).sum(1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 10.0
    stored = to_tensors(again)
    for name, value in to_tensors(points).items():
        assert np.array_equal(stored[name].numpy(), value.numpy()), 'written again as it was'
    assert stored['points.descriptors'].shape == (len(points), 64)
    assert from_tensors(to_tensors(None)) is None


def test_features_are_in_pixels_of_the_small_image():
    image = seen_from(pose(), WALL)
    camera = Camera(SIZE_WH, MATRIX)
    full, small = Resampler(camera, SIZE_WH[1]), Resampler(camera, SIZE_WH[1] // 2)
    found = features_of_frame(Frame(image, camera), full, small.matrix)
    own = root_sift(full(image), 3000)[0]
    rays = [
        np.linalg.solve(matrix, np.c_[pixels, np.ones(len(pixels))].T)
        for matrix, pixels in ((small.matrix, found.pixels), (full.matrix, own))
    ]
    np.testing.assert_allclose(*rays, atol=1e-9)
    mask = np.zeros(image.shape, bool)
    mask[:, :100] = True
    masked = features_of_frame(Frame(image, camera, mask=mask), full, full.matrix)
    assert 0 < len(masked) < len(own) and masked.pixels[:, 0].max() < 101


def test_every_view_keeps_its_best_points():
    view = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    point = np.array([0, 1, 2, 3, 0, 1, 0, 4, 5])
    assert place_in_views(view, point, np.ones(6)).tolist() == [0, 1, 2, 3, 1, 2]
    tracks = Tracks(
        np.arange(18.0).reshape(6, 3),
        point,
        view,
        np.zeros((9, 2)),
        np.arange(6 * 128, dtype=np.uint8).reshape(6, 128),
        np.zeros(6),
        np.ones(6),
    )
    kept = point_map(tracks, 2.0, 4)
    assert kept.points[:, 0].tolist() == [0.0, 6.0, 12.0, 24.0]
    assert kept.view.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert kept.point.tolist() == [0, 1, 2, 0, 1, 0, 3]


def test_points_of_little_parallax_are_left_out(tracks):
    few = replace(tracks, parallax=np.where(np.arange(len(tracks.points)) % 2, 1.0, 0.01))
    kept = point_map(few, DISTANCE, 100_000)
    assert np.allclose(kept.points, DISTANCE * tracks.points[1::2])
    assert len(np.unique(kept.point)) == len(kept)


def test_points_of_a_known_map_stay(points, tracks):
    both = point_map(tracks, DISTANCE, 100_000, points)
    assert len(both) == 2 * len(points)
    assert np.array_equal(both.points[: len(points)], points.points)
    assert both.view.max() == 2 * points.view.max() + 1
    assert both.point.max() == len(both) - 1


def test_no_track_is_no_map():
    nothing = Tracks(
        np.zeros((0, 3)),
        np.zeros(0, int),
        np.zeros(0, int),
        np.zeros((0, 2)),
        np.zeros((0, 128), np.uint8),
        np.zeros(0),
        np.zeros(0),
    )
    assert point_map(nothing, 1.0, 10) is None
    one = PointMap(
        np.zeros((1, 3), np.float32),
        np.zeros((1, 128), np.uint8),
        np.zeros(1, int),
        np.zeros(1, int),
    )
    rows, index = matched(one, features(WALL[:240, :320]))
    assert len(rows) == len(index) == 0


def test_equally_seen_points_rank_by_precision():
    view, point = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert place_in_views(view, point, np.array([0.5, 1.0])).tolist() == [1, 0]


def test_outside_leaves_out_all_that_a_place_shows():
    """Two views here, one of which also sees a point of the two views over there."""
    points = np.array([[0, 0, 0], [1, 0, 0], [9, 0, 0], [10, 0, 0], [9, 1, 0.0]], np.float32)
    view = np.array([0, 0, 1, 1, 1, 2, 2, 3, 3, 3])
    point = np.array([0, 1, 0, 1, 2, 2, 3, 2, 3, 4])
    descriptors = np.arange(5 * 128, dtype=np.uint8).reshape(5, 128)
    whole = PointMap(points, descriptors, view, point)
    left = whole.outside(np.array([0.5, 0, 0]), 4.0)
    np.testing.assert_array_equal(left, [False, False, False, True, True])
    assert not whole.outside(np.array([5.0, 0, 0]), 99.0).any()


def test_a_matcher_of_some_points(points):
    """As one that was made of these points alone."""
    found, known = features(seen_from(pose(0.1), texture(1))), pose(APART + 0.1)
    left = points.points[:, 0] < 0.5 * APART
    for used in (left, ~left):
        some, alone = PointMatcher(points).among(used), PointMatcher(only(points, used))
        for one, other in (
            (matcher.match(found, matcher.retrieve(found, 20)) for matcher in (some, alone)),
            (matcher.guided_match(found, known, MATRIX) for matcher in (some, alone)),
        ):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], np.flatnonzero(used)[other[1]])
    assert len(one[0]) > 40, 'the wall that the image shows'


def only(points, used):
    """The map of some of the points (P,) bool."""
    rows = used[points.point]
    index = (np.cumsum(used) - 1)[points.point[rows]]
    return PointMap(points.points[used], points.descriptors[used], points.view[rows], index)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float32])
@pytest.mark.parametrize('dim', [0, 1])
def test_maxima_are_those_of_torch(dtype, dim):
    values = torch.randn(300, 700, generator=torch.Generator().manual_seed(0)).to(dtype)
    values[:, 50:60] = torch.finfo(dtype).min
    most, index = maxima(values, dim)
    assert most.dtype == torch.float32 and torch.equal(most, values.amax(dim).float())
    assert torch.equal(values.gather(dim, index.unsqueeze(dim)).squeeze(dim).float(), most)


def test_maxima_of_too_many_are_right():
    values = torch.zeros(2, 70_000, dtype=torch.bfloat16)
    values[0, 69_999] = values[1, 5] = 1.0
    assert maxima(values, 1)[1].tolist() == [69_999, 5]
