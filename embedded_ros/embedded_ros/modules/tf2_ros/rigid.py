# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as tf2 stores them: translation and unit quaternion (x, y, z, w)."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, Vector3

from tf_transformations import (
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_slerp,
)


class Rigid(NamedTuple):
    """target_from_source: translation (3,) [m] and rotation (4,)."""

    translation: np.ndarray
    rotation: np.ndarray

    def __matmul__(self, other: Rigid) -> Rigid:
        return Rigid(self.translation + rotated(self.rotation, other.translation),
                     np.array(quaternion_multiply(self.rotation, other.rotation)))

    def inverse(self) -> Rigid:
        """source_from_target."""
        back = quaternion_conjugate(self.rotation)
        return Rigid(-rotated(back, self.translation), back)

    def towards(self, other: Rigid, fraction: float) -> Rigid:
        """Between the two: lines for translations, arcs for rotations."""
        return Rigid(self.translation + fraction * (other.translation - self.translation),
                     quaternion_slerp(self.rotation, other.rotation, fraction))

    def to_msg(self) -> Any:
        """As geometry_msgs/Transform."""
        x, y, z = self.translation.tolist()
        qx, qy, qz, qw = self.rotation.tolist()
        return Transform(translation=Vector3(x=x, y=y, z=z),
                         rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))

    @classmethod
    def from_msg(cls, message: Any) -> Rigid:
        """From geometry_msgs/Transform."""
        t, q = message.translation, message.rotation
        return cls(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))


IDENTITY = Rigid(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))


def rotated(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The vector (3,) after the rotation: v + 2 w (q x v) + 2 q x (q x v)."""
    axis, w = quaternion[:3], quaternion[3]
    across = 2.0 * np.cross(axis, vector)
    return vector + w * across + np.cross(axis, across)
