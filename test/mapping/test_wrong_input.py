# SPDX-License-Identifier: Apache-2.0
"""Wrong input on usual motions: each is noticed and named, or shown to do no harm."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from drives import FOCAL_PX, STEP_NS, views_of
from scipy.spatial.transform import Rotation

from dsac_ros.errors import PoseMismatchError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.mapping.sfm.pose_check import check_poses
from dsac_ros.mapping.sfm.view_pairs import find_pairs

COUNT = 30
OPENGL, FLIP_Y = np.diag([1.0, -1, -1, 1]), np.diag([1.0, -1, 1, 1])
MOTIONS = ('forward', 'sideways', 'turning', 'hand-held')


def poses_of(motion):
    """world_from_camera (4, 4) of a camera that shakes by a degree and two centimetres."""
    rng = np.random.default_rng(3)
    shake = rng.normal(size=(COUNT, 6)) * [0.02, 0.02, 0.02, 1.0, 1.0, 1.0]
    poses = []
    for time, (x, y, z, pitch, yaw, roll) in zip(np.linspace(0.0, 1.0, COUNT), shake):
        if motion == 'forward':
            z += 1.5 * time**2
        elif motion == 'sideways':
            x += 1.2 * (time - 0.5)
        elif motion == 'turning':
            yaw += 40 * (time - 0.5)
        else:
            x, y, z = x + 0.5 * np.sin(9 * time), y + 0.3 * np.cos(7 * time), z + 0.6 * time
            pitch, yaw, roll = pitch + 8 * np.sin(8 * time), yaw + 9 * np.sin(11 * time), 4 * roll
        pose = np.eye(4)
        turn = Rotation.from_euler('yxz', [yaw, pitch, roll], degrees=True)
        pose[:3, :3], pose[:3, 3] = turn.as_matrix(), (x, y, z)
        poses.append(pose)
    return poses


@cache
def scene(motion):
    """The views of a motion and their pairs."""
    views = views_of(poses_of(motion))
    return views, find_pairs(views)


def with_poses(views, change):
    return [replace(one, scene_from_camera=change(one.scene_from_camera)) for one in views]


def wxyz(pose):
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
    read = pose.copy()
    read[:3, :3] = Rotation.from_quat([w, x, y, z]).as_matrix()
    return read


def with_focal(views, factor):
    changed = []
    for one in views:
        matrix = one.matrix.copy()
        matrix[[0, 1], [0, 1]] *= factor
        changed.append(replace(one, matrix=matrix, focal_px=factor * one.focal_px))
    return changed


def late(views, seconds):
    """The views with the poses of another moment, held at the ends."""
    stamps = np.array([one.stamp_ns for one in views])
    track = Trajectory(stamps, np.stack([one.scene_from_camera for one in views]))
    moments = np.clip(stamps - round(1e9 * seconds), stamps[0], stamps[-1])
    poses = [track.at(int(moment), COUNT * STEP_NS) for moment in moments]
    return [replace(one, scene_from_camera=pose) for one, pose in zip(views, poses, strict=True)]


WRONG = {
    'world to camera': (lambda views: with_poses(views, np.linalg.inv), 'camera-from-world'),
    'wxyz': (lambda views: with_poses(views, wxyz), 'quaternion wxyz'),
    'OpenGL': (lambda views: with_poses(views, lambda pose: pose @ OPENGL), 'axes opengl'),
    'left-handed': (
        lambda views: with_poses(views, lambda pose: FLIP_Y @ pose @ FLIP_Y),
        'axes unity',
    ),
    'short focal': (lambda views: with_focal(views, 0.85), f'f = {FOCAL_PX:.0f}'),
    'long focal': (lambda views: with_focal(views, 1.15), f'f = {FOCAL_PX:.0f}'),
    'late': (lambda views: late(views, 0.5), 'late'),
    'early': (lambda views: late(views, -0.5), 'early'),
}


@pytest.mark.parametrize('motion', MOTIONS)
def test_right_input_is_no_alarm(motion):
    views, pairs = scene(motion)
    assert check_poses(views, pairs).share > 0.95


@pytest.mark.parametrize('wrong', WRONG)
@pytest.mark.parametrize('motion', MOTIONS)
def test_wrong_input_is_named(motion, wrong):
    views, pairs = scene(motion)
    change, words = WRONG[wrong]
    with pytest.raises(PoseMismatchError) as told:
        check_poses(change(views), pairs)
    assert words in str(told.value), told.value


def test_trusted_poses_go_on(caplog):
    views, pairs = scene('hand-held')
    found = check_poses(with_focal(views, 0.87), pairs, trusted=True)
    assert found is not None and 'use --focal' in caplog.text
