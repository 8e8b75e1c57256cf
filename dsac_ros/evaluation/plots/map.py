# SPDX-License-Identifier: Apache-2.0
"""Plot of a map from above."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from dsac_ros.errors import MapError
from dsac_ros.evaluation.extrapolation import keyframe_poses
from dsac_ros.evaluation.ground import GroundPlane
from dsac_ros.evaluation.plots.style import BLUE, FAINT, framed, plan, styled


@styled
def draw_map(header: dict[str, Any]) -> Figure:
    """Plot positions and viewing directions of the mapping frames.

    Raises:
        MapError: the map does not contain them.
    """
    poses = keyframe_poses(header)
    if not len(poses):
        raise MapError(
            f'map {header.get("name")!r} has no keyframe poses; learn '
            'it again with this version to have a picture'
        )
    plane = GroundPlane.under(poses)
    places, ahead = plane.project(poses[:, :3, 3]), plane.project(poses[:, :3, 2])
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
