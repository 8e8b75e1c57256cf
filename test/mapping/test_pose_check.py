# SPDX-License-Identifier: Apache-2.0
"""sfm/pose_check.py: poses, images and intrinsics that do not fit are told, with the cure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drives import FOCAL_PX, MATRIX, drive, views_of
from scipy.spatial.transform import Rotation
from walls import texture

from dsac_ros.errors import MappingError
from dsac_ros.mapping.sfm.pose_check import check_poses
from dsac_ros.mapping.sfm.view_pairs import find_pairs

POSES = drive()
OPENGL = np.diag([1.0, -1, -1, 1])
QUARTER_TURN = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
FLIP_Y = np.diag([1.0, -1, 1, 1])
OPTICAL_FROM_BODY = np.linalg.inv([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@pytest.fixture(scope='module')
def views():
    return views_of(POSES)


@pytest.fixture(scope='module')
def pairs(views):
    return find_pairs(views)


def with_poses(views, poses):
    return [replace(view, scene_from_camera=pose) for view, pose in zip(views, poses, strict=True)]


def noisy(poses, degrees, metres):
    rng = np.random.default_rng(0)
    found = []
    for pose in poses:
        moved = pose.copy()
        moved[:3, :3] = (
            pose[:3, :3]
            @ Rotation.from_rotvec(rng.normal(0, degrees, 3), degrees=True).as_matrix()
        )
        moved[:3, 3] += rng.normal(0, metres, 3)
        found.append(moved)
    return found


def wxyz(pose):
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
    read = pose.copy()
    read[:3, :3] = Rotation.from_quat([w, x, y, z]).as_matrix()
    return read


def transposed(pose):
    read = pose.copy()
    read[:3, :3] = pose[:3, :3].T
    return read


def test_right_poses_pass(views, pairs):
    found = check_poses(views, pairs)
    assert found.share > 0.95 and found.pairs >= 10 and found.matches > 500


@pytest.mark.parametrize('unit', [1e-3, 1e3])
def test_the_unit_of_poses_does_not_matter(views, pairs, unit):
    world = np.eye(4)
    world[:3, 3] = 500123.4, 4649776.2, 310.0
    poses = [world @ pose for pose in POSES]
    for pose in poses:
        pose[:3, 3] *= unit
    assert check_poses(with_poses(views, poses), pairs).share > 0.95


@pytest.mark.parametrize(
    ('convention', 'options'),
    [
        (np.linalg.inv, '--pose-direction camera-from-world'),
        (transposed, '--pose-direction transposed'),
        (lambda pose: pose @ OPENGL, '--pose-axes opengl'),
        (
            lambda pose: np.linalg.inv(pose @ OPENGL),
            '--pose-direction camera-from-world --pose-axes opengl',
        ),
        (lambda pose: pose @ OPTICAL_FROM_BODY, '--pose-axes body'),
        (lambda pose: FLIP_Y @ pose @ FLIP_Y, '--pose-axes unity'),
        (lambda pose: pose @ QUARTER_TURN, '--pose-axes dlf'),
        (wxyz, '--pose-quaternion wxyz'),
    ],
    ids=[
        'inverse',
        'transposed',
        'opengl',
        'inverse opengl',
        'body',
        'unity',
        'quarter turn',
        'wxyz',
    ],
)
def test_a_convention_is_named(views, pairs, convention, options):
    given = with_poses(views, [convention(pose) for pose in POSES])
    with pytest.raises(MappingError, match='poses and images do not fit') as told:
        check_poses(given, pairs)
    assert f': use {options}, or --trust-poses' in str(told.value)
    assert '\n' not in str(told.value)


def test_noise_does_not_hide_a_convention(views, pairs):
    given = with_poses(views, [pose @ OPENGL for pose in noisy(POSES, 0.4, 0.01)])
    with pytest.raises(MappingError, match='use --pose-axes opengl,'):
        check_poses(given, pairs)


@pytest.mark.parametrize('factor', [2.0, 0.5])
def test_another_focal_length_is_named(views, pairs, factor):
    matrix = np.diag([factor, factor, 1.0]) @ MATRIX
    matrix[:2, 2] = MATRIX[:2, 2]
    given = [replace(v, matrix=matrix, focal_px=factor * FOCAL_PX) for v in views]
    with pytest.raises(MappingError, match=rf'given: {factor * FOCAL_PX:.0f} px') as told:
        check_poses(given, pairs)
    named = float(str(told.value).split('use --focal ')[1].split(',')[0])
    assert named == pytest.approx(FOCAL_PX, rel=0.03)


def test_focal_lengths_of_each_image_name_the_factor(views, pairs):
    given = []
    for index, view in enumerate(views):
        matrix = MATRIX.copy()
        matrix[[0, 1], [0, 1]] *= 2
        given.append(replace(view, matrix=matrix, focal_px=2 * FOCAL_PX + 20 * (index % 2)))
    with pytest.raises(MappingError, match=r'focal lengths 0\.\d+ times .* --camera-info'):
        check_poses(given, pairs)


@pytest.mark.parametrize('frames', [4, -4])
def test_poses_that_lag_behind_are_told(views, pairs, frames):
    poses = [POSES[min(max(index - frames, 0), len(POSES) - 1)] for index in range(len(POSES))]
    with pytest.raises(MappingError, match='late' if frames > 0 else 'early') as told:
        check_poses(with_poses(views, poses), pairs)
    named = float(str(told.value).split('use --pose-delay ')[1].split(',')[0])
    assert named == pytest.approx(0.1 * frames, abs=0.02)


def test_shuffled_poses_fit_no_convention(views, pairs):
    poses = [POSES[index * 7 % len(POSES)] for index in range(len(POSES))]
    with pytest.raises(MappingError, match=r'no known convention .* do not belong to these'):
        check_poses(with_poses(views, poses), pairs)


def test_trusted_poses_are_learned_from(views, pairs, caplog):
    found = check_poses(with_poses(views, [pose @ OPENGL for pose in POSES]), pairs, trusted=True)
    assert found.share < 0.5 and '--pose-axes opengl' in caplog.text


def test_coarse_poses_are_only_warned_of(views, pairs, caplog):
    given = with_poses(views, noisy(POSES, 0.8, 0.03))
    assert check_poses(given, pairs).share < 0.8
    assert 'refined with --refine-poses' in caplog.text
    caplog.clear()
    assert check_poses(given, pairs, coarse=True).share > 0.8 and not caplog.text


def test_ten_frames_are_enough(views):
    few = views[:10]
    pairs = find_pairs(few)
    assert check_poses(few, pairs).share > 0.95
    with pytest.raises(MappingError, match='--pose-direction camera-from-world'):
        check_poses(with_poses(few, map(np.linalg.inv, POSES[:10])), pairs)


def test_the_order_of_photographs_says_nothing(views):
    mixed = [views[index] for index in np.random.default_rng(0).permutation(len(views))]
    assert check_poses(mixed, find_pairs(mixed)).share > 0.95


def test_two_sessions_with_worlds_of_their_own_pass(views, pairs):
    poses = [
        np.linalg.inv(POSES[0]) @ pose if index < 12 else pose for index, pose in enumerate(POSES)
    ]
    assert check_poses(with_poses(views, poses), pairs).share > 0.8


def test_images_that_share_nothing_are_told(views, caplog):
    rng = np.random.default_rng(0)
    blank = [
        replace(view, image=rng.integers(0, 255, texture(0).shape, np.uint8)[:240, :320])
        for view in views[:5]
    ]
    assert check_poses(blank, find_pairs(blank)) is None
    assert '0 pairs of images share enough features' in caplog.text
