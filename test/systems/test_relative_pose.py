# SPDX-License-Identifier: Apache-2.0
"""Absolute pose from essential matrices, on points that a camera sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from walls import DISTANCE, MATRIX, SIZE_WH, pose

from dsac_ros.config import MappingConfig, RansacConfig
from dsac_ros.map_container import read_container, write_container
from dsac_ros.mapping.data.dataset import prepare
from dsac_ros.metrics import mahalanobis_squared, twist_error
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.relative_pose.absolute import absolute_pose, hypotheses, triangulated
from dsac_ros.systems.relative_pose.config import RelativePoseConfig
from dsac_ros.systems.relative_pose.epipolar import Matches, moved, refined
from dsac_ros.systems.relative_pose.essential import decomposed, relative_pose
from dsac_ros.systems.relative_pose.learn import spread
from dsac_ros.systems.relative_pose.measured import measured_pose
from dsac_ros.types import Result

FOCAL = 500.0
QUERY = pose(0.3, 0.1, 0.2, 8.0)
PLACES = [pose(0, 0, 0, 0), pose(0.9, -0.2, 0.1, -5), pose(0.1, 0.5, -0.3, 3)]


def rays(points, world_from_camera):
    camera = (points - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    return camera[:, :2] / camera[:, 2:]


def scene(noise_px=0.5, places=PLACES, seed=0, wrong=0.2, far=1.0):
    """Relative poses of the query with mapping cameras, of noisy matches, some of them wrong."""
    rng = np.random.default_rng(seed)
    found = []
    for place in places:
        points = far * rng.uniform((-2, -1.5, 2.5), (2, 1.5, 6), (120, 3))
        query, seen = (
            rays(points, one) + rng.normal(scale=noise_px / FOCAL, size=(120, 2))
            for one in (QUERY, place)
        )
        mixed = rng.random(120) < wrong
        query[mixed] = rng.permutation(query[mixed])
        found.append(relative_pose(query, seen, place, FOCAL))
    return found


def off(found):
    error = twist_error(found.world_from_camera, QUERY)
    return np.linalg.norm(error[:3]), np.degrees(np.linalg.norm(error[3:]))


def beside(*steps):
    """Return the query's pose moved by steps [m]."""
    place = QUERY.copy()
    place[:3, 3] += steps
    return place


def test_direction_and_rotation_of_an_essential_matrix():
    for found, place in zip(scene(noise_px=0.1), PLACES):
        towards = QUERY[:3, 3] - place[:3, 3]
        cosine = found.towards @ towards / np.linalg.norm(towards)
        assert cosine > np.cos(np.radians(5)) and not found.is_rotation
        np.testing.assert_allclose(found.world_from_query, QUERY[:3, :3], atol=0.02)


@pytest.mark.parametrize('sign', [1.0, -1.0])
def test_one_of_four_solutions_has_points_ahead(sign):
    rng = np.random.default_rng(2)
    points = rng.uniform((-2, -1.5, 2.5), (2, 1.5, 6), (30, 3))
    query_from_reference = np.linalg.inv(QUERY) @ PLACES[1]
    rotation, (x, y, z) = query_from_reference[:3, :3], query_from_reference[:3, 3]
    essential = sign * np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    seen = rays(points, QUERY), rays(points, PLACES[1])
    seen[0][0] = (5.0, 5.0)  # behind a camera, or nowhere
    found, direction, inliers = decomposed(essential, *seen, np.arange(30) < 29)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(direction, np.array([x, y, z]) / np.hypot(np.hypot(x, y), z))
    assert inliers[1:29].all() and not inliers[29]


def test_unrelated_images_have_no_relative_pose():
    rng = np.random.default_rng(0)
    noise = [rng.uniform(-0.5, 0.5, (40, 2)) for _ in range(2)]
    assert relative_pose(*noise, np.eye(4), FOCAL) is None
    assert relative_pose(noise[0][:5], noise[1][:5], np.eye(4), FOCAL) is None


def test_two_directions_meet_where_the_query_is():
    centres = np.array([[0.0, 0, 0], [2, 0, 0]])
    target = np.array([1.0, 1, 3])
    towards = (target - centres) / np.linalg.norm(target - centres, axis=1, keepdims=True)
    points, usable = triangulated(centres[:1], towards[:1], centres[1:], towards[1:])
    assert usable.all()
    np.testing.assert_allclose(points[0], target)
    _, behind = triangulated(centres[:1], -towards[:1], centres[1:], towards[1:])
    _, parallel = triangulated(centres[:1], towards[:1], centres[1:], towards[:1])
    assert not behind.any() and not parallel.any()


