# SPDX-License-Identifier: Apache-2.0
"""A robot on two wheels in a rendered room: where it is, what its wheels and its camera say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import se2
from places import CAMERA, Place

from dsac_ros.synthetic.drive import STEP_M
from dsac_ros.synthetic.sensor import SensorModel

SPEED_MPS = 0.4
TURN_RATE = 0.8
SENSOR = SensorModel()
DIRTY_LIGHT = 0.03


class SimulatedRobot:
    """Drives through a place without end; its odometry knows its wheels alone.

    truth is map_from_base, odometry odom_from_base. `covered` makes the camera see nothing,
    `dirty` a third of what it sees dark, `parked` stops the wheels.
    """

    def __init__(self, place: Place, seed: int = 0, start: np.ndarray | None = None) -> None:
        self._rng = np.random.default_rng((seed, 7))
        self.covered = self.dirty = self.parked = False
        self.odometry = np.zeros(3)
        # A wheel is a little larger than the other one, and both than they should be.
        self._scale = 1 + 0.01 * self._rng.standard_normal()
        self._bend = np.radians(0.4) * self._rng.standard_normal()
        self._gains = SENSOR.gains(self._rng, 1000, 2.0)
        self._images = 0
        self.kidnap(place.random_pose(self._rng) if start is None else start, place)

    def kidnap(self, pose: np.ndarray, place: Place | None = None) -> None:
        """Put the robot elsewhere (into another place even); its odometry does not notice."""
        self.place = place or self.place
        self.truth = np.array(pose, float)
        self._ahead = self._poses(self.place)
        self._goal = next(self._ahead)

    def advance(self, seconds: float) -> None:
        """Drive on for so long."""
        before = self.truth
        if not self.parked:
            left = seconds
            while left > 1e-9:
                left = self._towards(left)
        self._turn_wheels(se2.relative(before, self.truth))

    def take_image(self) -> tuple[np.ndarray, float]:
        """The image (H, W, 3) uint8, and the median depth of the view [m]."""
        self._images += 1
        light, depth = self.place.render(self.truth)
        if self.covered:
            light = np.zeros_like(light)
        if self.dirty:
            light[:, : light.shape[1] // 3] *= DIRTY_LIGHT
        gain = self._gains[self._images % len(self._gains)]
        image = SENSOR.expose(light, depth, CAMERA, np.eye(4), gain, self._rng)
        return image, float(np.median(depth))

    def _poses(self, place: Place) -> Iterator[np.ndarray]:
        for way in place.tour(self.truth, self._rng):
            yield from way

    def _towards(self, seconds: float) -> float:
        """Turn to and drive to the next pose of the way; the seconds that are left then."""
        angle = se2.wrapped(self._goal[2] - self.truth[2])
        distance = float(np.hypot(*(self._goal[:2] - self.truth[:2])))
        # In a bend it turns while it drives; on the spot where the way begins elsewhere.
        needed = max(abs(angle) / TURN_RATE, min(distance, STEP_M) / SPEED_MPS)
        share = 1.0 if needed <= seconds else seconds / needed
        self.truth = self.truth + share * np.array((*(self._goal[:2] - self.truth[:2]), angle))
        self.truth[2] = se2.wrapped(self.truth[2])
        if share == 1.0:
            self._goal = next(self._ahead)
        return seconds - share * needed

    def _turn_wheels(self, moved: np.ndarray) -> None:
        length, rng = float(np.hypot(*moved[:2])), self._rng
        noisy = np.array((moved[0] * self._scale, moved[1] * self._scale, moved[2]))
        noisy[2] += self._bend * length + np.radians(0.5) * np.sqrt(length) * rng.standard_normal()
        noisy[2] += 0.02 * abs(moved[2]) * rng.standard_normal()
        self.odometry = se2.compose(self.odometry, noisy)
