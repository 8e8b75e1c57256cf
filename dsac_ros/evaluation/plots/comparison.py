# SPDX-License-Identifier: Apache-2.0
"""Error curves of several runs in one plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dsac_ros.evaluation.plots.style import (
    BLUE,
    EMPTY_LIMITS,
    GREEN,
    INK,
    ORANGE,
    RED,
    plain_ticks,
    styled,
)
from dsac_ros.evaluation.runs import Run

COLOURS, STYLES = (BLUE, ORANGE, GREEN, RED, INK), ('-', '--', ':')


@styled
def draw_comparison(runs: Sequence[Run]) -> Figure:
    """Plot the share of all frames of each run that are accepted and below an error."""
    figure = Figure(figsize=(7.2, 3.2))
    axes = figure.subplots(1, 2, sharey=True)
    for one, name, factor, unit in zip(
        axes,
        ('translation_m', 'rotation_deg'),
        (100, 1),
        ('translation error [cm]', 'rotation error [deg]'),
    ):
        for index, run in enumerate(runs):
            errors = factor * getattr(run, name)[run.accepted]
            values = np.sort(np.maximum(errors[np.isfinite(errors)], 1e-3))
            one.step(
                values,
                np.arange(1, len(values) + 1) / max(len(run.accepted), 1),
                where='post',
                color=COLOURS[index % len(COLOURS)],
                linestyle=STYLES[index // len(COLOURS) % len(STYLES)],
                linewidth=1.8,
                label=run.name if one is axes[0] else None,
            )
        one.set(xscale='log', ylim=(0, 1.02), xlabel=unit)
        if not any(np.isfinite(getattr(run, name)[run.accepted]).any() for run in runs):
            one.set_xlim(*EMPTY_LIMITS)
        plain_ticks(one, 'x')
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, 0))
    axes[0].set_ylabel('share of all frames')
    figure.legend(loc='outside upper center', ncols=min(4, len(runs)))
    return figure
