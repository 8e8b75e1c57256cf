# SPDX-License-Identifier: Apache-2.0
"""geometry/altered_frames.py: images that change together with their cameras."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.geometry.altered_frames import blurred, covered, mirrored, zoomed
from dsac_ros.geometry.camera import camera_from_info, project
from dsac_ros.types import Camera, Frame


@pytest.mark.parametrize('model, distortion', [('', ()), ('plumb_bob', (-0.2, 0.05, 0, 0, 0))])
def test_zoom_shows_a_point_at_twice_the_distance(model, distortion):
    """From the middle of the image, whatever the lens; pixels are counted from their centres."""
    camera = camera_from_info(
        (64, 48), (50, 0, 31.5, 0, 50, 23.5, 0, 0, 1), distortion, model=model
    )
    image = np.zeros((48, 64, 3), np.uint8)
    image[20:22, 40:42] = 255  # about pixel (40.5, 20.5)
    found = zoomed(Frame(image, camera, mask=image[..., 0] > 0, depth=np.ones((48, 64))))
    assert found.image.shape == (48, 64, 3) and found.depth is None
    rows, columns = np.nonzero(found.image[..., 0] > 127)
    centre = np.array([columns.mean(), rows.mean()])
    assert np.array_equal(found.mask, found.image[..., 0] > 127)
    ray = np.array([[0.18, -0.06, 1.0]])
    moved = project(found.camera, ray)[0] - centre
    assert moved == pytest.approx(2 * (project(camera, ray)[0] - [40.5, 20.5]))


def test_zoom_of_odd_sizes_keeps_pixels_in_place():
    camera = Camera((33, 25), np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]]))
    found = zoomed(Frame(np.zeros((25, 33), np.uint8), camera))
    assert found.image.shape[::-1] == found.camera.size_wh == (32, 24)
    assert found.camera.matrix[0, 2] == 2 * 15.5 + 0.5 - 2 * 8


def test_a_mirrored_frame_keeps_a_camera_that_fits():
    camera = Camera((4, 2), np.array([[5.0, 0, 1.0], [0, 5, 0.5], [0, 0, 1]]))
    frame = mirrored(Frame(np.arange(8, dtype=np.uint8).reshape(2, 4), camera))
    assert frame.image[0].tolist() == [3, 2, 1, 0]
    assert frame.camera.matrix[0, 2] == 2.0
    assert camera.matrix[0, 2] == 1.0


def test_a_blurred_frame_is_smeared_to_the_sides():
    image = np.zeros((20, 100), np.uint8)
    image[10, 50] = 200
    camera = Camera((100, 20), np.array([[50.0, 0, 49.5], [0, 50, 9.5], [0, 0, 1]]))
    found = blurred(Frame(image, camera))
    assert (found.image[10, 48:53] == 50).sum() == 4 and found.image.sum() == 200
    assert found.camera is camera


def test_half_of_a_covered_frame_shows_nothing():
    camera = Camera((6, 2), np.array([[5.0, 0, 2.5], [0, 5, 0.5], [0, 0, 1]]))
    frame = Frame(np.arange(12, dtype=np.uint8).reshape(2, 6), camera)
    found = covered(frame)
    assert found.image[:, 3:].std() == 0 and found.camera is camera
    assert np.array_equal(found.image[:, :3], frame.image[:, :3]) and frame.image[0, 5] == 5
