# SPDX-License-Identifier: Apache-2.0
"""correction.py: map -> odom between poses, its gate, and its bounded speed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsac_ros import config
from dsac_ros.config import CorrectionConfig
from dsac_ros.correction import Correction, motion_between, step
from dsac_ros.errors import ConfigError
from dsac_ros.geometry import se3
from dsac_ros.geometry.planar import planar

SECOND = 1_000_000_000
TICK = 0.05  # 20 Hz


def pose(x=0.0, y=0.0, yaw=0.0, roll=0.0, z=0.0):
    twist = torch.tensor([0.0, 0, 0, 0, 0, yaw], dtype=torch.float64)
    tilt = torch.tensor([0.0, 0, 0, roll, 0, 0], dtype=torch.float64)
    matrix = (se3.exp(twist) @ se3.exp(tilt)).numpy()
    matrix[:3, 3] = x, y, z
    return matrix


def correction(planar=True, **changed):
    return Correction(config.build(CorrectionConfig, changed), planar)


FAR = pose(100.0, 50.0, 2.0)  # the robot in odometry, far from its origin


def ticks(found, odom_from_base, count, begin=SECOND):
    """The robot's poses in the map at 20 Hz."""
    return [
        found.advance(begin + round(n * TICK * SECOND), odom_from_base) @ odom_from_base
        for n in range(count)
    ]


def test_without_settings_the_last_pose_holds_at_once():
    found = correction()
    assert found.advance(1, None) is None
    for target in (pose(1.0, 2.0, 0.3), pose(-4.0, 2.0, -3.0)):
        assert found.add(target, FAR, SECOND) == ''
        assert np.allclose(found.advance(SECOND, FAR) @ FAR, target)


def test_a_tilted_pose_keeps_its_place_in_the_plane():
    """Its roll, seen from the origin of odometry, must not shift the robot."""
    seen = pose(3.0, 4.0, 0.5, roll=0.1, z=0.2)
    found = correction()
    found.add(seen, FAR, SECOND)
    flat = found.advance(SECOND, FAR)
    assert np.allclose(flat, planar(flat))
    moved = flat @ FAR
    assert np.allclose(moved[:2, 3], [3.0, 4.0], atol=1e-9)
    shifted = planar(seen @ np.linalg.inv(FAR)) @ FAR
    assert np.linalg.norm(shifted[:2, 3] - [3.0, 4.0]) > 0.2


def test_in_space_all_of_the_pose_holds():
    seen = pose(3.0, 4.0, 0.5, roll=0.1, z=0.2)
    found = correction(planar=False)
    found.add(seen, FAR, SECOND)
    assert np.allclose(found.advance(SECOND, FAR) @ FAR, seen)


@pytest.mark.parametrize('planar', [True, False])
def test_a_correction_moves_at_a_bounded_rate(planar):
    found = correction(planar, max_correction_rate=0.2)
    found.add(pose(), FAR, 1)
    found.advance(SECOND, FAR)
    found.add(pose(0.3, 0.4, 0.1), FAR, 2)
    way = ticks(found, FAR, 80, SECOND)
    steps = [np.linalg.norm(b[:3, 3] - a[:3, 3]) for a, b in zip(way, way[1:])]
    turns = [motion_between(a, b, np.zeros(3)).angle for a, b in zip(way, way[1:])]
    assert max(steps) <= 0.2 * TICK + 1e-9 and max(turns) <= 0.2 * TICK + 1e-9
    assert np.allclose(way[-1], pose(0.3, 0.4, 0.1), atol=1e-5)
    assert np.allclose(way[0], pose())
    # 0.5 m in a straight line, although the origin of odometry is 112 m away
    assert sum(steps) == pytest.approx(0.5, abs=1e-6)
    assert 49 <= np.count_nonzero(np.array(steps) > 1e-7) <= 51


def test_smoothing_approaches_exponentially():
    found = correction(smoothing_tau=1.0)
    found.add(pose(), FAR, 1)
    found.advance(SECOND, FAR)
    found.add(pose(1.0, 0.0, math.radians(90)), FAR, 2)
    way = ticks(found, FAR, 21, SECOND)
    assert way[20][0, 3] == pytest.approx(1.0 - math.exp(-1.0), abs=1e-9)
    yaw = math.atan2(way[20][1, 0], way[20][0, 0])
    assert yaw == pytest.approx(math.radians(90) * (1.0 - math.exp(-1.0)), abs=1e-9)


