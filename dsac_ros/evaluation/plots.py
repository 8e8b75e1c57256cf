# SPDX-License-Identifier: Apache-2.0
"""The pictures of the report; the one module that knows matplotlib (no display is needed).

Every function returns a figure; `save` and `png` turn it into a file or bytes.
"""
from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from dsac_ros.evaluation.ground import GroundPlane
from dsac_ros.evaluation.query_view import QueryView
from dsac_ros.metrics import SIGMA_RADII, Report

INK, FAINT, GRID = '#1f2933', '#9aa5b1', '#e4e7eb'
BLUE, ORANGE, RED, GREEN = '#2b6cb0', '#dd6b20', '#c53030', '#2f855a'
ERROR_COLOURS = LinearSegmentedColormap.from_list('error', ['#2f855a', '#ecc94b', '#c53030'])
EMPTY_LIMITS = (0.1, 100)  # of an axis with nothing on it
STYLE = {'font.family': 'DejaVu Sans', 'font.size': 9, 'axes.titlesize': 10,
         'axes.titleweight': 'bold', 'axes.titlelocation': 'left', 'text.color': INK,
         'axes.labelcolor': INK, 'axes.edgecolor': FAINT, 'xtick.color': INK, 'ytick.color': INK,
         'axes.spines.top': False, 'axes.spines.right': False, 'axes.grid': True,
         'grid.color': GRID, 'grid.linewidth': 0.8, 'axes.axisbelow': True,
         'legend.frameon': False, 'figure.constrained_layout.use': True}

Draw = TypeVar('Draw', bound=Callable[..., Figure])


def styled(draw: Draw) -> Draw:
    """Draw with the project's look and leave matplotlib's settings as they were."""
    @wraps(draw)
    def wrapped(*args: Any, **more: Any) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **more)
    return wrapped  # type: ignore[return-value]


def png(figure: Figure, dpi: int = 130) -> bytes:
    """The figure as a PNG file in memory."""
    stream = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(stream, format='png', dpi=dpi, facecolor='white')
    return stream.getvalue()


