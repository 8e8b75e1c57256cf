# SPDX-License-Identifier: Apache-2.0
"""Seeds of the localizer, judged by the rules that AMCL has for /initialpose."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.nodes.seeding import seed_covariance, seed_message
from dsac_ros.recovery.config import SeedConfig

LIMITS = SeedConfig()
POSE = np.eye(4)
POSE[:3, 3] = 1.0, -2.0, 0.1


def full_covariance(scale: float) -> np.ndarray:
    """A covariance whose entries off the diagonal are partly negative."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(6, 6)) * scale
    return rows @ rows.T


@pytest.mark.parametrize('scale', [0.0, 1e-6, 0.1, 10.0, 1e8])
def test_covariance_is_what_nav2_accepts(scale):
    covariance = full_covariance(scale)
    message = seed_message('map', 5_000_000_001, POSE, covariance, LIMITS)
    values = np.array(message.pose.covariance).reshape(6, 6)
    assert (values >= 0).all() and (values <= 1e9).all()
    assert (np.diag(values) > 0).all()
    assert np.array_equal(values, np.diag(np.diag(values)))


def test_frame_and_stamp_are_exact():
    message = seed_message('map', 5_000_000_001, POSE, full_covariance(0.1), LIMITS)
    assert message.header.frame_id == 'map'
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 1)
    q = message.pose.pose.orientation
    assert abs(q.x**2 + q.y**2 + q.z**2 + q.w**2 - 1) < 1e-9


def test_certain_fix_has_the_floors():
    found = seed_covariance(np.diag([1e-6] * 6), LIMITS)
    assert found[0, 0] == pytest.approx(LIMITS.seed_min_std_xy**2)
    assert np.degrees(np.sqrt(found[5, 5])) == pytest.approx(LIMITS.seed_min_std_yaw)


def test_uncertain_fix_is_capped():
    found = seed_covariance(np.diag([100.0] * 6), LIMITS)
    assert found[0, 0] == pytest.approx(LIMITS.seed_max_std_xy**2)
    assert np.degrees(np.sqrt(found[5, 5])) == pytest.approx(LIMITS.seed_max_std_yaw)


def test_ellipse_is_covered_in_both_axes():
    covariance = np.diag([1e-4] * 6)
    covariance[:2, :2] = [[0.04, 0.039], [0.039, 0.04]]  # a sigma of 0.28 m along the diagonal
    found = seed_covariance(covariance, LIMITS)
    assert np.sqrt(found[0, 0]) == pytest.approx(2 * np.sqrt(0.079))
    assert found[0, 0] == found[1, 1]
