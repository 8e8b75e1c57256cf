# SPDX-License-Identifier: Apache-2.0
"""Covariances between rigidly connected frames, against samples and exact moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsac_ros.geometry.covariance import (
    covariance_at,
    inflated_covariance,
    is_covariance,
    rotated_covariance,
)
from dsac_ros.geometry.rotation import matrix_from_axis_angle


def random_covariance(seed, scale=1e-4):
    root = np.random.default_rng(seed).normal(size=(6, 6))
    return scale * root @ root.T


@pytest.mark.parametrize('seed', range(3))
def test_covariance_at_a_lever_matches_moved_samples(seed):
    covariance = random_covariance(seed, 1e-6)
    lever = np.random.default_rng(seed + 10).normal(size=3)
    samples = np.random.default_rng(1).multivariate_normal(np.zeros(6), covariance, 200_000)
    turns = matrix_from_axis_angle(torch.from_numpy(samples[:, 3:].copy())).numpy()
    moved = np.hstack([samples[:, :3] + turns @ lever - lever, samples[:, 3:]])
    expected = np.cov(moved.T)
    assert np.allclose(
        covariance_at(covariance, lever), expected, atol=0.02 * np.abs(expected).max()
    )


def test_a_lever_there_and_back_changes_nothing():
    covariance, lever = random_covariance(5), np.array([0.3, -0.2, 1.1])
    back = covariance_at(covariance_at(covariance, lever), -lever)
    assert np.allclose(back, covariance, rtol=1e-9, atol=1e-15)


def test_rotation_by_90_degrees_exchanges_x_and_y():
    covariance = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert np.allclose(np.diag(rotated_covariance(covariance, turn)), [2, 1, 3, 5, 4, 6])


def test_floors_raise_only_what_lies_below_them():
    covariance = np.diag([1.0, 1e-8, 1.0, 1.0, 1.0, 1e-8])
    covariance[0, 2] = covariance[2, 0] = 0.5
    inflated = inflated_covariance(covariance, 2.0, np.full(6, 0.1))
    assert np.allclose(np.diag(inflated), [2.0, 0.01, 2.0, 2.0, 2.0, 0.01])
    assert inflated[0, 2] == 1.0
    assert is_covariance(inflated)


@pytest.mark.parametrize(
    'covariance',
    [
        np.full((6, 6), np.nan),
        np.diag([1, 1, 1, 1, 1, -1.0]),
        np.eye(3),
        np.eye(6) + np.eye(6, k=1),
    ],
)
def test_not_a_covariance(covariance):
    assert not is_covariance(covariance)
