# SPDX-License-Identifier: Apache-2.0
"""Plots of the errors of a drive: trajectory, error curves, errors over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dsac_ros.evaluation.ground import GroundPlane
from dsac_ros.evaluation.plots.style import (
    BLUE,
    EMPTY_LIMITS,
    ERROR_COLOURS,
    FAINT,
    INK,
    ORANGE,
    RED,
    framed,
    plain_ticks,
    plan,
    styled,
)
from dsac_ros.metrics import Report


@styled
def draw_trajectory(
    references: np.ndarray, estimates: Sequence[np.ndarray | None], report: Report
) -> Figure:
    """Plot estimates and ground truth (F, 4, 4) from above."""
    plane = GroundPlane.under(references)
    truth = plane.project(references[:, :3, 3])
    figure, axes = plan(*framed(truth))
    draw_poses(figure, axes, plane, truth, estimates, report)
    axes.set_title('Trajectory from above')
    figure.legend(loc='outside lower center', ncols=4, handletextpad=0.3, columnspacing=1.2)
    return figure


def draw_poses(
    figure: Figure,
    axes: Axes,
    plane: GroundPlane,
    truth: np.ndarray,
    estimates: Sequence[np.ndarray | None],
    report: Report,
) -> None:
    """Plot truth (F, 2) in gray and estimates coloured by their error."""
    axes.plot(*truth.T, color=FAINT, linewidth=1.2, zorder=2)
    axes.scatter(
        *truth.T,
        s=16,
        color='white',
        edgecolors=FAINT,
        linewidths=0.9,
        zorder=3,
        label='ground truth',
    )
    accepted = [
        row for row, pose in enumerate(estimates) if pose is not None and report.accepted[row]
    ]
    if accepted:
        places = plane.project(np.array([estimates[row][:3, 3] for row in accepted]))  # type: ignore
        for place, row in zip(places, accepted):
            axes.plot(
                *np.array([truth[row], place]).T, color=RED, linewidth=0.7, alpha=0.7, zorder=3
            )
        errors = np.maximum(report.translation_m[accepted], 1e-6) * 100
        least, most = np.percentile(errors, (2, 98))
        dots = axes.scatter(
            *places.T,
            s=20,
            c=errors,
            cmap=ERROR_COLOURS,
            zorder=4,
            norm=LogNorm(least, max(most, 2 * least)),
            linewidths=0,
            label='estimate',
        )
        bar = figure.colorbar(dots, ax=axes, shrink=0.75, pad=0.02, extend='both')
        plain_ticks(bar.ax, 'y')
        bar.set_label('translation error [cm]')
        bar.outline.set_visible(False)
    refused = np.flatnonzero(~report.accepted)
    if len(refused):
        axes.scatter(
            *truth[refused].T,
            marker='x',
            s=34,
            color=RED,
            linewidths=1.4,
            zorder=5,
            label=f'not accepted ({len(refused)})',
        )
    axes.scatter(*truth[0], marker='>', s=70, color=INK, zorder=6, label='start')
    axes.set(xlabel=f'{plane.labels[0]} [m]', ylabel=f'{plane.labels[1]} [m]')


@styled
def draw_error_curves(report: Report) -> Figure:
    """Plot the share of all frames below an error; frames that are not accepted never count."""
    figure = Figure(figsize=(7.2, 2.9))
    for column, (errors, unit, marks) in enumerate(
        (
            (report.translation_m * 100, 'translation error [cm]', (2, 5, 10)),
            (report.rotation_deg, 'rotation error [deg]', (2, 5)),
        )
    ):
        axes = figure.add_subplot(1, 2, column + 1)
        for chosen, colour, style, name in (
            (report.accepted, BLUE, '-', 'accepted'),
            (np.isfinite(errors), FAINT, '--', 'all estimates'),
        ):
            values = np.sort(np.maximum(errors[chosen & np.isfinite(errors)], 1e-3))
            shares = np.arange(1, len(values) + 1) / max(len(errors), 1)
            axes.step(
                values,
                shares,
                where='post',
                color=colour,
                linestyle=style,
                label=name,
                linewidth=2 if style == '-' else 1.2,
                zorder=3 if style == '-' else 2,
            )
        for mark in marks:
            axes.axvline(mark, color=ORANGE, linewidth=0.8, alpha=0.7, zorder=1)
            axes.text(mark, 1.03, f'{mark:g}', color=ORANGE, ha='center', fontsize=8)
        axes.set(xscale='log', ylim=(0, 1.02), xlabel=unit)
        if not np.isfinite(errors).any():
            axes.set_xlim(*EMPTY_LIMITS)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, 0))
        plain_ticks(axes, 'x')
        if column == 0:
            axes.set_ylabel('share of all frames')
        else:
            axes.legend(loc='lower right')
    return figure


@styled
def draw_errors_over_time(report: Report, seconds: np.ndarray) -> Figure:
    """Plot the errors of every frame over the time since the start, seconds (F,)."""
    figure = Figure(figsize=(7.2, 3.4))
    upper = figure.add_subplot(2, 1, 1)
    lower = figure.add_subplot(2, 1, 2, sharex=upper)
    refused = ~report.accepted
    for axes, errors, colour, name in (
        (upper, report.translation_m * 100, BLUE, 'translation [cm]'),
        (lower, report.rotation_deg, ORANGE, 'rotation [deg]'),
    ):
        shown = np.where(np.isfinite(errors), np.maximum(errors, 1e-3), np.nan)
        axes.plot(seconds, np.where(refused, np.nan, shown), color=colour, linewidth=1, zorder=2)
        axes.scatter(seconds[~refused], shown[~refused], s=8, color=colour, zorder=3)
        axes.set(yscale='log', ylabel=name)
        if refused.all():
            axes.set_ylim(*EMPTY_LIMITS)
        plain_ticks(axes, 'y')
        for second in seconds[refused]:
            axes.axvline(second, color=RED, linewidth=1, alpha=0.5, zorder=1)
    upper.tick_params(labelbottom=False)
    if refused.any():
        upper.set_title(
            'red: not accepted', color=RED, fontsize=8, fontweight='normal', loc='right'
        )
    lower.set_xlabel('time [s]')
    return figure
