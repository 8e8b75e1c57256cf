# SPDX-License-Identifier: Apache-2.0
"""Intrinsics of real lenses stay valid, mistakes do not."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.geometry.camera_checks import check_principal_point
from dsac_ros.geometry.resample import Resampler


def camera(fx, size=(640, 480), d=(), model='', fy=None):
    width, height = size
    k = (fx, 0, width / 2 - 0.5, 0, fy or fx, height / 2 - 0.5, 0, 0, 1)
    return camera_from_info(size, k, d, model=model)


@pytest.mark.parametrize(
    ('focal', 'size', 'd', 'model'),
    [
        (166.0, (640, 480), (-0.02, 0.01, -0.002, 0.0), 'equidistant'),  # 220 degrees
        (290.0, (1280, 800), (-0.006, 0.04, -0.04, 0.007), 'equidistant'),  # T265
        (820.0, (1920, 1440), (-0.25, 0.09, 0.0, 0.0, -0.015), 'plumb_bob'),  # action camera
        (180.0, (640, 480), (), ''),  # 121 degrees, the widest rectilinear lens
        (70.0, (640, 480), (), ''),  # a fisheye that was rectified without a cut
        (42_000.0, (1920, 1080), (), ''),  # PTZ camera, 25x
        (607.0, (640, 480), (5.0, -3.0, 0.0, 0.0, 2.0, 4.9, -2.3, 1.6), 'rational_polynomial'),
    ],
)
def test_real_lenses(focal, size, d, model):
    assert Resampler(camera(focal, size, d, model), 96).mask.mean() > 0.5


@pytest.mark.parametrize(
    ('focal', 'changed', 'message'),
    [
        (1.0, {}, 'expected at least 0.1 times its size: are they in pixels'),
        (40.0, {}, 'expected at least 0.1 times'),
        (20.0, {'d': (0.1,) * 4, 'model': 'equidistant'}, 'expected at least 0.05 times'),
        (1e6, {}, 'expected at most 100 times'),
        (500.0, {'fy': 5000.0}, 'about the same in both directions'),
        (500.0, {'size': (4800, 300)}, 'one at most 10 times the other'),
        (30_000.0, {'size': (40_000, 30_000)}, 'sides of at most 32000 px'),
    ],
)
def test_no_lens_has_these(focal, changed, message):
    with pytest.raises(CameraError, match=message) as caught:
        camera(focal, **changed)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('k1', [1e6, -1e6, 1e300])
def test_distortion_that_leaves_no_image(k1):
    with pytest.raises(CameraError, match=r'leaves \d % of the image'):
        Resampler(camera(500.0, d=(k1, 0, 0, 0, 0), model='plumb_bob'), 96)


@pytest.mark.parametrize(
    ('centre', 'inside'),
    [((0.0, 100.0), True), ((639.0, 479.0), True), ((640.0, 240.0), False), ((300, -1), False)],
)
def test_principal_point_of_a_full_image(centre, inside):
    matrix = np.array([[500.0, 0, centre[0]], [0, 500, centre[1]], [0, 0, 1]])
    if inside:
        check_principal_point(matrix, (640, 480))
    else:
        with pytest.raises(CameraError, match='outside of its image of 640x480'):
            check_principal_point(matrix, (640, 480))
