# SPDX-License-Identifier: Apache-2.0
"""PixLoc after another system, whose pose it starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.errors import MapError
from dsac_ros.systems.pixloc.system import PixLoc
from dsac_ros.systems.system import System
from dsac_ros.trace import Trace
from dsac_ros.types import Frame, Localization

if TYPE_CHECKING:
    from dsac_ros.map_container import StoredMap


class Refined:
    """Answers of a map of PixLoc, each from the pose of another system, accepted there or not.

    Both maps must be of one world frame. Where the other system has no pose, its reason stands.
    """

    def __init__(self, first: System, second: System) -> None:
        """Take any system, and the one that refines its poses.

        Raises:
            MapError: the second is not a map of PixLoc.
        """
        if not isinstance(second, PixLoc):
            raise MapError(
                f'{second.map.header["name"]} is a map of the recipe '
                f'{second.map.header["recipe"]}, expected one of pixloc to refine poses with'
            )
        self.first, self.second = first, second.starting_from_guesses()

    @property
    def map(self) -> StoredMap:
        """The map that poses are refined in."""
        return self.second.map

    @property
    def device(self) -> torch.device:
        """Device that the refinement computes on."""
        return self.second.device

    @property
    def depth(self) -> float:
        """Median depth of the scene [m]."""
        return self.second.depth

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> Refined:
        """Return the same under other settings."""
        first, second = (one.with_settings(ransac, accept) for one in (self.first, self.second))
        return Refined(first, second)

    def warm_up(self) -> None:
        """Prepare what the first query would wait for."""
        self.first.warm_up()
        self.second.warm_up()

    def localize(self, frame: Frame, guess: np.ndarray | None = None) -> Localization:
        """Localize a frame, or say why that is not possible; see `System`."""
        return self.trace(frame, guess).localization

    def trace(self, frame: Frame, guess: np.ndarray | None = None) -> Trace:
        """Localize a frame by the first system, and refine its pose by the second."""
        start = self.first.trace(frame, guess)
        pose = start.localization.world_from_camera
        if pose is None:
            return start
        found = self.second.trace(frame, pose)
        timings = dict(start.localization.timings_ms)
        for stage, milliseconds in found.localization.timings_ms.items():
            timings[stage] = timings.get(stage, 0.0) + milliseconds
        return replace(found, localization=replace(found.localization, timings_ms=timings))
