# SPDX-License-Identifier: Apache-2.0
"""Settings of the recovery."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.config import ViewpointConfig, setting

#: Chosen by reasoning or after another project; the scenarios of test/recovery hold it.
REASONED = 'chosen by hand; the scenarios of test/recovery pass with it'


@dataclass(frozen=True)
class RecoveryConfig(ViewpointConfig):
    """Conditions for a seed of the localizer, and bounds on attempts."""

    min_agreeing_fixes: int = setting(
        3,
        'fixes that must agree with one another through odometry before anything follows from '
        'them',
        low=1,
        high=20,
        origin=REASONED,
    )
    recent_fixes: int = setting(
        5,
        'latest fixes among which they are sought; each that contradicts requires one more',
        low=1,
        high=50,
        origin=REASONED,
    )
    evidence_time: float = setting(
        15.0, 'age at which a fix is no longer evidence', unit='s', low=0.1, origin=REASONED
    )
    consistency_xy: float = setting(
        0.3, 'difference in position of two fixes that agree', unit='m', low=0.0, origin=REASONED
    )
    consistency_yaw: float = setting(
        10.0,
        'difference in heading of two fixes that agree',
        unit='deg',
        low=0.0,
        high=180.0,
        origin=REASONED,
    )
    kidnap_xy: float = setting(
        0.75,
        'distance of a fix from the pose of the localizer at which the two contradict, at least '
        '3 sigma of the fix',
        unit='m',
        low=0.0,
        origin=REASONED,
    )
    kidnap_yaw: float = setting(
        20.0,
        'difference in heading at which they contradict, at least 3 sigma of the fix',
        unit='deg',
        low=0.0,
        high=180.0,
        origin=REASONED,
    )
    localizer_timeout: float = setting(
        2.0,
        'time without a pose by the localizer after which there is none',
        unit='s',
        low=0.1,
        origin=REASONED,
    )
    localization_timeout: float = setting(
        5.0,
        'time after the last accepted image at which `~/localized` becomes false',
        unit='s',
        low=0.1,
        origin=REASONED,
    )
    settle_time: float = setting(
        5.0,
        'time in which the localizer must follow a seed',
        unit='s',
        low=0.1,
        origin=REASONED,
    )
    max_attempts: int = setting(
        3, 'seeds that the localizer may fail to follow before an operator is needed', low=1,
        high=100, origin=REASONED,
    )  # fmt: skip
    min_seconds_between_attempts: float = setting(
        5.0, 'time from one seed to the next', unit='s', low=0.0, origin=REASONED
    )
    require_stopped: bool = setting(
        False,
        'send a seed only while the robot stands, by the odometry of the last two fixes: for '
        'localizers that take a seed as the pose of now, and robots that must not jump on the way',
        origin=REASONED,
    )
    give_up_time: float = setting(
        30.0,
        'time with images and without an accepted one after which the place counts as unknown',
        unit='s',
        low=0.1,
        origin=REASONED,
    )


@dataclass(frozen=True)
class SeedConfig:
    """Covariance of a seed: that of the fix, widened, since a particle filter draws from it."""

    seed_std_scale: float = setting(
        2.0,
        'factor on the standard deviations of a fix in the seed for the localizer',
        low=0.0,
        origin='chosen by hand: a particle filter finds the rest by itself',
    )
    seed_min_std_xy: float = setting(
        0.25,
        'smallest standard deviation of x and y in a seed',
        unit='m',
        low=0.0,
        origin='half of the value with which nav2_amcl starts',
    )
    seed_min_std_yaw: float = setting(
        6.0,
        'smallest standard deviation of yaw in a seed',
        unit='deg',
        low=0.0,
        origin='half of the value with which nav2_amcl starts, rounded',
    )
    seed_max_std_xy: float = setting(
        1.0,
        'largest standard deviation of x and y in a seed',
        unit='m',
        low=0.0,
        origin='chosen by hand: beyond it the particles of a filter of 2000 are too far apart',
    )
    seed_max_std_yaw: float = setting(
        30.0, 'largest standard deviation of yaw in a seed', unit='deg', low=0.0, origin=REASONED
    )
