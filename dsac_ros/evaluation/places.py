# SPDX-License-Identifier: Apache-2.0
"""Errors by place: cells of a grid on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsac_ros.evaluation.ground import GroundPlane
from dsac_ros.metrics import Report, field_median

CELLS = 16  # along the longer side of the place, at most
STEPS = (1, 2, 5, 10)  # sizes of cells, times a power of ten


@dataclass(frozen=True)
class ErrorGrid:
    """Errors of the frames in each occupied cell of a grid.

    Attributes:
        plane: ground plane that the grid lies in.
        cell_m: side of a cell [m].
        cells: one object a cell, by row and column: x_m and y_m of its centre along the axes of
            the plane, frames, accepted, false_accepts, median errors of all its frames.
    """

    plane: GroundPlane
    cell_m: float
    cells: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the object of the JSON."""
        return {
            'axes': list(self.plane.labels),
            'cell_m': self.cell_m,
            'cells': list(self.cells),
        }


def cell_size(points: np.ndarray) -> float:
    """Return the side [m] of cells, 1, 2 or 5 times a power of ten, for points (F, 2)."""
    longest = max(float(np.ptp(points, axis=0).max()), 1e-3)
    power = 10.0 ** math.floor(math.log10(longest / CELLS))
    return next(step * power for step in STEPS if CELLS * step * power >= longest * (1 - 1e-9))


def error_grid(references: np.ndarray, report: Report) -> ErrorGrid:
    """Gather the errors by true position, references world_from_camera (F, 4, 4)."""
    plane = GroundPlane.under(references)
    points = plane.project(references[:, :3, 3])
    side = cell_size(points)
    index = np.floor(points / side).astype(int)
    wrong = report.false_accepts()
    cells = []
    for row, column in sorted({(int(y), int(x)) for x, y in index}):
        here = (index == (column, row)).all(axis=1)
        cells.append(
            {
                'x_m': (column + 0.5) * side,
                'y_m': (row + 0.5) * side,
                'frames': int(here.sum()),
                'accepted': int(report.accepted[here].sum()),
                'false_accepts': int(wrong[here].sum()),
                'median_translation_m': field_median(report.translation_m[here]),
                'median_rotation_deg': field_median(report.rotation_deg[here]),
            }
        )
    return ErrorGrid(plane, side, tuple(cells))
