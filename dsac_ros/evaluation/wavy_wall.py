# SPDX-License-Identifier: Apache-2.0
"""Scene coordinates of known pose, inlier ratio and noise: a wavy wall and a cloud of outliers."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from dsac_ros.types import SceneCoordinates

FOCAL = 525.0
CLOUD_M = 1.2  # standard deviation of the outliers about the middle of the scene


def cell_pixels(rows: int = 60, columns: int = 80) -> np.ndarray:
    """Cell centres (rows columns, 2) of an image of 8 x 8 pixel cells."""
    v, u = np.mgrid[:rows, :columns]
    return np.stack([8.0 * u + 3.5, 8.0 * v + 3.5], -1).reshape(-1, 2)


def wavy_wall(seed: int, *, inliers: float = 1.0, noise: float = 0.0, depth: float = 2.5,
              rows: int = 60, columns: int = 80, dtype: torch.dtype = torch.float32,
              rotation: np.ndarray | None = None) -> tuple[SceneCoordinates, Tensor]:
    """Scene coordinates of one image, and its world_from_camera (4, 4) float64.

    `noise` is the standard deviation of the inliers [m], `inliers` their share; outliers are a
    cloud about the middle of the scene.
    """
    random = np.random.default_rng(seed)
    seen = cell_pixels(rows, columns)
    centre = np.array([4.0 * columns - 0.5, 4.0 * rows - 0.5])
    share = seen / (2.0 * centre)
    phase = random.uniform(0.0, 2.0 * np.pi, 3)
    z = depth * (1.0 + 0.3 * np.sin(3.0 * share[:, 0] + phase[0]) * np.cos(
        2.0 * share[:, 1] + phase[1]) + 0.1 * np.sin(7.0 * share[:, 1] + phase[2]))
    camera = np.concatenate([(seen - centre) / FOCAL, np.ones((len(seen), 1))], 1) * z[:, None]
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = (Rotation.random(random_state=seed).as_matrix()
                                 if rotation is None else rotation)
    world_from_camera[:3, 3] = random.uniform(-3.0, 3.0, 3)
    world = camera @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]
    cloud = world.mean(0) + random.normal(size=world.shape) * CLOUD_M
    wrong = random.random(len(seen)) >= inliers
    world = np.where(wrong[:, None], cloud, world + random.normal(size=world.shape) * noise)
    matrix = np.array([[FOCAL, 0.0, centre[0]], [0.0, FOCAL, centre[1]], [0.0, 0.0, 1.0]])
    return (coordinates(world, seen, matrix, (rows, columns), dtype),
            torch.from_numpy(world_from_camera))


def coordinates(world: np.ndarray, seen: np.ndarray, matrix: np.ndarray,
                grid_hw: tuple[int, int], dtype: torch.dtype = torch.float32) -> SceneCoordinates:
    """One image's arrays as scene coordinates, all cells valid and equally sure."""
    def tensor(x: np.ndarray) -> Tensor:
        return torch.as_tensor(x, dtype=dtype)[None]
    return SceneCoordinates(tensor(world), tensor(seen), torch.ones(1, len(seen), dtype=dtype),
                            torch.ones(1, len(seen), dtype=torch.bool), tensor(matrix), grid_hw)


def batch(scenes: Sequence[SceneCoordinates]) -> SceneCoordinates:
    """Many images as one batch; with depth where the first has it."""
    joined: dict[str, Any] = {name: torch.cat([getattr(scene, name) for scene in scenes])
                              for name in tensors(scenes[0])}
    return replace(scenes[0], **joined)


def on(scene: SceneCoordinates, device: str) -> SceneCoordinates:
    """The scene on a device, where a network's answer would be already."""
    moved: dict[str, Any] = {name: x.to(device) for name, x in tensors(scene).items()}
    return replace(scene, **moved)


def tensors(scene: SceneCoordinates) -> dict[str, Tensor]:
    """The fields of a scene that are tensors, by name."""
    values = {one.name: getattr(scene, one.name) for one in fields(scene)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}
