# SPDX-License-Identifier: Apache-2.0
"""Settings of the system pixloc, and of the training of its network."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.config import NOT_MEASURED, setting


@dataclass(frozen=True)
class PixLocConfig:
    """Start of a query, and the extent of its refinement."""

    start: str = setting(
        'retrieval',
        'poses that a query starts from: those of retrieved reference images, beside a guess '
        'where there is one; or the guess alone',
        choices=('retrieval', 'guess'),
    )
    retrieved: int = setting(
        10, 'reference images that a query starts from', low=1, origin=NOT_MEASURED
    )
    starts: int = setting(
        12,
        'most promising rotations of these starts, refined coarsely',
        low=1,
        origin=NOT_MEASURED,
    )
    thinned: int = setting(
        2, 'of so many points one is used to compare rotations', low=1, origin=NOT_MEASURED
    )
    candidates: int = setting(
        4,
        'coarsely refined poses that are refined to the end, one by one until one is accepted',
        low=1,
        origin=NOT_MEASURED,
    )
    iterations: int = setting(
        15, 'steps of the optimiser on each level, at most', low=1, origin='as in the training'
    )


@dataclass(frozen=True)
class PixLocTraining:
    """Settings of the end-to-end training from poses."""

    steps: int = setting(2500, 'gradient steps', low=1)
    pairs: int = setting(4, 'pairs of images per step', low=1)
    crop: int = setting(160, 'side of an image', unit='px', low=64)
    points: int = setting(200, 'points of a pair', low=16)
    iterations: int = setting(5, 'steps of the optimiser on each level', low=1)
    learning_rate: float = setting(1e-3, 'peak of the one-cycle schedule', low=1e-6)
    prior_rate: float = setting(
        20.0, 'learning rate of damping and scale, of that of the weights', low=0.0
    )
    rendered_share: float = setting(
        0.5,
        'share of the pairs from posed frames with depth, where there are any',
        low=0.0,
        high=1.0,
    )
    start_noise: float = setting(
        0.08,
        'standard deviation of the start beside the motion: turn [rad], and shift of the depth',
        low=0.0,
    )
    seed: int = setting(0, 'seed of all draws', low=0)
