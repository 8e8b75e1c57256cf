# SPDX-License-Identifier: Apache-2.0
"""Settings of clusters: how a place is divided, and when a process is given up."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.config import NOT_MEASURED, setting


@dataclass(frozen=True)
class DivisionConfig:
    """Settings of clusters: how a place is divided, and when a process is given up."""

    cluster_overlap: float = setting(
        0.25,
        'share by which the centre of another cluster may be further away than that of its own '
        'for a frame to be in both',
        low=0.0,
        high=1.0,
        origin=NOT_MEASURED,
    )
    cluster_frames: int = setting(
        400,
        'frames beyond which a cluster is divided where their number is auto',
        low=20,
        origin=NOT_MEASURED,
    )
    cluster_extent: float = setting(
        2.0,
        'root mean square distance of a cluster from its centre, in depths of the scene, beyond '
        'which it is divided where the number is auto',
        low=0.1,
        origin=NOT_MEASURED,
    )
    min_cluster_frames: int = setting(20, 'least frames of a cluster', low=4, origin=NOT_MEASURED)
    silent_s: float = setting(
        60.0,
        'time without a sign of life after which a process has died and others learn its cluster',
        unit='s',
        low=5.0,
        origin='signs come every 2 s; a machine that swaps may be late',
    )
