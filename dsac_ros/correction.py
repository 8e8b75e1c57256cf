# SPDX-License-Identifier: Apache-2.0
"""Correction of the drift of odometry, map -> odom: gated, smoothed and bounded in speed.

All distances are taken at the robot, where it stands in odometry: seen from the origin of
odometry, which may be far away, a small rotation of the correction moves the robot a long way.
Translation and rotation are interpolated apart, linearly and along the geodesic of SO(3), so that
a bound on the speed is exact; corrections of planar robots stay planar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from dsac_ros.config import CorrectionConfig
from dsac_ros.geometry.planar import planar_correction
from dsac_ros.geometry.rotation import axis_angle_from_matrix, matrix_from_axis_angle
from dsac_ros.recovery.agreement import viewpoint_changed

#: Poses beyond max_jump that are older than this confirm nothing [ns].
MAX_PENDING_AGE_NS = 30_000_000_000
#: Distance and angle to the target that are none [m, rad].
ARRIVED = 1e-6


@dataclass(frozen=True)
class Motion:
    """Motion between two corrections at one point: translation (3,) [m], axis-angle (3,) [rad]."""

    translation: np.ndarray
    rotation: np.ndarray

    @property
    def distance(self) -> float:
        """Length of the translation [m]."""
        return float(np.linalg.norm(self.translation))

    @property
    def angle(self) -> float:
        """Angle of the rotation [rad]."""
        return float(np.linalg.norm(self.rotation))

    @property
    def size(self) -> float:
        """The larger of distance and angle: of points up to 1 m from the robot."""
        return max(self.distance, self.angle)


@dataclass(frozen=True)
class _Pending:
    """A correction beyond max_jump, the robot in odometry then, and the stamp [ns]."""

    map_from_odom: np.ndarray
    odom_from_base: np.ndarray
    stamp: int


class Correction:
    """Holds map -> odom; times are passed in [ns], of one clock that rises."""

    def __init__(self, settings: CorrectionConfig, planar: bool) -> None:
        """Know nothing yet; planar: keep x, y and yaw only."""
        self.settings, self.planar = settings, planar
        self._target: np.ndarray | None = None
        self._current: np.ndarray | None = None
        self._last = 0
        self._pending: list[_Pending] = []

    @property
    def target(self) -> np.ndarray | None:
        """map_from_odom (4, 4) of the last accepted pose; None before the first."""
        return self._target

    def reset(self) -> None:
        """Forget everything: the map or the time base has changed."""
        self._target = self._current = None
        self._pending = []

    def add(self, map_from_base: np.ndarray, odom_from_base: np.ndarray, stamp: int) -> str:
        """Take an accepted pose.

        Args:
            map_from_base: (4, 4), by the image.
            odom_from_base: (4, 4), by odometry at the stamp of the image.
            stamp: of the image [ns].

        Returns:
            The reason why the pose does not count; '' if it does.
        """
        found = (
            planar_correction(map_from_base, odom_from_base)
            if self.planar
            else map_from_base @ np.linalg.inv(odom_from_base)
        )
        limit, point = self.settings.max_jump, odom_from_base[:3, 3]
        if self._target is not None and limit > 0.0:
            jump = motion_between(self._target, found, point)
            if jump.size > limit:
                return self._add_pending(_Pending(found, odom_from_base, stamp), jump)
        self._pending = []
        self._target = found
        if self._current is None:
            self._current = found
        return ''

    def _add_pending(self, new: _Pending, jump: Motion) -> str:
        """Count the poses beyond max_jump that agree; enough of them replace the correction.

        They must show two viewpoints: what misleads one image misleads all of a robot at rest.
        """
        settings, point = self.settings, new.odom_from_base[:3, 3]
        agreeing = [
            old
            for old in self._pending
            if abs(new.stamp - old.stamp) <= MAX_PENDING_AGE_NS
            and motion_between(old.map_from_odom, new.map_from_odom, point).size
            <= settings.jump_agreement
        ]
        self._pending = [*agreeing, new]
        count = len(self._pending)
        has_moved = viewpoint_changed([one.odom_from_base for one in self._pending], settings)
        if count >= settings.jump_confirmations and has_moved:
            self._pending = []
            # At once: a robot that was carried is in no place on the way.
            self._target = self._current = new.map_from_odom
            return ''
        lacking = (
            f'{count} of {settings.jump_confirmations} poses that agree'
            if count < settings.jump_confirmations
            else f'{count} poses agree, but the robot must move {settings.viewpoint_change_xy:g} '
            f'm or turn {settings.viewpoint_change_yaw:g} deg to be sure'
        )
        return (
            f'the pose moves the robot by {jump.distance:.2f} m and '
            f'{math.degrees(jump.angle):.0f} deg, at most {settings.max_jump:g} m and '
            f'{math.degrees(settings.max_jump):.0f} deg are believed at once (max_jump): {lacking}'
        )

    def advance(self, now: int, odom_from_base: np.ndarray | None) -> np.ndarray | None:
        """Move towards the target and return map_from_odom (4, 4) to publish; None before one.

        Args:
            now: time [ns].
            odom_from_base: (4, 4), newest pose by odometry: the point at which speeds are
                bounded; None for the origin of odometry.
        """
        elapsed = max(0.0, (now - self._last) / 1e9) if self._last else 0.0
        self._last = now
        if self._current is None or self._target is None:
            return None
        point = np.zeros(3) if odom_from_base is None else odom_from_base[:3, 3]
        self._current = step(self._current, self._target, point, elapsed, self.settings)
        return self._current


def motion_between(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> Motion:
    """Return the motion from one map_from_odom (4, 4) to another of a point (3,) of odometry."""
    rotation = torch.from_numpy(end[:3, :3] @ start[:3, :3].T)
    moved = (end[:3, :3] - start[:3, :3]) @ point + end[:3, 3] - start[:3, 3]
    return Motion(moved, axis_angle_from_matrix(rotation).numpy())


def step(
    start: np.ndarray,
    end: np.ndarray,
    point: np.ndarray,
    elapsed: float,
    settings: CorrectionConfig,
) -> np.ndarray:
    """Return map_from_odom (4, 4) between two others, after an elapsed time [s].

    The way is taken as seen at a point (3,) of odometry: an exponential approach, bounded in
    speed.
    """
    tau, rate = settings.smoothing_tau, settings.max_correction_rate
    if tau <= 0.0 and rate <= 0.0:
        return end
    motion = motion_between(start, end, point)
    if motion.size < ARRIVED:
        return end
    share = 1.0 - math.exp(-elapsed / tau) if tau > 0.0 else 1.0
    shares = [share, share]
    if rate > 0.0:
        lengths = (motion.distance, motion.angle)
        shares = [
            min(share, rate * elapsed / length) if length > 0.0 else share for length in lengths
        ]
    turned = matrix_from_axis_angle(torch.from_numpy(shares[1] * motion.rotation)).numpy()
    result = np.eye(4)
    result[:3, :3] = turned @ start[:3, :3]
    here = start[:3, :3] @ point + start[:3, 3] + shares[0] * motion.translation
    result[:3, 3] = here - result[:3, :3] @ point
    return result
