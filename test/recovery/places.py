# SPDX-License-Identifier: Apache-2.0
"""Places that a simulated robot drives in: a rendered room somewhere in the map frame."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import se2
from scipy.ndimage import gaussian_filter1d

from dsac_ros.sources.rendered import robot_camera
from dsac_ros.synthetic.drive import STEP_M, arc_length, mast
from dsac_ros.synthetic.free_space import FreeSpace
from dsac_ros.synthetic.world import RenderedWorld

CAMERA = robot_camera((320, 240))
CAMERA_HEIGHT_M = 0.7
BASE_FROM_CAMERA = mast(CAMERA_HEIGHT_M, 0.0)
ROOM, OTHER_ROOM = 1, 6
TWIN_X_M = 12.0
# A camera in front of a wall or a cupboard sees nothing that tells the place; of the views of this
# median depth and more the map must know nearly all (test_harness).
GOOD_VIEW_M = 0.8


@functools.cache
def world(seed: int) -> RenderedWorld:
    """The room of a seed; it takes a second to build."""
    return RenderedWorld(seed)


class Place:
    """A room whose corner lies at `origin` (x, y) [m] in the map."""

    def __init__(self, seed: int = ROOM, origin: tuple[float, float] = (0.0, 0.0)) -> None:
        self.world = world(seed)
        self.space = FreeSpace(
            self.world.extent[1], self.world.obstacles, 0.33, eye_m=0.9 * CAMERA_HEIGHT_M
        )
        self._map_from_room = np.array((*origin, 0.0))

    def random_pose(self, rng: np.random.Generator) -> np.ndarray:
        """map_from_base of a robot that stands anywhere and looks anywhere."""
        pose = np.array((*self.space.draw_place(rng), rng.uniform(-np.pi, np.pi)))
        return se2.compose(self._map_from_room, pose)

    def render(self, map_from_base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The light (H, W, 3) at the robot's camera, and the depth (H, W) [m]."""
        base = se2.to_matrix(se2.relative(self._map_from_room, map_from_base))
        return self.world.render_linear(base @ BASE_FROM_CAMERA, CAMERA)

    def tour(self, start: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Ways (N, 3) in the map without end, each from where the last one ended.

        Poses lie STEP_M apart and look along the way; places not visited lately are preferred.
        """
        place = se2.relative(self._map_from_room, start)[:2]
        visited = [place]
        while True:
            choices = [self.space.draw_place(rng) for _ in range(8)]
            goal = max(choices, key=lambda p: min(np.linalg.norm(p - q) for q in visited[-4:]))
            corners = self.space.way(place, goal)
            if len(corners) < 4:
                continue
            corners[0] = place
            place = goal
            visited.append(goal)
            poses = facing_ahead(evenly_spaced(corners))
            yield np.stack([se2.compose(self._map_from_room, pose) for pose in poses])


def evenly_spaced(corners: np.ndarray, sigma_m: float = 0.15) -> np.ndarray:
    """Points (N, 2) along a way, its corners rounded, its ends kept."""
    along = arc_length(corners)
    even = np.arange(0, along[-1], STEP_M)
    points = np.stack([np.interp(even, along, corners[:, k]) for k in range(2)], axis=1)
    pad = min(len(points) - 1, int(4 * sigma_m / STEP_M))
    padded = np.pad(points, ((pad, pad), (0, 0)), 'reflect', reflect_type='odd')
    return gaussian_filter1d(padded, sigma_m / STEP_M, axis=0)[pad:-pad]


def facing_ahead(points: np.ndarray) -> np.ndarray:
    """Poses (N, 3) of a robot with two wheels at points (N, 2) of its way."""
    ahead = np.gradient(points, axis=0)
    return np.column_stack([points, np.arctan2(ahead[:, 1], ahead[:, 0])])
