# SPDX-License-Identifier: Apache-2.0
"""Views of a drive that turns about all axes, so that no two conventions look alike."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation
from walls import DISTANCE, MATRIX, SIZE_WH, depth_at, seen_from, texture

from dsac_ros.mapping.data.view import View

STEP_NS = 100_000_000
FOCAL_PX = float(MATRIX[0, 0])


def drive(count: int = 24, moved: float = 1.0) -> list[np.ndarray]:
    """world_from_camera (4, 4) of a camera that moves by up to a metre, or a share of it."""
    poses = []
    for time in np.linspace(0.0, 6.0, count):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler(
            'yxz',
            [14 * np.sin(1.7 * time), 9 * np.sin(2.3 * time), 12 * np.sin(1.1 * time)],
            degrees=True,
        ).as_matrix()
        pose[:3, 3] = moved * np.array(
            [0.7 * np.sin(1.3 * time), 0.4 * np.cos(1.9 * time), 0.5 * np.sin(0.9 * time)]
        )
        poses.append(pose)
    return poses


def views_of(poses: list[np.ndarray], depth: bool = False) -> list[View]:
    """The views of a wall from poses, at 10 Hz."""
    wall, mask = texture(0), np.ones(SIZE_WH[::-1], bool)
    rows = np.stack(np.meshgrid(np.arange(SIZE_WH[0]), np.arange(SIZE_WH[1])), -1).reshape(-1, 2)
    return [
        View(
            seen_from(pose, wall),
            mask,
            MATRIX,
            pose,
            depth_at(rows, pose).reshape(SIZE_WH[::-1]).astype(np.float32) if depth else None,
            index * STEP_NS,
            FOCAL_PX,
        )
        for index, pose in enumerate(poses)
    ]


__all__ = ['DISTANCE', 'FOCAL_PX', 'MATRIX', 'drive', 'views_of']