def test_smoothing_averages_noise():
    generator = np.random.default_rng(0)
    found, raw = correction(smoothing_tau=2.0), correction()
    shown = {found: [], raw: []}
    for n in range(1, 600):
        noisy = pose(*generator.normal(0.0, [0.1, 0.1, 0.02]))
        for one, way in shown.items():
            one.add(noisy, pose(), n * SECOND // 5)
            way += ticks(one, pose(), 4, n * SECOND // 5)
    spread = {one: np.std([p[0, 3] for p in way[400:]]) for one, way in shown.items()}
    assert spread[found] < 0.4 * spread[raw]


def test_rotation_takes_the_short_way():
    found = correction(max_correction_rate=1.0)
    found.add(pose(yaw=math.radians(170)), pose(), 1)
    found.advance(SECOND, pose())
    found.add(pose(yaw=math.radians(-170)), pose(), 2)
    half = found.advance(SECOND + round(math.radians(10) * SECOND), pose())
    assert np.allclose(half[:2, :2], -np.eye(2), atol=1e-6)


def test_a_far_pose_is_rejected_until_three_agree():
    found = correction(max_jump=0.5)
    assert found.add(pose(1.0), FAR, 1) == ''
    kidnapped = pose(9.0, 4.0, 1.0)
    for n in range(2):
        driven = pose(0.15 * n)  # it drives on, and poses agree through odometry
        reason = found.add(kidnapped @ driven, FAR @ driven, 2 + n)
        assert f'{n + 1} of 3' in reason and 'max_jump' in reason
        assert np.allclose(found.advance(SECOND, FAR) @ FAR, pose(1.0))
    driven = pose(0.3)
    assert found.add(kidnapped @ driven, FAR @ driven, 4) == ''
    assert np.allclose(found.advance(2 * SECOND, FAR) @ FAR, kidnapped)


def test_a_kidnapped_robot_is_not_dragged_there():
    """A correction that several poses agree on replaces the other at once, bounded rate or not."""
    found = correction(max_jump=0.5, max_correction_rate=0.1, smoothing_tau=1.0)
    found.add(pose(), FAR, 1)
    found.advance(SECOND, FAR)
    for n in range(3):
        driven = pose(0.15 * n)
        found.add(pose(9.0) @ driven, FAR @ driven, 2 + n)
    assert np.allclose(found.advance(SECOND + 1, FAR) @ FAR, pose(9.0), atol=1e-6)


@pytest.mark.parametrize('moved', [pose(0.25), pose(yaw=math.radians(12.0))])
def test_a_robot_at_rest_repeats_one_piece_of_evidence(moved):
    found, cautious = correction(max_jump=0.5, viewpoint_change_xy=0.0), correction(max_jump=0.5)
    for one in (found, cautious):
        assert one.add(pose(), FAR, 1) == ''
        reasons = [one.add(pose(9.0), FAR, 2 + n) for n in range(5)]
    assert found.target is not None and np.allclose(found.target @ FAR, pose(9.0))
    assert '2 of 3' in reasons[1] and 'must move 0.2 m or turn 10 deg' in reasons[4]
    assert np.allclose(cautious.advance(SECOND, FAR) @ FAR, pose())
    assert cautious.add(pose(9.0) @ moved, FAR @ moved, 9) == ''
    assert np.allclose(cautious.advance(2 * SECOND, FAR) @ FAR, pose(9.0))


@pytest.mark.parametrize(
    'others',
    [
        [pose(9.0), pose(0.1), pose(9.0), pose(0.0), pose(9.0), pose(9.0)],
        [pose(9.0), pose(-7.0), pose(3.0, 8.0), pose(9.0, 5.0), pose(20.0)],
        [pose(yaw=1.0), pose(yaw=2.0), pose(yaw=3.0), pose(yaw=-1.0)],
    ],
    ids=['good ones between', 'scattered', 'turned'],
)
def test_wrong_poses_that_do_not_agree_change_nothing(others):
    found = correction(max_jump=0.5)
    found.add(pose(), FAR, 1)
    for n, other in enumerate(others):
        rejected = bool(found.add(other, FAR, 2 + n))
        assert rejected == (motion_between(pose(), other, np.zeros(3)).size > 0.5)
    moved = found.advance(SECOND, FAR) @ FAR
    assert motion_between(pose(), moved, np.zeros(3)).size <= 0.5


def test_old_poses_confirm_nothing():
    found = correction(max_jump=0.5)
    found.add(pose(), FAR, SECOND)
    for minute in range(1, 6):
        assert '1 of 3' in found.add(pose(9.0), FAR, minute * 60 * SECOND)


def test_reset_forgets():
    found = correction(max_jump=0.5, max_correction_rate=0.1)
    found.add(pose(), FAR, 1)
    found.advance(SECOND, FAR)
    found.reset()
    assert found.advance(2 * SECOND, FAR) is None and found.target is None
    assert found.add(pose(9.0), FAR, 1) == ''
    assert np.allclose(found.advance(2 * SECOND, FAR) @ FAR, pose(9.0))


def test_a_clock_that_goes_back_moves_nothing():
    found = correction(max_correction_rate=0.1)
    found.add(pose(), FAR, 1)
    found.advance(10 * SECOND, FAR)
    found.add(pose(1.0), FAR, 2)
    assert np.allclose(found.advance(5 * SECOND, FAR) @ FAR, pose())


numbers = st.floats(-100, 100)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(numbers, min_size=6, max_size=6),
    st.lists(numbers, min_size=3, max_size=3),
    st.floats(0.0, 5.0),
    st.floats(0.01, 5.0),
    st.floats(0.01, 1.0),
)
def test_a_step_is_rigid_bounded_and_gets_nearer(twist, point, tau, rate, elapsed):
    end = se3.exp(torch.tensor(twist, dtype=torch.float64) / 30.0).numpy()
    start, point = pose(1.0, -2.0, 3.0), np.array(point)
    limits = config.build(CorrectionConfig, {'smoothing_tau': tau, 'max_correction_rate': rate})
    moved = step(start, end, point, elapsed, limits)
    assert np.allclose(moved[:3, :3] @ moved[:3, :3].T, np.eye(3), atol=1e-9)
    done, left = motion_between(start, moved, point), motion_between(moved, end, point)
    before = motion_between(start, end, point)
    assert done.distance <= rate * elapsed + 1e-6 and done.angle <= rate * elapsed + 1e-6
    assert left.distance <= before.distance + 1e-6 and left.angle <= before.angle + 1e-6


@pytest.mark.parametrize('name', ['smoothing_tau', 'max_jump', 'max_correction_rate'])
def test_settings_have_a_range(name):
    with pytest.raises(ConfigError, match=f'{name} is -1'):
        config.build(CorrectionConfig, {name: -1.0})
