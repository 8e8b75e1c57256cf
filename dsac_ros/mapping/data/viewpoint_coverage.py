# SPDX-License-Identifier: Apache-2.0
"""Coverage of a place by viewpoints: in which directions keyframes look from each ground cell."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

CELL_M = 0.5
#: Heading sectors of 45 deg, about the angle that a camera sees to either side of its axis.
SECTORS = 8
#: Cells of a side of the grid; a larger place gets larger cells.
MAX_SIDE = 400
#: A camera that looks closer than this to straight up or down has no heading.
MIN_HORIZONTAL = 0.3
#: Positions beyond are none of a robot, and too large for a grid.
MAX_POSITION_M = 1e8
UNKNOWN = -1
BITS = np.array([bin(mask).count('1') for mask in range(1 << SECTORS)])


@dataclass(frozen=True)
class CoverageGrid:
    """Share of heading sectors that no keyframe nearby looks into, by ground cell.

    Attributes:
        values: (H, W) int8 [%], row 0 at the smallest y; 0: seen in all directions, 100: in none,
            UNKNOWN: no keyframe within a cell.
        cell_m: side of a cell [m].
        corner_xy: the corner of the first cell [m].
    """

    values: np.ndarray
    cell_m: float
    corner_xy: tuple[float, float]


class ViewpointCoverage:
    """The directions of view by ground cell; `grid` makes a picture of limited size of them."""

    def __init__(self, poses: Iterable[np.ndarray] = ()) -> None:
        """Start with keyframes whose poses world_from_camera (4, 4) are known."""
        self._sectors: dict[tuple[int, int], int] = {}
        self.revision = 0
        for pose in poses:
            self.add(pose)

    def add(self, world_from_camera: np.ndarray) -> None:
        """Count a keyframe; z of the world points up, z of the camera forward."""
        position = world_from_camera[:2, 3]
        if not np.isfinite(world_from_camera).all() or np.abs(position).max() > MAX_POSITION_M:
            return
        x, y = (int(index) for index in np.floor(position / CELL_M))
        before = self._sectors.get((x, y))
        now = (before or 0) | heading_bit(world_from_camera[:3, 2])
        if now != before:
            self._sectors[x, y] = now
            self.revision += 1

    def grid(self) -> CoverageGrid | None:
        """Return the grid around all keyframes, at most MAX_SIDE cells a side; None for none."""
        seen = list(self._sectors.items())
        if not seen:
            return None
        cells = np.array([cell for cell, _ in seen])
        masks = np.array([mask for _, mask in seen], dtype=np.uint8)
        merged = 1
        while np.ptp(cells // merged, axis=0).max() + 3 > MAX_SIDE:
            merged *= 2
        cells = cells // merged
        corner = cells.min(axis=0) - 1
        width, height = cells.max(axis=0) - corner + 2
        sectors, known = np.zeros((height, width), np.uint8), np.zeros((height, width), bool)
        columns, rows = (cells - corner).T
        np.bitwise_or.at(sectors, (rows, columns), masks)
        known[rows, columns] = True
        if merged == 1:  # larger cells are themselves as wide as a view reaches
            sectors, known = with_neighbours(sectors), with_neighbours(known)
        missing = np.rint(100.0 * (SECTORS - BITS[sectors]) / SECTORS)
        values = np.where(known, missing, UNKNOWN).astype(np.int8)
        size = CELL_M * merged
        return CoverageGrid(values, size, (float(corner[0] * size), float(corner[1] * size)))


def heading_bit(forward: np.ndarray) -> int:
    """Return the bit of the sector that an axis (3,) points into; 0 for one up or down."""
    x, y = float(forward[0]), float(forward[1])
    if math.hypot(x, y) < MIN_HORIZONTAL:
        return 0
    # Sectors are centred on the axes, so that a robot along a wall does not flicker between two.
    return 1 << round(math.atan2(y, x) / (2.0 * math.pi / SECTORS)) % SECTORS


def with_neighbours(cells: np.ndarray) -> np.ndarray:
    """Join each cell (H, W) with the eight around it, by bitwise or."""
    padded = np.pad(cells, 1)
    height, width = cells.shape
    joined = np.zeros_like(cells)
    for row in range(3):
        for column in range(3):
            joined |= padded[row : row + height, column : column + width]
    return joined