def save(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write the figure as a PNG file."""
    path.write_bytes(png(figure, dpi))


@styled
def draw_trajectory(references: np.ndarray, estimates: Sequence[np.ndarray | None],
                    report: Report) -> Figure:
    """Estimates against ground truth (F, 4, 4), seen from above."""
    plane = GroundPlane.under(references)
    truth = plane.project(references[:, :3, 3])
    low, high = framed(truth)
    figure, axes = plan(low, high)
    axes.plot(*truth.T, color=FAINT, linewidth=1.2, zorder=2)
    axes.scatter(*truth.T, s=16, color='white', edgecolors=FAINT, linewidths=0.9, zorder=3,
                 label='ground truth')
    seen = [row for row, pose in enumerate(estimates) if pose is not None and report.accepted[row]]
    if seen:
        places = plane.project(np.array([estimates[row][:3, 3] for row in seen]))  # type: ignore
        for place, row in zip(places, seen):
            axes.plot(*np.array([truth[row], place]).T, color=RED, linewidth=0.7, alpha=0.7,
                      zorder=3)
        errors = np.maximum(report.translation_m[seen], 1e-6) * 100
        least, most = np.percentile(errors, (2, 98))
        dots = axes.scatter(*places.T, s=20, c=errors, cmap=ERROR_COLOURS, zorder=4,
                            norm=LogNorm(least, max(most, 2 * least)), linewidths=0,
                            label='estimate')
        bar = figure.colorbar(dots, ax=axes, shrink=0.75, pad=0.02, extend='both')
        plain_ticks(bar.ax, 'y')
        bar.set_label('translation error [cm]')
        bar.outline.set_visible(False)
    refused = np.flatnonzero(~report.accepted)
    if len(refused):
        axes.scatter(*truth[refused].T, marker='x', s=34, color=RED, linewidths=1.4, zorder=5,
                     label=f'not accepted ({len(refused)})')
    axes.scatter(*truth[0], marker='>', s=70, color=INK, zorder=6, label='start')
    axes.set(xlabel=f'{plane.labels[0]} [m]', ylabel=f'{plane.labels[1]} [m]',
             title='Trajectory from above')
    figure.legend(loc='outside lower center', ncols=4, handletextpad=0.3, columnspacing=1.2)
    return figure


def framed(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a view on points (N, 2): a margin around them, never thinner than 1 : 3."""
    low, high = points.min(axis=0), points.max(axis=0)
    longest = max(float((high - low).max()), 1e-3)
    margin = np.maximum(0.08 * longest, (longest / 3 - (high - low)) / 2)
    return low - margin, high + margin


def plan(low: np.ndarray, high: np.ndarray) -> tuple[Figure, Axes]:
    """A figure of the right shape for a view from above with equal scales."""
    width, height = high - low
    figure = Figure(figsize=(7.2, float(np.clip(6.0 * height / width, 2.0, 6.4)) + 0.9))
    axes = figure.add_subplot()
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_aspect('equal')
    return figure, axes


def plain_ticks(axes: Axes, which: str) -> None:
    """Ticks 0.1, 0.2, 0.5, 1, 2 ... on a logarithmic axis, written plainly."""
    axis = axes.xaxis if which == 'x' else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.set_minor_formatter(NullFormatter())


@styled
def draw_error_curves(report: Report) -> Figure:
    """Share of all frames below an error; a frame that was not accepted never gets below."""
    figure = Figure(figsize=(7.2, 2.9))
    for column, (errors, unit, marks) in enumerate((
            (report.translation_m * 100, 'translation error [cm]', (2, 5, 10)),
            (report.rotation_deg, 'rotation error [deg]', (2, 5)))):
        axes = figure.add_subplot(1, 2, column + 1)
        for chosen, colour, style, name in (
                (report.accepted, BLUE, '-', 'accepted'),
                (np.isfinite(errors), FAINT, '--', 'all estimates')):
            values = np.sort(np.maximum(errors[chosen & np.isfinite(errors)], 1e-3))
            shares = np.arange(1, len(values) + 1) / max(len(errors), 1)
            axes.step(values, shares, where='post', color=colour, linestyle=style, label=name,
                      linewidth=2 if style == '-' else 1.2, zorder=3 if style == '-' else 2)
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
    """Errors of every frame in the order of the drive; seconds (F,) since its start."""
    figure = Figure(figsize=(7.2, 3.4))
    upper = figure.add_subplot(2, 1, 1)
    lower = figure.add_subplot(2, 1, 2, sharex=upper)
    refused = ~report.accepted
    for axes, errors, colour, name in (
            (upper, report.translation_m * 100, BLUE, 'translation [cm]'),
            (lower, report.rotation_deg, ORANGE, 'rotation [deg]')):
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
        upper.set_title('red: not accepted', color=RED, fontsize=8, fontweight='normal',
                        loc='right')
    lower.set_xlabel('time [s]')
    return figure


@styled
def draw_query(view: QueryView) -> Figure:
    """A query image, its scene coordinates as colours, and the cells that agree with the pose."""
    height, width = view.image.shape
    figure = Figure(figsize=(9.6, 9.6 / 3 * height / width + 0.35))
    pictures = (('the image as the network sees it', view.image),
                ('scene coordinates (x, y, z as red, green, blue)', view.colours),
                (f'green: the {view.inlier_ratio:.0%} of cells that agree with the pose',
                 shaded(view)))
    for column, (title, picture) in enumerate(pictures, 1):
        axes = figure.add_subplot(1, 3, column)
        axes.imshow(picture, cmap='gray', vmin=0, vmax=255, extent=(-0.5, width - 0.5,
                    height - 0.5, -0.5), interpolation='nearest')
        axes.set_title(title, fontsize=8, fontweight='normal')
        axes.set_axis_off()
    return figure


def shaded(view: QueryView) -> np.ndarray:
    """The image (H, W, 3) with the cells that agree tinted green and the others darkened."""
    grid = np.where(view.inliers[:, None], (0.28, 0.85, 0.5), (0.45, 0.25, 0.28))
    grid = grid.reshape(view.colours.shape)
    rows, columns = (np.arange(size) * cells // size
                     for size, cells in zip(view.image.shape, grid.shape))
    tint = grid[rows[:, None], columns[None, :]]
    return (view.image[..., None] / 255 * 0.75 + 0.25) * tint


@styled
def draw_calibration(report: Report) -> Figure:
    """Is the covariance honest, and does the confidence tell right from wrong?"""
    figure = Figure(figsize=(7.2, 3.0))
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    distances = report.mahalanobis[report.accepted & ~np.isnan(report.mahalanobis)]
    predicted = np.sort(six_dof_share(distances[np.isfinite(distances)]))
    left.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle='--', label='ideal')
    left.step(np.append(predicted, 1), np.arange(1, len(predicted) + 2) / (len(distances) + 1),
              where='post', color=BLUE, linewidth=2, label='accepted frames')
    for radius, name, side in zip(SIGMA_RADII.values(), '123', ('center', 'right', 'left')):
        share = float(six_dof_share(np.array([radius]))[0])
        left.axvline(share, color=ORANGE, linewidth=0.8, alpha=0.7)
        left.text(share, 1.03, rf'${name}\,\sigma$', color=ORANGE, ha=side, fontsize=8)
    left.set(xlabel='share promised by the covariance', ylabel='share found', xlim=(0, 1.01),
             ylim=(0, 1.02))
    left.legend(loc='upper left')
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, 0))
    errors = np.clip(np.where(np.isfinite(report.translation_m), report.translation_m, 1e3) * 100,
                     0.05, 1e3)
    for chosen, colour, marker, name in ((report.accepted, BLUE, 'o', 'accepted'),
                                         (~report.accepted, RED, 'x', 'not accepted')):
        if chosen.any():
            right.scatter(report.confidence[chosen], errors[chosen], s=18, color=colour,
                          marker=marker, linewidths=0 if marker == 'o' else 1.2, alpha=0.7,
                          label=name)
    right.axhline(25, color=ORANGE, linewidth=0.8, alpha=0.7)
    right.set(xlabel='confidence', ylabel='translation error [cm]', yscale='log',
              xlim=(-0.03, 1.03))
    plain_ticks(right, 'y')
    right.legend(loc='best')
    return figure


