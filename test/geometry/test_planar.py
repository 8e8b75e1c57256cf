# SPDX-License-Identifier: Apache-2.0
"""Poses flattened to the plane."""

from __future__ import annotations

import numpy as np
import torch

from dsac_ros.geometry.planar import planar
from dsac_ros.geometry.se3 import exp


def test_a_planar_pose_stays():
    pose = exp(torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0, 2.5], dtype=torch.float64)).numpy()
    assert np.allclose(planar(pose), pose, atol=1e-12)


def test_height_and_tilt_go_and_yaw_stays():
    yaw = exp(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, -1.2], dtype=torch.float64)).numpy()
    tilt = exp(torch.tensor([0.0, 0.0, 0.0, 0.02, -0.03, 0.0], dtype=torch.float64)).numpy()
    pose = tilt @ yaw
    pose[:3, 3] = 4.0, 5.0, 0.7
    flat = planar(pose)
    assert np.allclose(flat[:3, 3], [4.0, 5.0, 0.0])
    assert np.allclose(flat[:3, :3], yaw[:3, :3], atol=1e-3)
    assert np.allclose(flat[2], [0, 0, 1, 0])