def test_three_mapping_images_give_the_pose():
    found = absolute_pose(scene(), FOCAL)
    metres, degrees = off(found)
    assert metres < 0.02 and degrees < 0.3
    assert found.references == 3 and found.inliers > 200 and not found.reason


def test_one_mapping_image_tells_no_distance():
    found = absolute_pose(scene()[:1], FOCAL)
    assert 'not how far' in found.reason
    assert off(found)[1] < 3
    assert absolute_pose([], FOCAL) is None


@pytest.mark.parametrize('noise_px', [0.0, 0.5])
def test_cameras_on_a_line_with_the_query(noise_px):
    """Their directions are parallel: position along the line is unknown."""
    line = [beside(*(distance * np.array([0.8, 0.6, 0]))) for distance in (-0.6, 0.9, 1.4)]
    found = absolute_pose(scene(noise_px, line), FOCAL)
    assert 'on a line' in found.reason
    assert off(found)[1] < 3


def test_rotation_alone_tells_no_position():
    places = [QUERY @ pose(0, 0, 0, turn) for turn in (-6.0, 5.0)]
    relative = scene(places=places)
    assert all(one.is_rotation for one in relative)
    found = absolute_pose(relative, FOCAL)
    assert 'rotation alone' in found.reason
    assert off(found)[1] < 0.5


def test_landmarks_far_away_tell_no_position():
    """From all mapping images the query differs by rotation alone."""
    assert 'rotation alone' in absolute_pose(scene(far=300.0), FOCAL).reason


def test_a_mapping_image_from_the_same_place_helps():
    """A second one that it differs from by more than a rotation tells that the place is right."""
    same = QUERY @ pose(0, 0, 0, 6.0)
    found = absolute_pose(scene(places=[same, PLACES[1]]), FOCAL)
    assert not found.reason and off(found)[0] < 0.02


def test_mapping_images_that_contradict_each_other():
    one, other = scene()[:2]
    elsewhere = pose(5, 3, 3, 90.0)
    other = relative_pose(other.query_rays, other.reference_rays, elsewhere, FOCAL)
    assert 'no two of them agree' in absolute_pose([one, other], FOCAL).reason


def test_one_wrong_mapping_image_is_outvoted():
    relative = scene()
    wrong = scene(places=[pose(-0.5, 0.3, 0.0, 0.0)], seed=5)[0]
    elsewhere = relative_pose(wrong.query_rays, wrong.reference_rays, pose(3, 3, 3, 90.0), FOCAL)
    found = absolute_pose([*relative, elsewhere], FOCAL)
    assert off(found)[0] < 0.02 and found.references == 3


def test_the_best_hypothesis_is_near_the_query():
    first = hypotheses(scene())[0]
    error = twist_error(first, QUERY)
    assert np.linalg.norm(error[:3]) < 0.2 and np.linalg.norm(error[3:]) < 0.05


def test_derivatives_are_those_of_the_errors():
    matches = Matches.of(scene(), FOCAL)
    start = moved(QUERY, np.array([0.05, -0.02, 0.03, 0.02, 0.01, -0.03]))
    _, jacobian = matches.linearised(start)
    for column, step in zip(jacobian.T, 1e-6 * np.eye(6)):
        change = matches.errors(moved(start, step)) - matches.errors(moved(start, -step))
        np.testing.assert_allclose(change / 2e-6, column, rtol=1e-4, atol=1e-3)


def test_exact_matches_have_their_minimum_at_the_pose():
    matches = Matches.of(scene(noise_px=0.0, wrong=0.0), FOCAL)
    assert np.abs(matches.errors(QUERY)).max() < 1e-6 and matches.fitting(QUERY).all()
    start = moved(QUERY, np.array([0.1, -0.05, 0.08, 0.03, 0.02, -0.03]))
    np.testing.assert_allclose(refined(start, matches), QUERY, atol=1e-6)


def test_a_world_twice_as_large_has_the_same_errors():
    matches = Matches.of(scene(), FOCAL)
    place = QUERY.copy()
    place[:3, 3] *= 2
    larger = replace(matches, centres=2 * matches.centres)
    np.testing.assert_allclose(larger.errors(place), matches.errors(QUERY), atol=1e-8)


