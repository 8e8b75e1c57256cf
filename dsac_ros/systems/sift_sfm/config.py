# SPDX-License-Identifier: Apache-2.0
"""Settings of the system sift_sfm."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.config import setting


@dataclass(frozen=True)
class SiftSfmConfig:
    """Settings of the mapping."""

    model_points: str = setting(
        'auto',
        'auto: the points of a COLMAP model, if the source is one with SIFT features; ignore: '
        'match and triangulate in any case',
        choices=('auto', 'ignore'),
    )
