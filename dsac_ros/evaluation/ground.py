# SPDX-License-Identifier: Apache-2.0
"""Estimation of the ground plane, for plots from above, in worlds with arbitrary axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Minimum cosine between a direction and an axis to snap to that axis.
NEARLY = np.cos(np.radians(25.0))


@dataclass(frozen=True)
class GroundPlane:
    """Two axes (2, 3) that span the ground, right-handed seen from above, and their names."""

    axes: np.ndarray
    labels: tuple[str, str]

    @classmethod
    def under(cls, world_from_camera: np.ndarray) -> GroundPlane:
        """Estimate the ground plane from cameras (F, 4, 4) that are mostly upright.

        Up is opposite to the mean down axis of the cameras, snapped to a world axis if close to
        one.
        """
        down = world_from_camera[:, :3, 1].mean(axis=0)
        length = np.linalg.norm(down)
        up = -down / length if length > 0.1 else np.array([0.0, 0.0, 1.0])
        main = int(np.argmax(np.abs(up)))
        if abs(up[main]) < NEARLY:
            first = np.cross(np.eye(3)[int(np.argmin(np.abs(up)))], up)
            first /= np.linalg.norm(first)
            return cls(np.stack([first, np.cross(up, first)]), ('right', 'ahead'))
        right, ahead = (main + 1) % 3, (main + 2) % 3
        if up[main] < 0:
            right, ahead = ahead, right
        return cls(np.eye(3)[[right, ahead]], ('xyz'[right], 'xyz'[ahead]))

    def project(self, points_world: np.ndarray) -> np.ndarray:
        """Project points (N, 3) to the plane (N, 2) [m]."""
        return points_world @ self.axes.T
