# SPDX-License-Identifier: Apache-2.0
"""Scene coordinates in the pixels of another pinhole, and with measured depth."""

import numpy as np
import torch

from dsac_ros.scene_coordinates import in_pinhole, with_depth
from dsac_ros.types import SceneCoordinates


def pinhole(focal: float, size_wh: tuple[int, int]) -> np.ndarray:
    return np.array(
        [[focal, 0, (size_wh[0] - 1) / 2], [0, focal, (size_wh[1] - 1) / 2], [0, 0, 1.0]]
    )


def scene(pixels: np.ndarray, matrix: np.ndarray) -> SceneCoordinates:
    ones = torch.ones(1, len(pixels))
    return SceneCoordinates(
        torch.zeros(1, len(pixels), 3),
        torch.from_numpy(pixels)[None],
        ones,
        ones > 0,
        torch.from_numpy(matrix)[None],
        (1, len(pixels)),
    )


def test_rays_stay_where_they_are_in_another_pinhole():
    small, large = pinhole(260.0, (320, 240)), pinhole(525.0, (640, 480))
    pixels = np.array([[3.5, 3.5], [159.5, 119.5], [300.0, 20.0]])
    moved = in_pinhole(scene(pixels, small), torch.from_numpy(large))
    rays = (np.c_[pixels, np.ones(3)] @ np.linalg.inv(small).T)[:, :2]
    found = (np.c_[moved.pixels[0].numpy(), np.ones(3)] @ np.linalg.inv(large).T)[:, :2]
    np.testing.assert_allclose(found, rays, atol=1e-12)
    np.testing.assert_allclose(moved.sigma_px, 525 / 260)
    np.testing.assert_array_equal(moved.matrices[0], large)


def test_depth_is_read_at_cells_beyond_the_border_too():
    depth = np.arange(12, dtype=np.float32).reshape(3, 4)
    pixels = np.array([[0.0, 0.0], [3.4, 2.0], [-0.6, 2.7]])
    measured = with_depth(scene(pixels, pinhole(4.0, (4, 3))), depth).depth
    np.testing.assert_array_equal(measured, [[0.0, 11.0, 8.0]])
