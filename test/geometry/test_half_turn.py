# SPDX-License-Identifier: Apache-2.0
"""An image turned upright: every pixel is seen under the turned ray."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.geometry.camera import project
from dsac_ros.geometry.half_turn import UPRIGHT_FROM_CAMERA, upright, upright_camera
from dsac_ros.types import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL_POLYNOMIAL, Camera, Frame

MATRIX = np.array([[500.0, 0.0, 300.0], [0.0, 480.0, 250.0], [0.0, 0.0, 1.0]])
CAMERAS = [
    Camera((640, 480), MATRIX, PINHOLE),
    Camera((640, 480), MATRIX, PLUMB_BOB, (-0.2, 0.05, 0.003, -0.002, 0.01)),
    Camera(
        (640, 480),
        MATRIX,
        RATIONAL_POLYNOMIAL,
        (
            -0.2,
            0.05,
            0.003,
            -0.002,
            0.01,
            0.1,
            0.02,
            0.001,
            0.004,
            -0.001,
            0.002,
            0.003,
            0.02,
            -0.03,
        ),
    ),
    Camera((640, 480), MATRIX, EQUIDISTANT, (0.01, -0.02, 0.003, 0.001)),
]


@pytest.mark.parametrize('camera', CAMERAS, ids=lambda c: c.model)
def test_turned_points_project_to_turned_pixels(camera):
    points = np.random.default_rng(0).uniform([-1, -0.7, 2], [1, 0.7, 4], (50, 3))
    turned = points @ UPRIGHT_FROM_CAMERA[:3, :3].T
    expected = np.array([639, 479]) - project(camera, points)
    assert np.allclose(project(upright_camera(camera), turned), expected, atol=1e-6)


def test_twice_is_the_frame_itself():
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    frame = Frame(image, Camera((64, 48), MATRIX), depth=image[..., 0].astype(np.float32))
    back = upright(upright(frame))
    assert np.array_equal(back.image, image) and np.array_equal(back.depth, frame.depth)
    assert np.array_equal(back.camera.matrix, MATRIX)


def test_the_mask_turns_with_its_image():
    camera = Camera((4, 3), np.array([[4.0, 0, 1.5], [0, 4.0, 1], [0, 0, 1]]))
    mask = np.zeros((3, 4), bool)
    mask[0, 0] = True
    turned = upright(Frame(np.zeros((3, 4), np.uint8), camera, mask=mask)).mask
    assert turned[2, 3] and turned.sum() == 1
