# SPDX-License-Identifier: Apache-2.0
"""Absolute pose from essential matrices, on points that a camera sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from walls import pose

from dsac_ros.config import MappingConfig, RansacConfig
from dsac_ros.metrics import mahalanobis_squared, twist_error
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.relative_pose.absolute import (
    Matches,
    absolute_pose,
    best_hypothesis,
    triangulated,
)
from dsac_ros.systems.relative_pose.config import RelativePoseConfig
from dsac_ros.systems.relative_pose.essential import relative_pose
from dsac_ros.systems.relative_pose.learn import spread
from dsac_ros.systems.relative_pose.measured import measured_pose
from dsac_ros.types import PosedFrame

FOCAL = 500.0
QUERY = pose(0.3, 0.1, 0.2, 8.0)
PLACES = [pose(0, 0, 0, 0), pose(0.9, -0.2, 0.1, -5), pose(0.1, 0.5, -0.3, 3)]


def rays(points, world_from_camera):
    camera = (points - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    return camera[:, :2] / camera[:, 2:]


def scene(noise_px=0.5, places=PLACES, seed=0, wrong=0.2):
    """Relative poses of the query with mapping cameras, of noisy matches, some of them wrong."""
    rng = np.random.default_rng(seed)
    found = []
    for place in places:
        points = rng.uniform((-2, -1.5, 2.5), (2, 1.5, 6), (120, 3))
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


def test_direction_and_rotation_of_an_essential_matrix():
    for found, place in zip(scene(noise_px=0.1), PLACES):
        towards = QUERY[:3, 3] - place[:3, 3]
        cosine = found.towards @ towards / np.linalg.norm(towards)
        assert cosine > np.cos(np.radians(5))
        np.testing.assert_allclose(found.world_from_query, QUERY[:3, :3], atol=0.02)


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
    assert found.references == 3 and found.inliers > 200


def test_one_mapping_image_gives_none():
    assert absolute_pose(scene()[:1], FOCAL) is None
    assert best_hypothesis([]) is None


def test_mapping_cameras_on_a_line_with_the_query():
    """Their directions are parallel: position along the line is unknown."""
    towards = QUERY[:3, 3] / np.linalg.norm(QUERY[:3, 3])
    line = []
    for distance in (-0.6, -1.2, -1.8):
        place = QUERY.copy()
        place[:3, 3] += distance * towards
        line.append(place)
    found = absolute_pose(scene(places=line), FOCAL)
    assert found is None or np.sqrt(found.covariance[:3, :3].trace()) > 0.05


def test_one_wrong_mapping_image_is_outvoted():
    relative = scene()
    wrong = scene(places=[pose(-0.5, 0.3, 0.0, 0.0)], seed=5)[0]
    turned = PosedFrame(None, pose(3, 3, 3, 90.0)).world_from_camera
    moved = relative_pose(wrong.query_rays, wrong.reference_rays, turned, FOCAL)
    found = absolute_pose([*relative, moved], FOCAL)
    assert off(found)[0] < 0.02 and found.references == 3


def test_epipolar_errors_vanish_at_the_true_pose():
    matches = Matches.of(scene(noise_px=0.0, wrong=0.0))
    errors, jacobian = matches.linearised(torch.from_numpy(QUERY), FOCAL)
    assert errors.abs().max() < 1e-6
    step = 1e-6 * torch.tensor([1.0, -2, 0.5, 1, 0.3, -1], dtype=torch.float64)
    from dsac_ros.systems.relative_pose.absolute import moved

    after = matches.errors(moved(torch.from_numpy(QUERY), step), FOCAL)
    torch.testing.assert_close(after, jacobian @ step, atol=1e-8, rtol=1e-3)


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
    from dataclasses import replace

    from walls import DISTANCE

    frames = wall_frames
    if depth:
        frames = [
            replace(
                one,
                frame=replace(one.frame, depth=plane_depth(one.world_from_camera, DISTANCE)),
            )
            for one in wall_frames
        ]
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


def plane_depth(world_from_camera, distance):
    from walls import MATRIX, SIZE_WH

    u, v = np.meshgrid(np.arange(SIZE_WH[0]), np.arange(SIZE_WH[1]))
    directions = np.stack(
        [(u - MATRIX[0, 2]) / MATRIX[0, 0], (v - MATRIX[1, 2]) / MATRIX[1, 1], np.ones_like(u)], -1
    )
    along = directions @ world_from_camera[2, :3]
    return ((distance - world_from_camera[2, 3]) / along).astype(np.float32)


def test_views_are_spread_over_the_place(wall_frames, tmp_path):
    from dsac_ros.mapping.data.dataset import prepare

    views = prepare(wall_frames, MappingConfig(held_out=0.0)).views
    chosen = spread(views, 5)
    assert len(chosen) == 5 and chosen == sorted(set(chosen))
    assert {0, 39} & set(chosen) and max(np.diff(chosen)) < 20
    assert spread(views, 99) == list(range(40))
