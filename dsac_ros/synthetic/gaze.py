# SPDX-License-Identifier: Apache-2.0
"""Pictures of the same things from different places: correspondences for pre-training."""

from __future__ import annotations

import numpy as np

from dsac_ros.synthetic.world import RenderedWorld
from dsac_ros.types import Camera, Frame, PosedFrame

CLEARANCE = 0.3  # of a camera from walls, floor and ceiling [m]


def gaze_camera(size: int) -> Camera:
    """A square pinhole image with 53 degrees field of view."""
    middle = (size - 1) / 2
    return Camera((size, size), np.array([[size, 0, middle], [0, size, middle], [0, 0, 1.0]]))


def gaze(
    world: RenderedWorld, camera: Camera, views: int, rng: np.random.Generator
) -> list[PosedFrame]:
    """Frames with depth of cameras that look at about the same point of the room.

    From up to 1.2 m beside each other, from distances up to a factor 2 apart, tilted up to 15 deg.
    """
    low, high = (corner.copy() for corner in world.extent)
    low += CLEARANCE
    high -= CLEARANCE
    middle = rng.uniform(low, high)
    target = middle + direction(rng) * rng.uniform(1.2, 4.0)
    frames = []
    for _ in range(views):
        away = target + (middle - target) * rng.uniform(0.6, 1.2)
        place = np.clip(away + rng.normal(size=3) * 0.6, low, high)
        aim = target + rng.normal(size=3) * 0.15
        pose = look_at(place, aim, roll=np.radians(rng.uniform(-15, 15)))
        image, depth = world.render(pose, camera)
        frames.append(PosedFrame(Frame(image, camera, depth=depth), pose))
    return frames


def direction(rng: np.random.Generator) -> np.ndarray:
    """A direction, more often level than up or down (3,)."""
    vector = rng.normal(size=3) * [1, 1, 0.4]
    return vector / np.linalg.norm(vector)


def look_at(place: np.ndarray, target: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """world_from_camera (4, 4) of a camera at `place` that looks at `target`, z being up."""
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * right + np.sin(roll) * down
    pose[:3, 1] = np.cos(roll) * down - np.sin(roll) * right
    pose[:3, 2], pose[:3, 3] = forward, place
    return pose