def six_dof_share(distances: np.ndarray) -> np.ndarray:
    """Chi-square distribution of 6 degrees of freedom at squared distances."""
    half = np.asarray(distances) / 2
    return 1 - np.exp(-half) * (1 + half + half ** 2 / 2)


@styled
def draw_latency(report: Report) -> Figure:
    """Where the milliseconds of a frame go, and how steady they are."""
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


@styled
def draw_map(header: dict[str, Any]) -> Figure:
    """A map from above: where it was learned from and what it spans."""
    low, high = (np.array(header['bounds'][end]) for end in ('min', 'max'))
    figure, axes = plan(*framed(np.stack([low[:2], high[:2]])))
    axes.add_patch(rectangle(low[:2], high[:2]))
    places = np.array(header.get('keyframes', [])).reshape(-1, 3)
    if len(places):
        dots = axes.scatter(places[:, 0], places[:, 1], c=places[:, 2], s=14, cmap='viridis',
                            norm=Normalize(*(places[:, 2].min(), places[:, 2].max() + 1e-6)))
        bar = figure.colorbar(dots, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label('height of the camera [m]')
        bar.outline.set_visible(False)
    axes.set(xlabel='x [m]', ylabel='y [m]', title=f'{header["name"]}, {header["frames"]} frames')
    return figure


def rectangle(low: np.ndarray, high: np.ndarray) -> Any:
    """The outline of an extent."""
    from matplotlib.patches import Rectangle
    return Rectangle(tuple(low), *(high - low), facecolor='#f5f7fa', edgecolor=FAINT,
                     linestyle='--', zorder=1)
