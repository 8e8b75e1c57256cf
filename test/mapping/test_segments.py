# SPDX-License-Identifier: Apache-2.0
"""Segments of a recording: jumps of map -> odom, and drift that is none."""

from __future__ import annotations

import numpy as np
import torch

from dsac_ros.geometry.se3 import exp
from dsac_ros.mapping.data.segments import Segments, correction


def pose(x=0.0, y=0.0, yaw=0.0):
    turn = exp(torch.tensor([0, 0, 0, 0, 0, yaw], dtype=torch.float64)).numpy()
    turn[:2, 3] = x, y
    return turn


def follow(pairs, max_jump=0.1):
    """Segment reasons of keyframes (map_from_camera, odom_from_camera)."""
    state, reasons = Segments(), []
    for map_from_camera, odom_from_camera in pairs:
        state, reason = state.after(map_from_camera, odom_from_camera, max_jump)
        reasons.append(reason)
    return state, reasons


def test_a_recording_begins_a_segment():
    state, reasons = follow([(pose(), pose())] * 2)
    assert reasons == ['', None] and state.count == 1


def test_a_recording_goes_on_counting():
    state, reason = Segments(4).after(pose(), None, 0.1)
    assert (state.count, reason) == (5, '')


def test_drift_that_is_corrected_smoothly_is_no_jump():
    pairs = [(pose(0.1 * n), pose(0.1 * n, 0.05 * n)) for n in range(20)]
    assert follow(pairs)[0].count == 1


def test_a_jump_is_told_once():
    pairs = [(pose(0.1 * n, 0.5 * (n >= 3)), pose(0.1 * n)) for n in range(6)]
    state, reasons = follow(pairs)
    assert state.count == 2 and [bool(reason) for reason in reasons] == [0, 0, 0, 1, 0, 0]
    assert 'moved by 0.50 m' in reasons[3]


def test_a_jump_is_measured_at_the_camera():
    """A correction by 1 mrad moves the origin of odometry 100 m away by 10 cm, the camera not."""
    before, after = pose(), pose(yaw=0.001)
    far = pose(x=200.0)
    about_camera = far @ after @ np.linalg.inv(far) @ before
    assert correction(about_camera @ far, far) < 0.003
    state, _ = follow([(far, far), (about_camera @ far, far)])
    assert state.count == 1


def test_a_turn_on_the_spot_is_a_jump():
    # z of the camera points forward: a camera that looks along x
    camera = pose()
    camera[:3, :3] = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    state, reasons = follow([(camera, camera), (pose(yaw=0.1) @ camera, camera)])
    assert state.count == 2 and 'moved by 0.20 m' in reasons[1]


def test_jumps_across_keyframes_without_odometry():
    pairs = [(pose(), pose()), (pose(), None), (pose(0.5), pose())]
    assert [bool(reason) for reason in follow(pairs)[1]] == [False, False, True]


def test_the_gate_can_be_off():
    assert follow([(pose(), pose()), (pose(9.0), pose())], max_jump=0.0)[0].count == 1
