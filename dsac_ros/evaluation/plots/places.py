# SPDX-License-Identifier: Apache-2.0
"""Heat maps of errors and refusals by place, from above."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from dsac_ros.evaluation.places import ErrorGrid
from dsac_ros.evaluation.plots.style import (
    ERROR_COLOURS,
    FAINT,
    INK,
    RED,
    framed,
    plain_ticks,
    styled,
)

LEAST_CM = 1e-3  # on a logarithmic scale


@styled
def draw_places(grid: ErrorGrid, mapping: np.ndarray) -> Figure:
    """Plot the median error of each cell, and the share of its frames that are not right.

    mapping: world_from_camera (K, 4, 4) of mapping frames, drawn as dots.
    """
    corners = np.array([(cell['x_m'], cell['y_m']) for cell in grid.cells])
    dots = grid.plane.project(mapping[:, :3, 3])
    half = grid.cell_m / 2
    low, high = framed(np.concatenate([corners - half, corners + half, dots]))
    wide = (high - low)[0] > 1.6 * (high - low)[1]  # then one above the other
    figure = Figure(figsize=(7.2, _height(high - low, wide)))
    upper, lower = figure.subplots(2, 1) if wide else figure.subplots(1, 2)
    errors = np.array(
        [100 * cell['median_translation_m'] for cell in grid.cells]
    )  # inf: no estimate
    shown = np.maximum(errors[np.isfinite(errors)], LEAST_CM)
    least, most = (shown.min(), shown.max()) if len(shown) else (1.0, 10.0)
    bar = _draw_cells(upper, grid, errors, LogNorm(least, max(most, 1.5 * least)))
    bar.set_label('median translation error [cm]')
    plain_ticks(bar.ax, 'y')
    failed = np.array(
        [1 - (cell['accepted'] - cell['false_accepts']) / cell['frames'] for cell in grid.cells]
    )
    bar = _draw_cells(lower, grid, failed, Normalize(0, 1))
    bar.set_label('refused or wrong')
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, 0))
    for axes in (upper, lower):
        axes.scatter(*dots.T, s=5, color=INK, linewidths=0, zorder=4)
        axes.set(
            xlim=(low[0], high[0]),
            ylim=(low[1], high[1]),
            xlabel=f'{grid.plane.labels[0]} [m]',
            ylabel=f'{grid.plane.labels[1]} [m]',
        )
        axes.set_aspect('equal')
    upper.set_title('Errors by place')
    told = 'numbers: frames; dots: mapping frames' if len(dots) else 'numbers: frames'
    lower.set_title(told, fontsize=8, fontweight='normal', color=FAINT)
    return figure


def _height(size: np.ndarray, wide: bool) -> float:
    """Return the height of a figure of two maps of this size."""
    if wide:
        return float(np.clip(2 * (5.4 * size[1] / size[0] + 0.7), 3.4, 9.0))
    return float(np.clip(2.6 * size[1] / size[0] + 0.8, 2.6, 8.0))


def _draw_cells(axes: Axes, grid: ErrorGrid, values: np.ndarray, norm: Normalize) -> object:
    """Colour cells by values; one without a finite value is crossed out. Return the colour bar."""
    side = grid.cell_m
    for cell, value in zip(grid.cells, values):
        left, bottom = cell['x_m'] - side / 2, cell['y_m'] - side / 2
        known = np.isfinite(value)
        colour = ERROR_COLOURS(norm(max(value, norm.vmin))) if known else 'white'
        axes.add_patch(
            Rectangle((left, bottom), side, side, facecolor=colour, edgecolor='white', zorder=2)
        )
        if not known:
            axes.plot(
                [left, left + side], [bottom, bottom + side], color=RED, linewidth=1, zorder=3
            )
        axes.text(
            cell['x_m'],
            cell['y_m'],
            str(cell['frames']),
            ha='center',
            va='center',
            fontsize=6,
            color=INK,
            zorder=5,
        )
    image = axes.figure.colorbar(_mappable(norm), ax=axes, shrink=0.8, pad=0.02)
    image.outline.set_visible(False)
    return image


def _mappable(norm: Normalize) -> object:
    """Return what a colour bar of this scale needs."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(norm, ERROR_COLOURS)
