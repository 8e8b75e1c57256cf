# SPDX-License-Identifier: Apache-2.0
"""Plot of trust where it is hard to earn: coverage by difficulty, ROC of the confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dsac_ros.evaluation.consistency import SHARES
from dsac_ros.evaluation.plots.style import BLUE, FAINT, GREEN, INK, ORANGE, RED, styled
from dsac_ros.metrics import Report

COLOURS = (BLUE, ORANGE, GREEN, RED, INK)


@styled
def draw_difficulty(consistency: dict[str, Any], report: Report) -> Figure:
    """Plot the coverage of each quartile of difficulty, and the ROC curves of the confidence.

    consistency: object of `evaluation.consistency`.
    """
    figure = Figure(figsize=(7.2, 3.2))
    left, right = figure.subplots(1, 2)
    _draw_coverage(left, consistency['quartiles'])
    _draw_roc(right, report)
    return figure


def _draw_coverage(axes: Axes, quartiles: list[dict[str, Any]]) -> None:
    places = np.arange(len(quartiles))
    for (name, ideal), colour in zip(SHARES.items(), COLOURS):
        axes.axhline(ideal, color=colour, linewidth=0.9, linestyle='--', alpha=0.6)
        axes.plot(
            places,
            [one['pose']['coverage'][name] for one in quartiles],
            color=colour,
            marker='o',
            markersize=4,
            label=f'{name[0]} sigma',
        )
    ranges = ['\n'.join(f'{100 * bound:.2g} cm' for bound in one['sigma_m']) for one in quartiles]
    axes.set_xticks(places, ranges)
    axes.set(ylim=(0, 1.04), xlabel='predicted error, from and to', xlim=(-0.4, 3.4))
    axes.set_title('Coverage by difficulty')
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, 0))
    axes.legend(loc='lower left')


def _draw_roc(axes: Axes, report: Report) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle='--', linewidth=1)
    drawn = 0
    for (_, limit), colour in zip(report.limits.recall.items(), COLOURS):
        right = report.within(*limit)
        if right.all() or not right.any():
            continue
        axes.step(
            *roc_curve(report.confidence, right),
            where='post',
            color=colour,
            linewidth=1.8,
            label=f'{100 * limit[0]:.3g} cm, {limit[1]:g} deg',
        )
        drawn += 1
    axes.set(xlim=(-0.02, 1.02), ylim=(0, 1.04), xlabel='of the poses beyond, above a confidence')
    axes.set_ylabel('of the poses within')
    axes.set_title('ROC of the confidence')
    if drawn:
        axes.legend(loc='lower right', title='within')
    else:
        axes.text(0.5, 0.4, 'all poses within every limit,\nor none', ha='center', color=FAINT)


def roc_curve(scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the false and the true positive rates of every threshold of scores (F,)."""
    order = np.argsort(-scores, kind='stable')
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of equal scores
    rates = [kind[order].cumsum()[ends] / kind.sum() for kind in (~right, right)]
    return np.append(0.0, rates[0]), np.append(0.0, rates[1])
