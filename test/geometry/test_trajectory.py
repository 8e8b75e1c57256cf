# SPDX-License-Identifier: Apache-2.0
"""Interpolated within its samples, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsac_ros.geometry import se3
from dsac_ros.geometry.trajectory import Trajectory

MS = 1_000_000


def pose(*twist: float) -> np.ndarray:
    return se3.exp(torch.tensor(twist, dtype=torch.float64)).numpy()


@pytest.fixture
def samples():
    generator = np.random.default_rng(0)
    stamps = 1_700_000_000_000_000_000 + np.arange(10) * 100 * MS
    return stamps, np.stack([pose(*generator.normal(size=6)) for _ in stamps])


def test_samples_come_back_exactly(samples):
    stamps, poses = samples
    trajectory = Trajectory(stamps, poses)
    assert len(trajectory) == 10
    for stamp, expected in zip(stamps, poses):
        np.testing.assert_array_equal(trajectory.at(int(stamp)), expected)


@pytest.mark.parametrize('angle', [1e-9, 0.3, 3.0])
def test_a_constant_motion_is_followed_exactly(angle):
    trajectory = Trajectory(
        np.array([0, 100 * MS]), np.stack([pose(0, 0, 0, 0, 0, 0), pose(0, 0, 0, angle, 0, 0)])
    )
    np.testing.assert_allclose(
        trajectory.at(25 * MS), pose(0, 0, 0, 0.25 * angle, 0, 0), atol=1e-12
    )
    lifted = np.stack([np.eye(4), np.eye(4)])
    lifted[1, :3, 3] = (4, -8, 2)
    np.testing.assert_allclose(
        Trajectory(np.array([0, 100 * MS]), lifted).at(75 * MS)[:3, 3], (3, -6, 1.5)
    )


def test_nothing_is_extrapolated(samples):
    trajectory = Trajectory(*samples)
    assert trajectory.at(int(samples[0][0]) - 2000) is None
    assert trajectory.at(int(samples[0][-1]) + 2000) is None
    # A stamp that was rounded to microseconds on its way is still the same stamp.
    np.testing.assert_array_equal(trajectory.at(int(samples[0][-1]) + 900), samples[1][-1])
    assert trajectory.at(int(samples[0][0]) + 1, max_gap_ns=99 * MS) is None
    assert trajectory.at(int(samples[0][0]) + 1, max_gap_ns=100 * MS) is not None
    assert Trajectory(np.zeros(0), np.zeros((0, 4, 4))).at(0) is None


def test_order_duplicates_and_nan_do_not_matter(samples):
    stamps, poses = samples
    shuffled = np.random.default_rng(1).permutation(10)
    broken = np.full((1, 4, 4), np.nan)
    messy = Trajectory(
        np.concatenate([stamps[shuffled], stamps[:1], stamps[4:5]]),
        np.concatenate([poses[shuffled], poses[5:6], broken]),
    )
    assert len(messy) == 10
    np.testing.assert_allclose(
        messy.at(int(stamps[4]) + 30 * MS), Trajectory(stamps, poses).at(int(stamps[4]) + 30 * MS)
    )


def test_as_many_stamps_as_poses():
    with pytest.raises(ValueError, match='N=3'):
        Trajectory(np.arange(3), np.zeros((2, 4, 4)))
