# SPDX-License-Identifier: Apache-2.0
"""Conversion of camera poses from the conventions of other programs.

The convention here is world_from_camera of the optical frame (x right, y down, z forward),
right-handed.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import torch

from dsac_ros.config import AXES_HELP, NAMED_AXES, OPTICAL, PoseConvention
from dsac_ros.errors import ConfigError
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.rotation import matrix_from_quaternion, quaternion_from_matrix

_LETTERS = {
    'r': (1, 0, 0),
    'l': (-1, 0, 0),
    'd': (0, 1, 0),
    'u': (0, -1, 0),
    'f': (0, 0, 1),
    'b': (0, 0, -1),
}
_CODES = [
    ''.join(letters) for pairs in permutations(('rl', 'du', 'fb')) for letters in product(*pairs)
]
AXES = (*NAMED_AXES, *(code for code in _CODES if code not in NAMED_AXES.values()))


def world_from_camera(given: np.ndarray, convention: PoseConvention) -> np.ndarray:
    """Convert poses (..., 4, 4) of a convention; the y axis of a left-handed world is flipped."""
    check_shapes(given=(given, '... 4 4'))
    poses = np.array(given, dtype=np.float64)
    if convention.quaternion == 'wxyz':
        poses[..., :3, :3] = _with_w_first(poses[..., :3, :3])
    poses[..., :3, 3] *= convention.scale
    if convention.direction != 'world-from-camera':
        rotation = np.swapaxes(poses[..., :3, :3], -1, -2).copy()
        if convention.direction == 'camera-from-world':
            poses[..., :3, 3:] = -rotation @ poses[..., :3, 3:]
        poses[..., :3, :3] = rotation
    poses[..., :3, :3] = poses[..., :3, :3] @ axes_from_optical(convention.axes or OPTICAL)
    poses[is_mirrored(poses), 1] *= -1.0
    return poses


def axes_from_optical(axes: str) -> np.ndarray:
    """Return the matrix (3, 3) that rotates vectors of the optical frame to other axes."""
    if axes not in NAMED_AXES and axes not in _CODES:
        raise ConfigError(f'the axes of poses are {axes!r}, expected {AXES_HELP}')
    return np.array([_LETTERS[letter] for letter in NAMED_AXES.get(axes, axes)], dtype=np.float64)


def is_mirrored(poses: np.ndarray) -> np.ndarray:
    """Return whether poses (..., 4, 4) have a determinant below zero: one frame is left-handed."""
    mirrored: np.ndarray = np.linalg.det(poses[..., :3, :3]) < 0
    return mirrored


def _with_w_first(rotations: np.ndarray) -> np.ndarray:
    """Correct rotations (..., 3, 3) of quaternions w x y z that were read as x y z w."""
    read = quaternion_from_matrix(torch.from_numpy(rotations.copy()))
    return matrix_from_quaternion(read.roll(-1, -1)).numpy()
