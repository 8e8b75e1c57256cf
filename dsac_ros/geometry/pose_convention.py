# SPDX-License-Identifier: Apache-2.0
"""Conventions in which other programs write camera poses, and the way from them to ours.

Ours is world_from_camera of the optical frame (x right, y down, z forward), right-handed.
"""
from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import torch

from dsac_ros.errors import ConfigError
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.rotation import matrix_from_quaternion, quaternion_from_matrix

DIRECTIONS = ('world-from-camera', 'camera-from-world', 'transposed')
QUATERNIONS = ('xyzw', 'wxyz')
OPTICAL = 'opencv'
# Directions of x, y and z of a camera frame: right, left, up, down, forward, back.
NAMED_AXES = {OPTICAL: 'rdf', 'opengl': 'rub', 'body': 'flu', 'unity': 'ruf'}
_LETTERS = {'r': (1, 0, 0), 'l': (-1, 0, 0), 'd': (0, 1, 0), 'u': (0, -1, 0), 'f': (0, 0, 1),
            'b': (0, 0, -1)}
AXES = (*NAMED_AXES, *(code for code in map(''.join, (
    letters for pairs in permutations(('rl', 'du', 'fb')) for letters in product(*pairs)))
    if code not in NAMED_AXES.values()))
AXES_HELP = f'{", ".join(NAMED_AXES)}, or the directions of x, y and z such as rdf'


@dataclass(frozen=True)
class PoseConvention:
    """What a source's poses mean.

    Args:
        direction: 'world-from-camera', its inverse 'camera-from-world', or 'transposed': the
            rotation of camera-from-world beside the camera's position.
        axes: the camera's axes, a name or three letters; None are those of OpenCV.
        quaternion: 'wxyz' where that order was read as x y z w.
        scale: what positions are multiplied by, 0.001 where millimetres are to become metres.
    """

    direction: str = 'world-from-camera'
    axes: str | None = None
    quaternion: str = 'xyzw'
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, value, known, expected in (
                ('direction', self.direction, DIRECTIONS, ', '.join(DIRECTIONS)),
                ('axes', self.axes or OPTICAL, (*AXES, *NAMED_AXES.values()), AXES_HELP),
                ('quaternion', self.quaternion, QUATERNIONS, ', '.join(QUATERNIONS))):
            if value not in known:
                raise ConfigError(f'the {name} of poses is {value!r}, expected {expected}')
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ConfigError(f'the scale of poses is {self.scale}, expected a positive number')

    def world_from_camera(self, given: np.ndarray) -> np.ndarray:
        """Poses (..., 4, 4) as given -> ours; a left-handed world has its y axis flipped."""
        check_shapes(given=(given, '... 4 4'))
        poses = np.array(given, dtype=np.float64)
        if self.quaternion == 'wxyz':
            poses[..., :3, :3] = _with_w_first(poses[..., :3, :3])
        poses[..., :3, 3] *= self.scale
        if self.direction != 'world-from-camera':
            rotation = np.swapaxes(poses[..., :3, :3], -1, -2).copy()
            if self.direction == 'camera-from-world':
                poses[..., :3, 3:] = -rotation @ poses[..., :3, 3:]
            poses[..., :3, :3] = rotation
        poses[..., :3, :3] = poses[..., :3, :3] @ axes_from_optical(self.axes or OPTICAL)
        poses[is_mirrored(poses), 1] *= -1.0
        return poses


def axes_from_optical(axes: str) -> np.ndarray:
    """The matrix (3, 3) that takes vectors of the optical frame to a frame of other axes."""
    return np.array([_LETTERS[letter] for letter in NAMED_AXES.get(axes, axes)], dtype=np.float64)


def is_mirrored(poses: np.ndarray) -> np.ndarray:
    """Whether poses (..., 4, 4) have a determinant below zero: one frame is left-handed."""
    return np.linalg.det(poses[..., :3, :3]) < 0


def _with_w_first(rotations: np.ndarray) -> np.ndarray:
    """The rotations (..., 3, 3) meant by quaternions w x y z that were read as x y z w."""
    read = quaternion_from_matrix(torch.from_numpy(rotations.copy()))
    return matrix_from_quaternion(read.roll(-1, -1)).numpy()
