# SPDX-License-Identifier: Apache-2.0
"""mapping/sfm/tracks.py, reference_selection.py: points that views share, and views to keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from walls import DISTANCE, MATRIX, SIZE_WH, depth_at, pose, seen_from, texture

from dsac_ros.alignment.features import Features, unit
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm import tracks as tracking
from dsac_ros.mapping.sfm.matching import Matches
from dsac_ros.mapping.sfm.reference_selection import (
    LANDMARKS,
    as_view,
    select_reference_images,
    with_global_descriptors,
)
from dsac_ros.mapping.sfm.track_depth import with_depth
from dsac_ros.mapping.sfm.tracks import find_tracks, nearest_points

WALL = texture(0)


def view(where, wall=WALL):
    scene = where.copy()
    scene[:3, 3] /= DISTANCE
    return View(seen_from(where, wall), np.ones(SIZE_WH[::-1], bool), MATRIX, scene, None)


@pytest.fixture(scope='module')
def views():
    return [
        view(pose(x, 0.05 * (k % 3), 0.0, 3.0 * x))
        for k, x in enumerate(np.linspace(-0.8, 0.8, 12))
    ]


@pytest.fixture(scope='module')
def tracks(views):
    return find_tracks(views)


@pytest.fixture(scope='module')
def precise(tracks):
    return tracks.precise()


def test_the_points_of_a_wall_lie_on_it(tracks):
    assert len(tracks.points) > 150
    assert np.median(np.abs(tracks.points[:, 2] - 1.0)) < 0.003
    assert np.quantile(np.abs(tracks.points[:, 2] - 1.0), 0.95) < 0.02
    assert np.bincount(tracks.point).min() >= 2
    # a point is seen once by a view
    assert len(np.unique(np.stack([tracks.point, tracks.view]), axis=1).T) == len(tracks.point)


def test_a_point_has_the_mean_of_its_descriptors(views):
    edges = np.array([[0, 1]])
    points = np.array([[0.1, 0.0, 1.0]])
    pixels = []
    for one in views[:2]:
        camera = np.linalg.inv(one.scene_from_camera)
        x = MATRIX @ (camera[:3, :3] @ points[0] + camera[:3, 3])
        pixels.append(x[:2] / x[2])
    descriptors = np.zeros((2, 128), np.uint8)
    descriptors[0, 0] = descriptors[1, 1] = 255
    found = tracking.linked(
        views[:2], Matches(np.array([0, 1]), np.array(pixels), edges, descriptors), depth_error=1.0
    )
    assert found.descriptors.shape == (1, 128) and found.descriptors.dtype == np.uint8
    both = unit(found.descriptors)[0, :2]
    np.testing.assert_allclose(both, np.sqrt(0.5), atol=0.01)


def test_tracks_use_given_full_resolution_features(views):
    few = [
        replace(one, features=Features(np.zeros((0, 2)), np.zeros((0, 128), np.uint8)))
        for one in views
    ]
    assert len(find_tracks(few).points) == 0


def test_observations_are_where_the_points_project(tracks, views):
    for index, one in enumerate(views):
        own = tracks.view == index
        points = tracks.points[tracks.point[own]]
        camera = np.linalg.inv(one.scene_from_camera)
        image = (points @ camera[:3, :3].T + camera[:3, 3]) @ MATRIX.T
        off = np.linalg.norm(image[:, :2] / image[:, 2:] - tracks.pixels[own], axis=1)
        assert off.max() < tracking.MAX_ERROR_PX + 0.5 and np.median(off) < 0.5


def test_a_false_match_does_not_cost_the_joined_tracks(views):
    """Two points, seen by twelve and by four views, and one false match between them."""
    points = np.array([[0.1, 0.0, 1.0], [-0.1, 0.05, 1.0]])
    view_of = np.concatenate([np.arange(12), np.arange(0, 12, 3)])
    pixels = []
    for point, seen_by in zip(points, (views, views[::3])):
        for one in seen_by:
            camera = np.linalg.inv(one.scene_from_camera)
            x = MATRIX @ (camera[:3, :3] @ point + camera[:3, 3])
            pixels.append(x[:2] / x[2])
    edges = np.stack([np.arange(15), np.arange(1, 16)], 1)  # 11 to 12 is the false one
    found = tracking.linked(
        views, Matches(view_of, np.array(pixels), edges, np.zeros((16, 128), np.uint8))
    )
    assert len(found.points) == 2 and len(found.point) == 16
    order = np.argsort(found.points[:, 0])
    np.testing.assert_allclose(found.points[order], points[[1, 0]], atol=1e-4)


def test_many_tracks_in_a_chain_of_wrong_matches(views):
    """Twenty points in a row, each seen by twelve views, and false matches of less likeness."""
    points = np.stack([np.linspace(-0.3, 0.3, 20), np.zeros(20), np.ones(20)], 1)
    pixels, view_of = [], np.tile(np.arange(12), 20)
    for point, index in zip(np.repeat(points, 12, 0), view_of):
        camera = np.linalg.inv(views[index].scene_from_camera)
        x = MATRIX @ (camera[:3, :3] @ point + camera[:3, 3])
        pixels.append(x[:2] / x[2])
    edges = np.stack([np.arange(239), np.arange(1, 240)], 1)  # 11 to 12, 23 to 24 ... are false
    descriptors = np.zeros((240, 128), np.uint8)
    descriptors[np.arange(240), np.repeat(np.arange(20), 12)] = 255
    found = tracking.linked(views, Matches(view_of, np.array(pixels), edges, descriptors))
    assert len(found.points) == 20 and len(found.point) == 240
    np.testing.assert_allclose(np.sort(found.points[:, 0]), points[:, 0], atol=1e-4)


def test_a_track_is_seen_once_in_a_view():
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    labels = tracking.tracks_of(edges, np.array([0, 1, 2, 0, 1]))
    assert labels[0] == labels[1] == labels[2] != labels[3] == labels[4]


def test_parallax_is_the_angle_between_the_outer_rays(tracks):
    degrees = np.radians([0.0, 2.0, 7.0, 4.0])
    rays = np.stack([np.sin(degrees), np.zeros(4), np.cos(degrees)], 1) * [[1], [2], [3], [4]]
    found = tracking.widest_angle(np.concatenate([rays, rays[:2]]), np.array([0, 0, 0, 0, 1, 1]))
    np.testing.assert_allclose(np.degrees(found), [7.0, 2.0])
    assert len(tracks.parallax) == len(tracks.points) and (tracks.parallax > 0.0).all()


def test_points_of_uncertain_depth_are_not_precise(tracks, views):
    precise = tracks.precise()
    assert 0 < len(precise.points) < len(tracks.points)
    assert tracks.depth_error.max() < tracking.MAX_DEPTH_ERROR
    assert (
        precise.depth_error.max()
        < tracking.PRECISE
        <= np.sort(tracks.depth_error)[len(precise.points)]
    )
    kept = tracks.depth_error < tracking.PRECISE
    seen = kept[tracks.point]
    np.testing.assert_array_equal(precise.points[precise.point], tracks.points[tracks.point[seen]])
    np.testing.assert_array_equal(precise.pixels, tracks.pixels[seen])


def test_views_that_share_nothing_have_no_tracks():
    found = find_tracks([view(pose(x), texture(k)) for k, x in enumerate((0.0, 0.3, 0.6, 0.9))])
    assert len(found.points) < 48  # of 4800 features, and each seen only twice
    assert np.bincount(found.point).max() == 2


def test_views_without_features_have_no_tracks():
    """They have no depth for landmarks either."""
    ramp = np.tile(np.linspace(0, 255, SIZE_WH[0]).astype(np.uint8), (SIZE_WH[1], 1))
    smooth = [replace(view(pose(x)), image=ramp) for x in (0.0, 0.3, 0.6)]
    found = find_tracks(smooth)
    assert len(found.points) == len(found.point) == 0
    assert all(one.depth is None for one in with_depth(smooth, smooth, found))


def test_a_camera_that_only_turns_has_no_depth():
    found = find_tracks([view(pose(turn_deg=angle)) for angle in (0.0, 2.0, 4.0, 6.0)])
    assert len(found.points) == 0


def test_one_far_off_ray_does_not_move_a_point():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 3)) * [1, 1, 0.1]
    point = np.array([0.2, -0.1, 4.0])
    rays = point - centres
    rays[0] += [1.0, 0.5, 0.0]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    found, spread, angle = nearest_points(rays, centres, np.zeros(8, int), np.full(8, 1e-3))
    np.testing.assert_allclose(found[0], point, atol=0.02)
    assert angle[0] > 0.1 > 0.01 > angle[1:].max()
    assert 0 < spread[0] < 0.1


def test_depth_is_filled_from_the_nearest_track(tracks, views):
    """Measured depth is kept."""
    filled = with_depth(views, views, tracks)
    pixels = np.array([[160, 120], [80, 60]])
    for one in filled:
        where = one.scene_from_camera.copy()
        where[:3, 3] *= DISTANCE
        expected = depth_at(pixels, where) / DISTANCE
        np.testing.assert_allclose(one.depth[pixels[:, 1], pixels[:, 0]], expected, rtol=0.06)
    measured = [
        View(v.image, v.mask, v.matrix, v.scene_from_camera, np.full(SIZE_WH[::-1], 7, np.float32))
        for v in views
    ]
    assert all((v.depth == 7).all() for v in with_depth(measured, measured, tracks))


def test_view_without_tracks_has_its_neighbours_depth(tracks, views):
    between = view(pose(0.1, 0.02, 0.0, 0.5))
    (filled,) = with_depth([between], views, tracks)
    pixels = np.array([[160, 120], [80, 60]])
    expected = depth_at(pixels, pose(0.1, 0.02, 0.0, 0.5)) / DISTANCE
    np.testing.assert_allclose(filled.depth[pixels[:, 1], pixels[:, 0]], expected, rtol=0.06)


def test_a_view_far_from_all_tracks_has_no_depth(tracks, views):
    away, beside = view(pose(0.0, turn_deg=90.0)), view(pose(3.0))
    assert [one.depth for one in with_depth([away, beside], views, tracks)] == [None, None]
    assert [one.depth for one in with_depth([away], [], tracks)] == [None]


def test_few_reference_images_show_all_points(views, precise):
    references = select_reference_images(views, precise, DISTANCE, 1e9)
    assert 2 <= len(references) < len(views)
    for one in references:
        assert len(one.pixels) <= LANDMARKS
        off = one.depth / depth_at(one.pixels, np.linalg.inv(one.camera_from_map)) - 1
        assert np.mean(np.abs(off) < 0.03) > 0.97


def test_reference_images_stay_within_their_bytes(views, tracks):
    everything = select_reference_images(views, tracks, DISTANCE, 1e9)
    one = select_reference_images(views, tracks, DISTANCE, 30e3)
    assert 1 <= len(one) < len(everything)
    assert select_reference_images(views, tracks, DISTANCE, 10.0) == []


def points_of(reference):
    """Points of a reference image: columns, rows and depths."""
    return {
        (*pixel, depth)
        for pixel, depth in zip(reference.pixels.tolist(), reference.depth.tolist())
    }


def test_kept_reference_images_lead_and_gain_points(views):
    """An update: the reference images of one half of the wall, and the views of the other half."""
    half = find_tracks(views[:7])
    kept = select_reference_images(views[:7], half, DISTANCE, 1e9)
    known = [as_view(reference, DISTANCE) for reference in kept]
    seen = [*views[5:], *known]
    tracks = find_tracks(seen)
    updated = select_reference_images(seen, tracks, DISTANCE, 1e9, kept)
    more = 0
    for before, after in zip(kept, updated):
        np.testing.assert_array_equal(after.webp, before.webp)
        assert points_of(after) >= points_of(before)
        more += len(after.pixels) - len(before.pixels)
        off = after.depth / depth_at(after.pixels, np.linalg.inv(after.camera_from_map)) - 1
        assert np.mean(np.abs(off) < 0.03) > 0.97
    assert more > 10
    assert len(kept) < len(updated)
    # no room is left for new ones
    full = select_reference_images(seen, tracks, DISTANCE, -1.0, kept)
    assert [points_of(one) for one in full] == [points_of(one) for one in updated[: len(kept)]]
    same = [*views[:7], *known]  # what the kept ones show hardly needs more
    again = select_reference_images(same, find_tracks(same), DISTANCE, 1e9, kept)
    assert len(again) <= len(kept) + 2


def test_reference_image_converts_back_to_its_view(views, tracks):
    reference = select_reference_images(views, tracks, DISTANCE, 1e9)[0]
    again = as_view(reference, DISTANCE)
    source = next(
        one for one in views if np.allclose(one.scene_from_camera, again.scene_from_camera)
    )
    assert np.abs(again.image.astype(int) - source.image).mean() < 4
    assert again.mask.all() and again.depth is None


def test_global_descriptors_are_those_of_the_encoder(views, tracks):
    def encode(images):
        return (
            torch.tensor([3.0, 0, 0, 4.0])
            .view(1, 4, 1, 1)
            .expand(1, 4, images.shape[2] // 8, images.shape[3] // 8)
        )

    plain = select_reference_images(views, tracks, DISTANCE, 30e3)
    resamplers = Resamplers.to_short_side(64)
    described = with_global_descriptors(plain, encode, resamplers, 'cpu')
    for before, after in zip(plain, described, strict=True):
        np.testing.assert_allclose(after.global_descriptor, [0.6, 0, 0, 0.8], atol=1e-6)
        np.testing.assert_array_equal(after.webp, before.webp)
