# SPDX-License-Identifier: Apache-2.0
"""Agreement of visual fixes with one another, through odometry, and with the localizer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dsac_ros.config import ViewpointConfig
from dsac_ros.recovery.config import RecoveryConfig
from dsac_ros.recovery.events import VisualFix

#: Standard deviations of a fix within which the localizer does not contradict it.
SIGMAS = 3.0
#: Speed below which a robot stands; odometry at rest is noise of less [m/s, rad/s].
STANDING = 0.05, math.radians(3.0)


def agreeing_fixes(fixes: tuple[VisualFix, ...], config: RecoveryConfig) -> tuple[VisualFix, ...]:
    """Return the fixes that agree with the newest one, oldest first; () where too few do.

    Fixes that contradict it count against it if they were taken among those that agree: an older
    one only tells that the robot was elsewhere before.
    """
    if not fixes:
        return ()
    newest = fixes[-1]
    agrees = [agree(fix, newest, config) for fix in fixes]
    first = agrees.index(True)
    contradicting = agrees[first:].count(False)
    found = tuple(fix for fix, is_with in zip(fixes, agrees) if is_with)
    return found if len(found) >= config.min_agreeing_fixes + contradicting else ()


def agree(one: VisualFix, other: VisualFix, config: RecoveryConfig) -> bool:
    """Return True if odometry explains the difference of two fixes.

    Without odometry the robot must not have moved between them.
    """
    expected = other.map_from_base
    if one.odom_from_base is not None and other.odom_from_base is not None:
        expected = other.map_from_base @ np.linalg.solve(other.odom_from_base, one.odom_from_base)
    distance, angle = planar_difference(one.map_from_base, expected)
    return distance <= config.consistency_xy and angle <= math.radians(config.consistency_yaw)


def contradicts(fix: VisualFix, config: RecoveryConfig) -> bool:
    """Return True if a fix and the localizer's pose at its stamp are of different places."""
    if fix.localizer_map_from_base is None:
        return False
    distance, angle = planar_difference(fix.map_from_base, fix.localizer_map_from_base)
    sigma_xy = math.sqrt(max(0.0, float(np.linalg.eigvalsh(fix.covariance[:2, :2])[-1])))
    sigma_yaw = math.sqrt(max(0.0, float(fix.covariance[5, 5])))
    return distance > max(config.kidnap_xy, SIGMAS * sigma_xy) or angle > max(
        math.radians(config.kidnap_yaw), SIGMAS * sigma_yaw
    )


def planar_difference(map_from_a: np.ndarray, map_from_b: np.ndarray) -> tuple[float, float]:
    """Return distance in the x-y plane [m] and difference in yaw [rad] of two poses (4, 4)."""
    distance = float(np.linalg.norm(map_from_a[:2, 3] - map_from_b[:2, 3]))
    return distance, abs(yaw_of(map_from_a[:3, :3].T @ map_from_b[:3, :3]))


def yaw_of(rotation: np.ndarray) -> float:
    """Return the yaw [rad] that fits a rotation (3, 3) best."""
    return math.atan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])


def viewpoint_changed(poses: Sequence[np.ndarray], config: ViewpointConfig) -> bool:
    """Return True if the robot moved or turned enough between some two of its poses (4, 4)."""
    if config.viewpoint_change_xy <= 0:
        return True
    moves = [planar_difference(a, b) for i, a in enumerate(poses) for b in poses[i + 1 :]]
    return any(
        distance >= config.viewpoint_change_xy
        or angle >= math.radians(config.viewpoint_change_yaw)
        for distance, angle in moves
    )


def is_standing(fixes: Sequence[VisualFix]) -> bool:
    """Return True if odometry says that the robot did not move between the last two fixes."""
    if len(fixes) < 2 or fixes[-1].odom_from_base is None or fixes[-2].odom_from_base is None:
        return False
    seconds = fixes[-1].stamp_s - fixes[-2].stamp_s
    distance, angle = planar_difference(fixes[-2].odom_from_base, fixes[-1].odom_from_base)
    return seconds > 0 and distance < STANDING[0] * seconds and angle < STANDING[1] * seconds
