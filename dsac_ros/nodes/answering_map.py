# SPDX-License-Identifier: Apache-2.0
"""The map of a set that answers for an image, and the frame that its poses are in."""

from __future__ import annotations

from typing import cast

from dsac_ros.map_set.localizer import MapSetLocalizer
from dsac_ros.systems.system import System
from dsac_ros.types import Localization


def answering_system(localizer: System, found: Localization) -> System:
    """Return the system of the map that a localization names; a single map is itself."""
    if isinstance(localizer, MapSetLocalizer) and found.map_id:
        return cast(System, localizer.system_of(found.map_id))
    return localizer


def answering_frame(localizer: System, found: Localization, map_frame: str) -> str:
    """Return the frame of a pose: that of the floor, in a set whose maps have several frames.

    Args:
        localizer: of the map or the map set in use.
        found: pose in one of its maps.
        map_frame: parameter, the frame of a single map and of a set with one frame.
    """
    several = isinstance(localizer, MapSetLocalizer) and len(localizer.maps.frames) > 1
    return found.map_frame if several and found.map_frame else map_frame
