# SPDX-License-Identifier: Apache-2.0
"""The gate on the covariance of poses."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.mapping.data.pose_uncertainty import ground_deviations, too_uncertain


def covariance(xx=0.01, yy=0.04, xy=0.0, yaw=0.0025):
    matrix = np.zeros((6, 6))
    matrix[0, 0], matrix[1, 1], matrix[0, 1], matrix[1, 0], matrix[5, 5] = xx, yy, xy, xy, yaw
    return matrix


def test_deviations_are_those_of_the_longer_axis():
    assert ground_deviations(covariance()) == pytest.approx((0.2, 0.05))


def test_a_correlated_position_has_a_long_axis():
    assert ground_deviations(covariance(0.02, 0.02, 0.02))[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ('limits', 'expected'),
    [((0.0, 0.0), ''), ((0.21, 0.06), ''), ((0.19, 0.0), 'position'), ((0.0, 0.04), 'heading')],
)
def test_limits(limits, expected):
    reason = too_uncertain(covariance(), *limits, 'amcl_pose')
    assert (expected in reason) if expected else not reason


@pytest.mark.parametrize(
    'bad',
    [
        np.zeros((6, 6)),
        covariance(xx=-1.0),
        covariance(yaw=-1.0),
        covariance(xx=np.nan),
        covariance(yaw=np.inf),
        covariance(xx=0.01, yy=0.01, xy=5.0),
    ],
)
def test_what_is_no_covariance_is_unknown(bad):
    assert 'unknown' in too_uncertain(bad, 0.1, 0.0, 'amcl_pose')
    assert not too_uncertain(bad, 0.0, 0.0, 'amcl_pose')


def test_a_missing_covariance_says_what_to_do():
    reason = too_uncertain(None, 0.1, 0.1, '/amcl_pose')
    assert '/amcl_pose' in reason and 'set max_pose_std_xy and max_pose_std_yaw to 0' in reason
