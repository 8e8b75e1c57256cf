# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as tf2 stores them: translation and unit quaternion (x, y, z, w)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, Vector3

CONJUGATE = np.array([-1.0, -1.0, -1.0, 1.0])
# Beyond this cosine two quaternions are interpolated linearly: the sine of their angle is noise.
NEARLY_EQUAL = 0.9995


class Rigid(NamedTuple):
    """target_from_source: translation (3,) [m] and rotation (4,)."""

    translation: np.ndarray
    rotation: np.ndarray

    def __matmul__(self, other: Rigid) -> Rigid:
        return Rigid(
            self.translation + rotated(self.rotation, other.translation),
            product(self.rotation, other.rotation),
        )

    def inverse(self) -> Rigid:
        """Return source_from_target."""
        back = self.rotation * CONJUGATE
        return Rigid(-rotated(back, self.translation), back)

    def towards(self, other: Rigid, fraction: float) -> Rigid:
        """Interpolate: lines for translations, arcs for rotations."""
        return Rigid(
            self.translation + fraction * (other.translation - self.translation),
            slerp(self.rotation, other.rotation, fraction),
        )

    def to_msg(self) -> Any:
        """Convert to geometry_msgs/Transform."""
        x, y, z = self.translation.tolist()
        qx, qy, qz, qw = self.rotation.tolist()
        return Transform(
            translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
        )

    @classmethod
    def from_msg(cls, message: Any) -> Rigid:
        """Convert from geometry_msgs/Transform."""
        t, q = message.translation, message.rotation
        return cls(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))


IDENTITY = Rigid(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))


def rotated(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the vector (3,) after the rotation: v + 2 w (q x v) + 2 q x (q x v)."""
    axis, w = quaternion[:3], quaternion[3]
    across = 2.0 * cross(axis, vector)
    return vector + w * across + cross(axis, across)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the rotation `right` followed by `left`: (w v' + w' v + v x v', w w' - v v')."""
    v, w, u, s = left[:3], left[3], right[:3], right[3]
    return np.array([*(w * u + s * v + cross(v, u)), w * s - v @ u])


def cross(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return left x right, both (3,); np.cross takes ten times as long for a single pair."""
    a, b, c = left.tolist()
    x, y, z = right.tolist()
    return np.array([b * z - c * y, c * x - a * z, a * y - b * x])


def slerp(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    """Interpolate two unit quaternions on the shorter arc (Shoemake 1985)."""
    cosine = float(start @ end)
    if cosine < 0.0:
        end, cosine = -end, -cosine
    if cosine > NEARLY_EQUAL:
        result = start + fraction * (end - start)
        return result / np.linalg.norm(result)
    angle = math.acos(cosine)
    return (
        math.sin((1.0 - fraction) * angle) * start + math.sin(fraction * angle) * end
    ) / math.sin(angle)
