# SPDX-License-Identifier: Apache-2.0
"""Synthetic scene coordinates of known pose, inlier ratio and noise."""

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
CLOUD_M = 1.2  # standard deviation of the outliers about the centre of the scene


def cell_pixels(rows: int = 60, columns: int = 80) -> np.ndarray:
    """Return the cell centres (rows columns, 2) of an image of 8 x 8 pixel cells."""
    v, u = np.mgrid[:rows, :columns]
    return np.stack([8.0 * u + 3.5, 8.0 * v + 3.5], -1).reshape(-1, 2)


def synthetic_correspondences(
    seed: int,
    *,
    inliers: float = 1.0,
    noise: float = 0.0,
    depth: float = 2.5,
    rows: int = 60,
    columns: int = 80,
    dtype: torch.dtype = torch.float32,
    rotation: np.ndarray | None = None,
) -> tuple[SceneCoordinates, Tensor]:
    """Return scene coordinates of one image and its world_from_camera (4, 4) float64.

    The scene is a wavy wall; outliers are normally distributed about its centre.

    Args:
        seed: of all random values.
        inliers: share of inliers.
        noise: standard deviation of the inliers [m].
        depth: mean depth of the wall [m].
        rows: of cells.
        columns: of cells.
        dtype: of the tensors.
        rotation: world_from_camera (3, 3); random by default.
    """
    random = np.random.default_rng(seed)
    pixels = cell_pixels(rows, columns)
    centre = np.array([4.0 * columns - 0.5, 4.0 * rows - 0.5])
    share = pixels / (2.0 * centre)
    phase = random.uniform(0.0, 2.0 * np.pi, 3)
    z = depth * (
        1.0
        + 0.3 * np.sin(3.0 * share[:, 0] + phase[0]) * np.cos(2.0 * share[:, 1] + phase[1])
        + 0.1 * np.sin(7.0 * share[:, 1] + phase[2])
    )
    camera = np.concatenate([(pixels - centre) / FOCAL, np.ones((len(pixels), 1))], 1) * z[:, None]
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = (
        Rotation.random(random_state=seed).as_matrix() if rotation is None else rotation
    )
    world_from_camera[:3, 3] = random.uniform(-3.0, 3.0, 3)
    world = camera @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]
    outliers = world.mean(0) + random.normal(size=world.shape) * CLOUD_M
    is_outlier = random.random(len(pixels)) >= inliers
    world = np.where(
        is_outlier[:, None], outliers, world + random.normal(size=world.shape) * noise
    )
    matrix = np.array([[FOCAL, 0.0, centre[0]], [0.0, FOCAL, centre[1]], [0.0, 0.0, 1.0]])
    return (
        scene_coordinates(world, pixels, matrix, (rows, columns), dtype),
        torch.from_numpy(world_from_camera),
    )


def scene_coordinates(
    world: np.ndarray,
    pixels: np.ndarray,
    matrix: np.ndarray,
    grid_hw: tuple[int, int],
    dtype: torch.dtype = torch.float32,
) -> SceneCoordinates:
    """Convert arrays of one image to scene coordinates, all valid with equal uncertainty."""

    def tensor(x: np.ndarray) -> Tensor:
        return torch.as_tensor(x, dtype=dtype)[None]

    return SceneCoordinates(
        tensor(world),
        tensor(pixels),
        torch.ones(1, len(pixels), dtype=dtype),
        torch.ones(1, len(pixels), dtype=torch.bool),
        tensor(matrix),
        grid_hw,
    )


def batch(scenes: Sequence[SceneCoordinates]) -> SceneCoordinates:
    """Concatenate images to one batch; with depth if the first has it."""
    joined: dict[str, Any] = {
        name: torch.cat([getattr(scene, name) for scene in scenes]) for name in tensors(scenes[0])
    }
    return replace(scenes[0], **joined)


def to_device(scene: SceneCoordinates, device: str) -> SceneCoordinates:
    """Move the scene coordinates to a device."""
    moved: dict[str, Any] = {name: x.to(device) for name, x in tensors(scene).items()}
    return replace(scene, **moved)


def tensors(scene: SceneCoordinates) -> dict[str, Tensor]:
    """Return the tensor fields by name."""
    values = {one.name: getattr(scene, one.name) for one in fields(scene)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}
