# SPDX-License-Identifier: Apache-2.0
"""Plot of a kidnap simulation: pose found over the time since the start."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dsac_ros.evaluation.kidnaps import Kidnaps
from dsac_ros.evaluation.plots.style import BLUE, RED, styled

LEAST_S = 1.0  # width of the time axis


@styled
def draw_kidnaps(kidnaps: Kidnaps) -> Figure:
    """Plot the share of starts with a right pose, and with a wrong one, over time."""
    figure = Figure(figsize=(7.2, 2.8))
    axes = figure.add_subplot()
    both = np.concatenate([kidnaps.right_s, kidnaps.wrong_s])
    end = max(LEAST_S, 1.05 * float(both[np.isfinite(both)].max(initial=0.0)))
    for times, colour, label in (
        (kidnaps.right_s, BLUE, 'right pose accepted'),
        (kidnaps.wrong_s, RED, 'wrong pose accepted'),
    ):
        found = np.sort(times[np.isfinite(times)])
        shares = np.arange(len(found) + 1) / len(times)
        axes.step(
            np.concatenate([[0.0], found, [end]]),
            np.append(shares, shares[-1]),
            where='post',
            color=colour,
            linewidth=2,
            label=f'{label} ({len(found)} of {len(times)} starts)',
        )
    axes.set(xlim=(0, end), ylim=(0, 1.02), xlabel='time since the start [s]')
    axes.set_ylabel('share of the starts')
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, 0))
    figure.legend(loc='outside upper center', ncols=2)
    return figure
