# SPDX-License-Identifier: Apache-2.0
"""geometry/pose_convention.py: poses of other programs become ours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dsac_ros.config import PoseConvention, build
from dsac_ros.errors import ConfigError
from dsac_ros.geometry.pose_convention import (
    AXES,
    axes_from_optical,
    is_mirrored,
    world_from_camera,
)

POSES = np.tile(np.eye(4), (5, 1, 1))
POSES[:, :3, :3] = Rotation.random(5, random_state=0).as_matrix()
POSES[:, :3, 3] = np.random.default_rng(0).normal(size=(5, 3))
FLIP_Y = np.diag([1.0, -1, 1, 1])


def same(given, **convention):
    np.testing.assert_allclose(
        world_from_camera(given, PoseConvention(**convention)), POSES, atol=1e-12
    )


def test_our_own_convention_changes_nothing():
    same(POSES)
    same(POSES, axes='opencv')
    same(POSES, axes='rdf')


def test_the_inverse_and_the_transposed():
    same(np.linalg.inv(POSES), direction='camera-from-world')
    given = POSES.copy()
    given[:, :3, :3] = np.swapaxes(POSES[:, :3, :3], 1, 2)
    same(given, direction='transposed')


@pytest.mark.parametrize(
    'axes, optical_from_axes',
    [
        ('opengl', np.diag([1.0, -1, -1])),
        ('rub', np.diag([1.0, -1, -1])),
        ('body', [[0, -1, 0], [0, 0, -1], [1, 0, 0]]),
    ],
)
def test_right_handed_axes_of_a_camera(axes, optical_from_axes):
    given = POSES.copy()
    given[:, :3, :3] = POSES[:, :3, :3] @ optical_from_axes
    same(given, axes=axes)


def test_left_handed_worlds():
    same(FLIP_Y @ POSES @ FLIP_Y, axes='unity')
    same(FLIP_Y @ POSES, axes='opencv')  # the world alone is mirrored
    same(POSES @ FLIP_Y, axes='unity')  # the camera alone is


def test_inverse_and_opengl_axes_are_undone_in_order():
    same(
        np.linalg.inv(POSES @ np.diag([1.0, -1, -1, 1])),
        direction='camera-from-world',
        axes='opengl',
    )


def test_quaternions_with_w_first():
    given = POSES.copy()
    given[:, :3, :3] = Rotation.from_quat(
        np.roll(Rotation.from_matrix(POSES[:, :3, :3]).as_quat(), 1, axis=1)
    ).as_matrix()
    same(given, quaternion='wxyz')


def test_scale_comes_before_the_inverse():
    given = np.linalg.inv(POSES)
    given[:, :3, 3] *= 1000
    same(given, direction='camera-from-world', scale=0.001)


def test_every_result_is_a_rigid_motion():
    assert len(AXES) == 48 == len({axes_from_optical(axes).tobytes() for axes in AXES})
    for axes in AXES:
        for given in (POSES, FLIP_Y @ POSES):
            assert not is_mirrored(world_from_camera(given, PoseConvention(axes=axes))).any()


def test_what_is_no_convention_is_refused():
    with pytest.raises(ConfigError, match="axes of poses are 'rrf', expected opencv, opengl"):
        axes_from_optical('rrf')
    with pytest.raises(ConfigError, match='direction is'):
        build(PoseConvention, {'direction': 'c2w'})