def test_covariance_is_that_of_the_errors():
    distances = []
    for seed in range(25):
        found = absolute_pose(scene(seed=seed, wrong=0.0), FOCAL)
        distances.append(
            mahalanobis_squared(twist_error(found.world_from_camera, QUERY), found.covariance)
        )
    assert np.median(distances) == pytest.approx(5.35, rel=0.6)  # of 6 degrees of freedom


def test_depth_gives_the_pose_by_one_image():
    rng = np.random.default_rng(0)
    points = rng.uniform((-2, -1.5, 2.5), (2, 1.5, 6), (80, 3))
    matrix = np.array([[FOCAL, 0, 320], [0, FOCAL, 240], [0, 0, 1]])
    pixels = FOCAL * rays(points, QUERY) + (320, 240)
    found = measured_pose([points], [pixels], matrix, RansacConfig())
    assert off(found)[0] < 1e-3 and found.references == 1
    assert measured_pose([points[:8]], [pixels[:8]], matrix, RansacConfig()) is None


@pytest.mark.parametrize('depth', [False, True])
def test_a_wall_is_found(wall_frames, wall_queries, tmp_path, depth):
    """The wall is flat: the hardest case of essential matrices."""
    frames = [with_depth(one) for one in wall_frames] if depth else wall_frames
    config = MappingConfig(recipe='relative_pose', held_out=0.3)
    own = RelativePoseConfig(references=20)
    learn(frames, config, own, device='cpu', output=tmp_path / 'wall.map')
    localizer = load_localizer(tmp_path / 'wall.map', 'cpu')
    assert localizer.has_depth == depth
    errors = []
    for query in wall_queries:
        found = localizer.localize(query.frame)
        errors.append(
            np.inf
            if found.world_from_camera is None
            else np.linalg.norm(found.world_from_camera[:3, 3] - query.world_from_camera[:3, 3])
        )
    assert np.median(errors) < (0.02 if depth else 0.1)


def test_a_query_where_the_only_image_stands(wall_frames, tmp_path):
    """Its image tells how the query is turned; the pose told is the place of the other."""
    path = tmp_path / 'wall.map'
    config = MappingConfig(recipe='relative_pose', held_out=0.0)
    learn(wall_frames[:4], config, RelativePoseConfig(), device='cpu', output=path)
    header, tensors = read_container(path)
    own = tensors['image'] == 0
    for name in ('image', 'rays', 'depth', 'descriptors'):
        tensors[name] = tensors[name][own]
    tensors |= {name: tensors[name][:1] for name in ('poses', 'codes')}
    write_container(path, header, tensors)
    found = load_localizer(path, 'cpu').localize(wall_frames[0].frame)
    assert found.result is Result.POSITION_UNDETERMINED and 'rotation alone' in found.reason
    np.testing.assert_allclose(
        found.world_from_camera, wall_frames[0].world_from_camera, atol=1e-3
    )


def test_held_out_frames_are_kept_in_the_map(wall_frames, tmp_path):
    config = MappingConfig(recipe='relative_pose', held_out=0.3)
    own = RelativePoseConfig(references=40)
    learn(wall_frames, config, own, device='cpu', output=tmp_path / 'map')
    header, tensors = read_container(tmp_path / 'map')
    assert header['held_out']['frames'] == 12 and len(tensors['poses']) == 40


def with_depth(posed):
    """Add the depth of the wall to a frame."""
    u, v = np.meshgrid(np.arange(SIZE_WH[0]), np.arange(SIZE_WH[1]))
    directions = np.stack(
        [(u - MATRIX[0, 2]) / MATRIX[0, 0], (v - MATRIX[1, 2]) / MATRIX[1, 1], np.ones_like(u)], -1
    )
    place = posed.world_from_camera
    depth = (DISTANCE - place[2, 3]) / (directions @ place[2, :3])
    return replace(posed, frame=replace(posed.frame, depth=depth.astype(np.float32)))


def test_views_are_spread_over_the_place(wall_frames, tmp_path):
    views = prepare(wall_frames, MappingConfig(held_out=0.0)).views
    chosen = spread(views, 5)
    assert len(chosen) == 5 and chosen == sorted(set(chosen))
    assert {0, 39} & set(chosen) and max(np.diff(chosen)) < 20
    assert spread(views, 99) == list(range(40))
