# SPDX-License-Identifier: Apache-2.0
"""Time-dependent poses with interpolation between samples."""

from __future__ import annotations

import numpy as np
import torch

from dsac_ros.config import PoseConvention
from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.pose_convention import world_from_camera
from dsac_ros.geometry.rotation import matrix_from_quaternion, quaternion_from_matrix

STAMP_TOLERANCE_NS = 1000  # rounding error of stamps stored as float seconds


class Trajectory:
    """Samples of world_from_x in time; interpolated, never extrapolated.

    Samples may be unsorted; of equal stamps the first is used, and non-finite poses are ignored.
    """

    def __init__(self, stamps_ns: np.ndarray, world_from_x: np.ndarray) -> None:
        """Store integer stamps_ns (N,) and poses world_from_x (N, 4, 4)."""
        stamps = np.asarray(stamps_ns, dtype=np.int64).reshape(-1)
        poses = np.asarray(world_from_x, dtype=np.float64).reshape(-1, 4, 4)
        check_shapes(stamps_ns=(stamps, 'N'), world_from_x=(poses, 'N 4 4'))
        finite = np.isfinite(poses).all(axis=(1, 2))
        self.stamps_ns, first = np.unique(stamps[finite], return_index=True)
        self.world_from_x = poses[finite][first]
        rotations = torch.from_numpy(self.world_from_x[:, :3, :3].copy())
        self._quaternions = quaternion_from_matrix(rotations).numpy()

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.stamps_ns)

    def converted(self, convention: PoseConvention) -> Trajectory:
        """Convert the samples from another convention."""
        return Trajectory(self.stamps_ns, world_from_camera(self.world_from_x, convention))

    def earlier(self, delay_ns: int) -> Trajectory:
        """Shift the stamps to be earlier by a delay."""
        return Trajectory(self.stamps_ns - delay_ns, self.world_from_x)

    def covers(self, stamp_ns: int) -> bool:
        """Return whether a stamp lies between the first and the last sample."""
        return bool(len(self)) and (
            int(self.stamps_ns[0]) - STAMP_TOLERANCE_NS
            <= stamp_ns
            <= int(self.stamps_ns[-1]) + STAMP_TOLERANCE_NS
        )

    def at(self, stamp_ns: int, max_gap_ns: int = 500_000_000) -> np.ndarray | None:
        """Return the pose (4, 4) at a stamp.

        None outside the samples, or in a gap between them of more than max_gap_ns.
        """
        if not self.covers(stamp_ns):
            return None
        stamp_ns = min(max(stamp_ns, int(self.stamps_ns[0])), int(self.stamps_ns[-1]))
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        if self.stamps_ns[after] == stamp_ns:
            return np.array(self.world_from_x[after])
        if self.stamps_ns[after] - self.stamps_ns[after - 1] > max_gap_ns:
            return None
        before = after - 1
        fraction = float(
            (stamp_ns - self.stamps_ns[before]) / (self.stamps_ns[after] - self.stamps_ns[before])
        )
        pose = np.eye(4)
        quaternion = slerp(self._quaternions[before], self._quaternions[after], fraction)
        pose[:3, :3] = matrix_from_quaternion(torch.from_numpy(quaternion)).numpy()
        pose[:3, 3] = (1.0 - fraction) * self.world_from_x[
            before, :3, 3
        ] + fraction * self.world_from_x[after, :3, 3]
        return pose


def slerp(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    """Interpolate unit quaternions (4,) at `fraction` of the shorter arc from start to end."""
    cosine = float(start @ end)
    if cosine < 0.0:
        cosine, end = -cosine, -end
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:  # the arc is straight to double precision
        return (1.0 - fraction) * start + fraction * end
    blend = np.sin((1.0 - fraction) * angle) * start + np.sin(fraction * angle) * end
    unit: np.ndarray = blend / np.sin(angle)
    return unit
