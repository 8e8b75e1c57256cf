# SPDX-License-Identifier: Apache-2.0
"""Keyframes of a drive: what is kept and why the rest is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dsac_ros.geometry.se3 import exp
from dsac_ros.mapping.data.keyframes import (
    Coverage,
    KeyframeConfig,
    KeyframeGate,
    Verdict,
    angle_between,
    sharpness,
)

SECOND = 1_000_000_000


def pose(x=0.0, yaw=0.0):
    return exp(torch.tensor([x, 0, 0, 0, 0, yaw], dtype=torch.float64)).numpy()


def image(seed):
    return np.random.default_rng(seed).integers(0, 255, (120, 160), dtype=np.uint8)


def test_first_pose_is_kept_and_a_still_camera_is_not():
    gate = KeyframeGate(KeyframeConfig())
    assert gate.moved(0, pose())[0] is Verdict.KEPT
    assert gate.keep(image(0), pose())[0] is Verdict.KEPT
    verdict, reason = gate.moved(SECOND, pose(0.05))
    assert verdict is Verdict.MOTION and '0.05 m' in reason


@pytest.mark.parametrize('new', [pose(x=0.11), pose(yaw=np.radians(11))])
def test_a_step_or_a_turn_makes_a_keyframe(new):
    gate = KeyframeGate(KeyframeConfig())
    gate.keep(image(0), pose())
    assert gate.moved(SECOND, new)[0] is Verdict.KEPT


def test_small_steps_add_up():
    gate = KeyframeGate(KeyframeConfig(min_translation=0.1))
    kept = 0
    for step in range(101):
        here = pose(0.01 * step)
        if gate.moved(step * SECOND, here)[0] is Verdict.KEPT:
            kept += gate.keep(image(step), here)[0] is Verdict.KEPT
    assert kept in (10, 11)


def test_a_fast_turn_is_refused():
    gate = KeyframeGate(KeyframeConfig(max_rotation_rate=1.0))
    gate.moved(0, pose())
    verdict, reason = gate.moved(SECOND // 10, pose(yaw=0.5))
    assert verdict is Verdict.MOTION and '5.00 rad/s' in reason


def test_nan_pose_is_refused_and_forgotten():
    gate = KeyframeGate(KeyframeConfig())
    assert gate.moved(0, np.full((4, 4), np.nan))[0] is Verdict.POSE
    assert gate.moved(SECOND, pose())[0] is Verdict.KEPT


def test_a_frozen_camera_gives_duplicates():
    gate = KeyframeGate(KeyframeConfig())
    gate.keep(image(0), pose())
    assert gate.keep(image(0), pose(1.0))[0] is Verdict.DUPLICATE


def test_a_blurred_image_is_refused():
    gate = KeyframeGate(KeyframeConfig())
    for index in range(5):
        assert gate.keep(image(index), pose(index))[0] is Verdict.KEPT
    blurred = cv2.GaussianBlur(image(9), (0, 0), 4)
    assert gate.keep(blurred, pose(9))[0] is Verdict.BLUR
    assert gate.keep(image(10), pose(10))[0] is Verdict.KEPT


def test_sharpness_falls_with_blur():
    values = [sharpness(cv2.GaussianBlur(image(0), (0, 0), s)) for s in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize('angle', [0.0, 1e-9, 1e-4, 1.0, np.pi])
def test_angle_between(angle):
    assert angle_between(pose(), pose(yaw=angle)) == pytest.approx(angle, rel=1e-6, abs=1e-15)


def test_coverage_counts_cells_and_path():
    coverage = Coverage()
    for x in (0.1, 0.2, 0.7, 0.2):
        coverage.add(Verdict.KEPT, '', pose(x))
    coverage.add(Verdict.BLUR, 'too soft', pose())
    assert coverage.cells == 2 and coverage.area == pytest.approx(0.5)
    assert coverage.distance == pytest.approx(1.1)
    assert coverage.verdicts[Verdict.KEPT] == 4 and coverage.last_reason == 'too soft'
    assert coverage.images == 5
