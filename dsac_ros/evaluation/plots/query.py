# SPDX-License-Identifier: Apache-2.0
"""Plots of one query: image, scene coordinates, inlier cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dsac_ros.evaluation.ground import GroundPlane
from dsac_ros.evaluation.plots.drive import draw_poses
from dsac_ros.evaluation.plots.style import framed, styled
from dsac_ros.evaluation.query_view import QueryView
from dsac_ros.metrics import Report


@styled
def draw_query(view: QueryView) -> Figure:
    """Plot a query image, its scene coordinates as colours, and the inlier cells."""
    height, width = view.image.shape
    figure = Figure(figsize=(9.6, 9.6 / 3 * height / width + 0.35))
    panels = (
        ('the image, undistorted', view.image),
        ('scene coordinates (x, y, z as red, green, blue)', view.colours),
        (f'green: the {view.inlier_ratio:.0%} of cells that agree with the pose', shaded(view)),
    )
    for column, (title, image_shown) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 3, column)
        axes.imshow(
            image_shown,
            cmap='gray',
            vmin=0,
            vmax=255,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            interpolation='nearest',
        )
        axes.set_title(title, fontsize=8, fontweight='normal')
        axes.set_axis_off()
    return figure


def shaded(view: QueryView) -> np.ndarray:
    """Return the image (H, W, 3) with inlier cells tinted green and the others darkened."""
    grid = np.where(view.inliers[:, None], (0.28, 0.85, 0.5), (0.45, 0.25, 0.28))
    grid = grid.reshape(view.colours.shape)
    rows, columns = (
        np.arange(size) * cells // size for size, cells in zip(view.image.shape, grid.shape)
    )
    tint = grid[rows[:, None], columns[None, :]]
    return (view.image[..., None] / 255 * 0.75 + 0.25) * tint


@styled
def draw_overview(
    image: np.ndarray,
    view: QueryView,
    references: np.ndarray,
    estimates: Sequence[np.ndarray | None],
    report: Report,
) -> Figure:
    """Plot an image (H, W, 3), its scene coordinates, and the drive from above."""
    figure = Figure(figsize=(12.6, 3.7))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    for axes, image_shown, title in (
        (left, image, 'one camera image'),
        (middle, view.colours, 'a 3D scene coordinate for every cell'),
    ):
        axes.imshow(image_shown, cmap='gray', interpolation='nearest')
        axes.set_title(title)
        axes.set_axis_off()
    plane = GroundPlane.under(references)
    truth = plane.project(references[:, :3, 3])
    low, high = framed(truth)
    right.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    right.set_aspect('equal')
    draw_poses(figure, right, plane, truth, estimates, report)
    right.set_title('the poses of a drive, each from one image')
    return figure
