# SPDX-License-Identifier: Apache-2.0
"""Free space of a room, and paths through it that keep their distance from furniture."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import cv2
import numpy as np

from dsac_ros.synthetic.surfaces import Obstacle

CELL_M = 0.05
_STEPS = [(dy, dx, float(np.hypot(dy, dx))) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


class FreeSpace:
    """Distance to the nearest obstacle on a grid over the floor.

    clearance (H, W) float32 [m], row = y, column = x; `open` (H, W) bool is the largest connected
    area that keeps `keep_m` from everything; sight (H, W) is where nothing rises above `eye_m`.
    """

    def __init__(
        self,
        extent: np.ndarray,
        obstacles: Sequence[Obstacle],
        keep_m: float,
        eye_m: float = np.inf,
    ) -> None:
        """Takes the room's size (3,) [m] and what stands in it."""
        size = np.ceil(extent[:2] / CELL_M).astype(int) + 1
        free = np.ones((size[1], size[0]), np.uint8)
        free[[0, -1]] = 0
        free[:, [0, -1]] = 0
        self.sight = free.copy()
        for obstacle in obstacles:
            corners = np.round(obstacle.corners_xy / CELL_M).astype(np.int32)
            cv2.fillConvexPoly(free, corners, 0)
            if obstacle.height > eye_m:
                cv2.fillConvexPoly(self.sight, corners, 0)
        self.clearance = cv2.distanceTransform(free, cv2.DIST_L2, 5) * CELL_M
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            (self.clearance > keep_m).astype(np.uint8), connectivity=4
        )
        if len(stats) < 2:
            raise ValueError(f'no place in the room keeps {keep_m} m from everything')
        self.open = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))

    def clearance_at(self, points: np.ndarray) -> np.ndarray:
        """Distance to the nearest obstacle [m] at points (N, 2)."""
        xy = np.asarray(points, np.float32)[None] / np.float32(CELL_M)
        return cv2.remap(self.clearance, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR, borderValue=0)[
            0
        ]

    def view_length(
        self, place: np.ndarray, angles: np.ndarray, limit_m: float = 3.0
    ) -> np.ndarray:
        """Return the free distances (K,) from a place (2,) along angles (K,) [rad]."""
        reach = np.arange(2, int(limit_m / 0.1)) * 0.1
        ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        points = place + reach[None, :, None] * ways[:, None]
        column, row = np.moveaxis(np.round(points / CELL_M).astype(int), -1, 0)
        height, width = self.sight.shape
        blocked = self.sight[row.clip(0, height - 1), column.clip(0, width - 1)] == 0
        return np.where(blocked.any(axis=1), reach[blocked.argmax(axis=1)], limit_m)

    def draw_place(self, rng: np.random.Generator) -> np.ndarray:
        """A random open place (2,) [m]."""
        rows, columns = np.nonzero(self.open)
        k = int(rng.integers(len(rows)))
        return np.array((columns[k], rows[k]), float) * CELL_M

    def way(self, start: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """The cheapest way (N, 2) [m] between two open places (Dijkstra 1959).

        It prefers distance from obstacles.
        """
        first, last = (
            tuple(np.round(p[::-1] / CELL_M).astype(int).tolist()) for p in (start, goal)
        )
        price = (1 + 0.35 / np.maximum(self.clearance, 0.05) ** 2).tolist()
        is_open = self.open.tolist()
        cost, before = {first: 0.0}, {}
        queue = [(0.0, first)]
        while queue:
            reached, cell = heapq.heappop(queue)
            if cell == last:
                break
            if reached > cost[cell]:
                continue
            for dy, dx, length in _STEPS:
                y, x = step = (cell[0] + dy, cell[1] + dx)
                if is_open[y][x]:
                    total = reached + length * price[y][x]
                    if total < cost.get(step, np.inf):
                        cost[step], before[step] = total, cell
                        heapq.heappush(queue, (total, step))
        cells = [last]
        while cells[-1] != first:
            cells.append(before[cells[-1]])
        return np.array(cells[::-1], float)[:, ::-1] * CELL_M
