# SPDX-License-Identifier: Apache-2.0
"""Segments of a recording: the localizer corrected itself between two keyframes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Distance of a scene point ahead of the camera, whose motion tells a turn of map -> odom [m].
VIEW_DISTANCE_M = 2.0


@dataclass(frozen=True)
class Segments:
    """The number of segments so far, and map -> odom at the last keyframe.

    Poses of one segment agree with one another; those of two may not. A recording begins one.
    """

    count: int = 0
    is_begun: bool = False
    map_from_odom: np.ndarray | None = None

    def after(
        self, map_from_camera: np.ndarray, odom_from_camera: np.ndarray | None, max_jump_m: float
    ) -> tuple[Segments, str | None]:
        """Return the state after another keyframe.

        Args:
            map_from_camera: (4, 4).
            odom_from_camera: (4, 4); None if odometry is unknown.
            max_jump_m: a larger motion of map -> odom begins a segment; 0: none does.

        Returns:
            That, and None in the segment of the keyframe before; else the reason for a new one,
            '' for the first of a recording.
        """
        before = after = self.map_from_odom
        if odom_from_camera is not None:
            after = map_from_camera @ np.linalg.inv(odom_from_camera)
        same, next_one = Segments(self.count, True, after), Segments(self.count + 1, True, after)
        if not self.is_begun:
            return next_one, ''
        if before is None or odom_from_camera is None or max_jump_m <= 0.0:
            return same, None
        moved = correction(map_from_camera, before @ odom_from_camera)
        if moved <= max_jump_m:
            return same, None
        return next_one, (
            f'map -> odom moved by {moved:.2f} m since the last keyframe, at most '
            f'{max_jump_m:g} m are taken as one (max_tf_jump): segment {next_one.count} begins'
        )


def correction(after: np.ndarray, before: np.ndarray) -> float:
    """Return how far a correction moved a camera [m], or what it sees VIEW_DISTANCE_M ahead.

    Args:
        after: world_from_camera (4, 4).
        before: the same camera, uncorrected.
    """
    ahead = np.array([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, VIEW_DISTANCE_M, 1.0]]).T
    return float(np.linalg.norm(((after - before) @ ahead)[:3], axis=0).max())
