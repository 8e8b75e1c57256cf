# SPDX-License-Identifier: Apache-2.0
"""Settings of the system relative_pose."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.config import setting


@dataclass(frozen=True)
class RelativePoseConfig:
    """Size of the map, and number of mapping images that a query is compared with."""

    references: int = setting(
        120,
        'mapping images kept, spread over viewpoints',
        low=2,
        origin='chosen by hand: 7 MB for a room',
    )
    features: int = setting(
        400, 'features kept of each', low=20, origin='chosen by hand: 7 MB for a room'
    )
    retrieved: int = setting(
        12,
        'mapping images that a query is compared with',
        low=2,
        origin='chosen by hand: each costs a match and a RANSAC',
    )
