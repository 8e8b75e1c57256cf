# SPDX-License-Identifier: Apache-2.0
"""Plot of a map from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dsac_ros.errors import MapError
from dsac_ros.evaluation.ground import GroundPlane
from dsac_ros.evaluation.plots.style import BLUE, FAINT, framed, plan, styled


@styled
def draw_map(header: dict[str, Any]) -> Figure:
    """Plot positions and viewing directions of the mapping frames.

    Raises:
        MapError: the map does not contain them.
    """
    rows = np.array(header.get('keyframes') or [], dtype=float).reshape(-1, 9)
    if not len(rows):
        raise MapError(
            f'map {header.get("name")!r} has no keyframe poses; learn '
            'it again with this version to have a picture'
        )
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, 3], poses[:, :3, 1], poses[:, :3, 2] = np.split(rows, 3, axis=1)
    plane = GroundPlane.under(poses)
    places, ahead = plane.project(rows[:, :3]), plane.project(rows[:, 6:])
    figure, axes = plan(*framed(places))
    axes.plot(*places.T, color=FAINT, linewidth=1, zorder=2)
    axes.quiver(
        *places.T, *ahead.T, angles='xy', scale=22, width=0.003, color=BLUE, alpha=0.7, zorder=3
    )
    axes.scatter(*places.T, s=14, color=BLUE, linewidths=0, zorder=4)
    axes.set(
        xlabel=f'{plane.labels[0]} [m]',
        ylabel=f'{plane.labels[1]} [m]',
        title=f'{header["name"]}: learned from {header["frames"]} frames',
    )
    return figure
