# SPDX-License-Identifier: Apache-2.0
"""Plot of the systems of a comparison: accuracy over map size and over mapping time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsac_ros.evaluation.plots.style import BLUE, FAINT, RED, plain_ticks, styled

ABSENT_CM = 1e3  # drawn at the top: no estimate for half of the queries


@styled
def draw_systems(rows: Sequence[dict[str, Any]]) -> Figure:
    """Plot each system of a comparison by its name.

    Args:
        rows: of `dsac bench systems --json`; those with an error are left out.
    """
    figure = Figure(figsize=(8.6, 3.6))
    left, right = figure.subplots(1, 2, sharey=True)
    shown = [row for row in rows if not row['error']]
    for axes, key, scale, label in (
        (left, 'map_bytes', 1e-6, 'size of the map [MB]'),
        (right, 'mapping_seconds', 1.0, 'time of the mapping [s]'),
    ):
        for row in shown:
            draw_one(axes, row, max(1e-3, scale * row['results'][key]))
        axes.set(xlabel=label, xscale='log', yscale='log')
        axes.margins(x=0.25, y=0.12)
        for which in 'xy':
            plain_ticks(axes, which)
    left.set_ylabel('median error [cm]')
    right.scatter([], [], color=RED, s=30, label='accepted wrong poses')
    right.scatter([], [], color=BLUE, s=30, label='none wrong')
    right.legend(loc='best')
    return figure


def draw_one(axes: Axes, row: dict[str, Any], x: float) -> None:
    """Draw one system as a point with its name."""
    error = row['results']['median_translation_m']
    y = ABSENT_CM if error is None else min(ABSENT_CM, 100 * error)
    axes.scatter([x], [y], color=RED if row['results']['false_accepts'] else BLUE, s=30, zorder=3)
    axes.annotate(
        row['system'],
        (x, y),
        xytext=(5, 4),
        textcoords='offset points',
        fontsize=8,
        arrowprops={'arrowstyle': '-', 'color': FAINT, 'linewidth': 0.6},
    )
