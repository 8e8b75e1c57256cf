# SPDX-License-Identifier: Apache-2.0
"""Common style of all figures, and their export."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from dsac_ros.compute.files import write_whole

INK, FAINT, GRID = '#1f2933', '#9aa5b1', '#e4e7eb'
BLUE, ORANGE, RED, GREEN = '#2b6cb0', '#dd6b20', '#c53030', '#2f855a'
ERROR_COLOURS = LinearSegmentedColormap.from_list('error', ['#2f855a', '#ecc94b', '#c53030'])
EMPTY_LIMITS = (0.1, 100)  # of an axis with nothing on it
LONG = 2000  # from the least to the greatest, where ticks would run into each other
STYLE = {
    'font.family': 'DejaVu Sans',
    'font.size': 9,
    'axes.titlesize': 10,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'text.color': INK,
    'axes.labelcolor': INK,
    'axes.edgecolor': FAINT,
    'xtick.color': INK,
    'ytick.color': INK,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': GRID,
    'grid.linewidth': 0.8,
    'axes.axisbelow': True,
    'legend.frameon': False,
    'figure.constrained_layout.use': True,
}

Draw = TypeVar('Draw', bound=Callable[..., Figure])


def styled(draw: Draw) -> Draw:
    """Decorate a drawing function to use the project's style only inside."""

    @wraps(draw)
    def wrapped(*args: Any, **more: Any) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **more)

    return wrapped  # type: ignore[return-value]


def png(figure: Figure, dpi: int = 130) -> bytes:
    """Return the figure as PNG data."""
    stream = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(stream, format='png', dpi=dpi, facecolor='white')
    return stream.getvalue()


def save(figure: Figure, path: Path, dpi: int = 130) -> None:
    """Write the figure as a PNG file."""
    write_whole(path, png(figure, dpi))


def framed(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a view of points (N, 2) with a margin and an aspect up to 1 : 3."""
    low, high = points.min(axis=0), points.max(axis=0)
    longest = max(float((high - low).max()), 1e-3)
    margin = np.maximum(0.08 * longest, (longest / 3 - (high - low)) / 2)
    return low - margin, high + margin


def plan(low: np.ndarray, high: np.ndarray) -> tuple[Figure, Axes]:
    """Make a figure for a view from above with equal scales."""
    width, height = high - low
    figure = Figure(figsize=(7.2, float(np.clip(6.0 * height / width, 2.0, 6.4)) + 0.9))
    axes = figure.add_subplot()
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_aspect('equal')
    return figure, axes


def plain_ticks(axes: Axes, which: str) -> None:
    """Set plain tick labels 0.1, 0.2, 0.5, 1 ... on a logarithmic axis; decades on a long one."""
    axis = axes.xaxis if which == 'x' else axes.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < LONG * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.set_minor_formatter(NullFormatter())
