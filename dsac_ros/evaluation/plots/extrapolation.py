# SPDX-License-Identifier: Apache-2.0
"""Plot of errors over the distance to the nearest mapping frame: extrapolation and invariance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dsac_ros.evaluation.extrapolation import medians
from dsac_ros.evaluation.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    RED,
    plain_ticks,
    styled,
)

COLOURS = (RED, ORANGE, BLUE, GREEN, INK)
LARGEST_CM = 1e3  # no estimate is drawn here
LEAST_CM = 0.01


@styled
def draw_extrapolation(rows: Sequence[dict[str, Any]]) -> Figure:
    """Plot the errors of each system, every query a point, medians of bins as a line.

    Args:
        rows: of `dsac bench extrapolation --json`: system, distance_m and error_m of its queries;
            an error of None is no estimate.
    """
    figure = Figure(figsize=(7.2, 4.2))
    axes = figure.add_subplot()
    for row, colour in zip(rows, COLOURS * len(rows)):
        distance = np.array(row['distance_m'], float)
        error = np.array([np.inf if one is None else one for one in row['error_m']], float)
        shown = np.clip(100 * error, LEAST_CM, LARGEST_CM)
        axes.scatter(100 * distance, shown, s=9, color=colour, alpha=0.3, linewidths=0)
        middle, median = medians(distance, error)
        axes.plot(
            100 * middle,
            np.clip(100 * median, LEAST_CM, LARGEST_CM),
            color=colour,
            linewidth=2,
            marker='o',
            markersize=4,
            label=row['system'],
        )
    low, high = axes.get_xlim()
    axes.plot([max(low, LEAST_CM), high], [max(low, LEAST_CM), high], color=FAINT, linestyle='--')
    axes.annotate(
        'as far off as the mapping frame',
        (low, max(low, LEAST_CM)),
        xytext=(4, -12),
        textcoords='offset points',
        fontsize=8,
        color=FAINT,
    )
    axes.set(
        xlim=(low, high),
        xlabel='distance of the query to the nearest mapping frame [cm]',
        ylabel='error of the position [cm]',
        yscale='log',
    )
    plain_ticks(axes, 'y')
    figure.legend(loc='outside upper center', ncols=min(4, len(rows) or 1))
    return figure
