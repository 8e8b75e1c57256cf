# SPDX-License-Identifier: Apache-2.0
"""Evidence that the recovery gets, and decisions that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class VisualFix:
    """An accepted pose of the robot, beside what odometry and localizer say at its stamp.

    stamp_s: of the image [s]; map_from_base (4, 4) and its covariance (6, 6) in ROS order;
    odom_from_base (4, 4) and localizer_map_from_base (4, 4), None where unknown.
    """

    stamp_s: float
    map_from_base: np.ndarray
    covariance: np.ndarray
    odom_from_base: np.ndarray | None = None
    localizer_map_from_base: np.ndarray | None = None


@dataclass(frozen=True)
class Refusal:
    """An image without an accepted pose.

    is_usable: nothing was wrong with the image itself. is_ambiguous: it fits several places, which
    voids what others seemed to tell.
    """

    reason: str
    is_usable: bool = True
    is_ambiguous: bool = False


@dataclass(frozen=True)
class Tick:
    """Time passes.

    has_localizer: another node says in TF where the robot is. listeners: subscribers of the seeds.
    """

    has_localizer: bool = False
    listeners: int = 1


@dataclass(frozen=True)
class Request:
    """Somebody asks for the pose: a service, an action, a trigger topic."""


@dataclass(frozen=True)
class Withdrawal:
    """Nobody asks any longer: answered elsewhere, timed out or cancelled."""


@dataclass(frozen=True)
class Reset:
    """All evidence is void: a jump of the clock, another map, a call of ~/clear, activation."""

    reason: str


Event = VisualFix | Refusal | Tick | Request | Withdrawal | Reset


@dataclass(frozen=True)
class Seed:
    """Decision: send this fix, carried by odometry to now, to the localizer."""

    fix: VisualFix
    reason: str


@dataclass(frozen=True)
class Verified:
    """Decision: the pose is known and, where there is one, the localizer has it."""

    fix: VisualFix
    reason: str


@dataclass(frozen=True)
class GiveUp:
    """Decision: tell the operator; no more seeds until one succeeds by hand, or ~/clear."""

    reason: str


Decision = Seed | Verified | GiveUp
