# SPDX-License-Identifier: Apache-2.0
"""A flat, textured wall three metres away, as cameras before it see it."""

from __future__ import annotations

import cv2
import numpy as np

DISTANCE = 3.0
SIZE_WH = (320, 240)
MATRIX = np.array([[280.0, 0, 159.5], [0, 280.0, 119.5], [0, 0, 1]])
PIXELS_PER_METRE = 110.0


def texture(seed: int) -> np.ndarray:
    """A reference image full of corners of all sizes (900, 1200) uint8."""
    rng = np.random.default_rng(seed)
    total = np.zeros((900, 1200))
    for cell in (60, 24, 10, 5):
        coarse = rng.normal(size=(900 // cell, 1200 // cell)).astype(np.float32)
        total += cv2.resize(coarse, (1200, 900), interpolation=cv2.INTER_CUBIC)
    return (127 + 38 * total).clip(0, 255).astype(np.uint8)


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, turn_deg: float = 0.0) -> np.ndarray:
    """world_from_camera (4, 4) of a camera before the wall, turned about its vertical axis."""
    angle = np.radians(turn_deg)
    result = np.eye(4)
    result[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)],
        [0, 1, 0],
        [-np.sin(angle), 0, np.cos(angle)],
    ]
    result[:3, 3] = x, y, z
    return result


def seen_from(world_from_camera: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """The image of the wall (its texture centred on the z axis) from there."""
    rotation, place = world_from_camera[:3, :3], world_from_camera[:3, 3]
    camera_from_wall = rotation.T @ np.array(
        [[1, 0, -place[0]], [0, 1, -place[1]], [0, 0, DISTANCE - place[2]]]
    )
    centre = np.array(
        [
            [1 / PIXELS_PER_METRE, 0, -599.5 / PIXELS_PER_METRE],
            [0, 1 / PIXELS_PER_METRE, -449.5 / PIXELS_PER_METRE],
            [0, 0, 1],
        ]
    )
    return cv2.warpPerspective(
        wall,
        MATRIX @ camera_from_wall @ centre,
        SIZE_WH,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def depth_at(pixels: np.ndarray, world_from_camera: np.ndarray) -> np.ndarray:
    """Depth (N,) along the optical axis at which the camera sees the wall."""
    rays = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ np.linalg.inv(MATRIX).T
    return (DISTANCE - world_from_camera[2, 3]) / (rays @ world_from_camera[:3, :3].T)[:, 2]
