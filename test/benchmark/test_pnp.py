# SPDX-License-Identifier: Apache-2.0
"""The peers of `dsac bench ransac` are called as they should be: easy data, small errors."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.benchmark import pnp
from dsac_ros.benchmark.ransac_comparison import as_arrays, compare_methods, pose_error
from dsac_ros.benchmark.synthetic_correspondences import synthetic_correspondences
from dsac_ros.config import RansacConfig


@pytest.mark.parametrize(
    'solve',
    [
        pnp.opencv_ransac_pose,
        pnp.opencv_usac_pose,
        pytest.param(pnp.poselib_pose, marks=pytest.mark.benchmark),
        pytest.param(pnp.pycolmap_pose, marks=pytest.mark.benchmark),
    ],
)
def test_a_peer_finds_the_pose_of_a_wall(solve):
    image, truth = synthetic_correspondences(1, inliers=0.9, noise=0.002)
    distance, angle = pose_error(solve(*as_arrays(image)), truth)
    assert distance < 0.01
    assert np.degrees(angle) < 0.3


def test_too_few_inliers_are_no_pose():
    image, _ = synthetic_correspondences(1)
    world, pixels, matrix, _ = as_arrays(image)
    turn, shift = np.zeros((3, 1)), np.zeros((3, 1))
    assert pnp.refined(world, pixels, matrix, turn, shift, None) is None
    assert pnp.refined(world, pixels, matrix, turn, shift, np.arange(3)) is None


def test_a_race_has_a_row_for_every_method_and_ratio():
    rows = list(compare_methods([0.8, 0.6], 2, RansacConfig(hypotheses=128), ['cpu']))
    methods = {'dsac', *pnp.peers()}
    assert {(row.method, row.inlier_ratio) for row in rows} == {
        (name, ratio) for name in methods for ratio in (0.8, 0.6)
    }
    ours = [row for row in rows if row.method == 'dsac']
    assert all(row.success == 1.0 and row.median_error_m < 0.03 for row in ours)
    assert all(0.0 < row.ms_p50 <= row.ms_p95 for row in rows)
