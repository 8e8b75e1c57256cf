# SPDX-License-Identifier: Apache-2.0
"""Poses as they come from files and messages, checked before anything is built on them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from dsac_ros.errors import SourceError
from dsac_ros.geometry.rotation import matrix_from_quaternion, quaternion_from_matrix
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.text_files import read_text

BRACKETS = re.compile(r'[\[\](),;]')
LAST_ROW = (0.0, 0.0, 0.0, 1.0)
MAX_DEVIATION = 0.02  # of R^T R from the identity: more is no rounding error


def rigid_pose(matrix: np.ndarray) -> np.ndarray | str:
    """The nearest rigid pose (4, 4) of a 4x4 or 3x4, or what is wrong with it.

    A mirrored pose, of determinant -1, stays one.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape not in ((4, 4), (3, 4)):
        return f'a pose of shape {matrix.shape} instead of (4, 4)'
    if not np.isfinite(matrix).all():
        return 'a pose with NaN or infinity'
    rotation = matrix[:3, :3]
    if len(matrix) == 4 and np.array_equal(matrix[:, 3], LAST_ROW) and matrix[3, :3].any():
        return 'a pose with its translation in the last row: a transposed matrix'
    deviation = np.abs(rotation.T @ rotation - np.eye(3)).max()
    last_row = matrix[3] if len(matrix) == 4 else LAST_ROW
    if deviation > MAX_DEVIATION or not np.allclose(last_row, LAST_ROW):
        return 'a pose that is no rigid motion'
    left, _, right = np.linalg.svd(rotation)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = left @ right, matrix[:3, 3]
    return pose


def read_pose_file(path: Path) -> np.ndarray | str:
    """The 4x4 of a text file of 16 (or 12) numbers, or what is wrong with it.

    Commas and brackets, as numpy prints them, are separators too.
    """
    try:
        numbers = np.array(BRACKETS.sub(' ', read_text(path)).split(), dtype=np.float64)
    except (SourceError, ValueError):
        return 'a pose file that cannot be read'
    if numbers.size not in (12, 16):
        return f'a pose file of {numbers.size} numbers instead of 16'
    return rigid_pose(numbers.reshape(-1, 4))


def poses_from_rows(rows: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) of rows x y z qx qy qz qw (N, 7); all NaN for a quaternion of zeros."""
    rows = np.asarray(rows, dtype=np.float64).reshape(-1, 7)
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :3] = matrix_from_quaternion(torch.from_numpy(rows[:, 3:].copy())).numpy()
    poses[:, :3, 3] = rows[:, :3]
    poses[~(np.linalg.norm(rows[:, 3:], axis=1) > 1e-6)] = np.nan
    return poses


def row_from_pose(pose: np.ndarray) -> tuple[float, ...]:
    """The row x y z qx qy qz qw of a pose (4, 4), with qw >= 0."""
    rotation = torch.from_numpy(np.array(pose[:3, :3], dtype=np.float64))
    quaternion = quaternion_from_matrix(rotation).numpy()
    quaternion = quaternion if quaternion[3] >= 0 else -quaternion
    return (*(float(x) for x in pose[:3, 3]), *(float(x) for x in quaternion))


def missing_pose(trajectory: Trajectory, stamp_ns: int, max_gap_ns: int, name: str) -> str:
    """Why a trajectory of that name has no pose at a stamp."""
    if not trajectory.covers(stamp_ns):
        return f'a stamp outside of {name}'
    return (
        f'a stamp in a gap of {name} that is longer than {max_gap_ns / 1e9:g} s '
        '(--max-gap SECONDS)'
    )
