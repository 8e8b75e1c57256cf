# SPDX-License-Identifier: Apache-2.0
"""Plots of the calibration of covariance and confidence, and of latency."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dsac_ros.evaluation.plots.style import BLUE, FAINT, INK, ORANGE, RED, plain_ticks, styled
from dsac_ros.metrics import SIGMA_RADII, Report


@styled
def draw_calibration(report: Report) -> Figure:
    """Plot the calibration of the covariance, and confidence against error."""
    figure = Figure(figsize=(7.2, 3.0))
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    distances = report.mahalanobis[report.accepted & ~np.isnan(report.mahalanobis)]
    predicted = np.sort(six_dof_share(distances[np.isfinite(distances)]))
    left.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle='--', label='ideal')
    left.step(
        np.append(predicted, 1),
        np.arange(1, len(predicted) + 2) / (len(distances) + 1),
        where='post',
        color=BLUE,
        linewidth=2,
        label='accepted frames',
    )
    for radius, name, side in zip(SIGMA_RADII.values(), '123', ('center', 'right', 'left')):
        share = float(six_dof_share(np.array([radius]))[0])
        left.axvline(share, color=ORANGE, linewidth=0.8, alpha=0.7)
        left.text(share, 1.03, rf'${name}\,\sigma$', color=ORANGE, ha=side, fontsize=8)
    left.set(
        xlabel='share promised by the covariance',
        ylabel='share found',
        xlim=(0, 1.01),
        ylim=(0, 1.02),
    )
    left.legend(loc='best')
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, 0))
    errors = np.clip(
        np.where(np.isfinite(report.translation_m), report.translation_m, 1e3) * 100, 0.05, 1e3
    )
    for chosen, colour, marker, name in (
        (report.accepted, BLUE, 'o', 'accepted'),
        (~report.accepted, RED, 'x', 'not accepted'),
    ):
        if chosen.any():
            right.scatter(
                report.confidence[chosen],
                errors[chosen],
                s=18,
                color=colour,
                marker=marker,
                linewidths=0 if marker == 'o' else 1.2,
                alpha=0.7,
                label=name,
            )
    right.axhline(25, color=ORANGE, linewidth=0.8, alpha=0.7)
    right.set(
        xlabel='confidence', ylabel='translation error [cm]', yscale='log', xlim=(-0.03, 1.03)
    )
    plain_ticks(right, 'y')
    right.legend(loc='best')
    return figure


def six_dof_share(distances: np.ndarray) -> np.ndarray:
    """Return the chi-square distribution of 6 degrees of freedom at squared distances."""
    half = np.asarray(distances) / 2
    return 1 - np.exp(-half) * (1 + half + half**2 / 2)


@styled
def draw_latency(report: Report) -> Figure:
    """Plot the time per stage, and the total time of each frame."""
    figure = Figure(figsize=(7.2, 2.4))
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    stages = [stage for stage in report.latency_ms if stage != 'total']
    names = [*stages, 'total'] if 'total' in report.latency_ms else stages
    for row, stage in enumerate(names):
        times = report.latency_ms[stage]
        middle, late = np.percentile(times, (50, 95))
        left.barh(row, middle, color=INK if stage == 'total' else BLUE, height=0.6)
        left.plot([middle, late], [row, row], color=ORANGE, linewidth=2, solid_capstyle='butt')
        left.text(late, row, f'  {middle:.1f}', va='center', fontsize=8)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.margins(x=0.15)
    left.grid(axis='y', visible=False)
    left.set_xlabel('median, line to the 95th percentile [ms]')
    if names:
        total = report.latency_ms[names[-1]]
        right.plot(total, color=INK, linewidth=1)
        right.set(xlabel='frame', ylabel=f'{names[-1]} [ms]', ylim=(0, 1.1 * total.max()))
    return figure
