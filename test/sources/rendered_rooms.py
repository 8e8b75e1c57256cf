# SPDX-License-Identifier: Apache-2.0
"""Rooms that several test files share, for furnishing one takes seconds."""

from __future__ import annotations

from functools import cache

from dsac_ros.synthetic.world import RenderedWorld


@cache
def rendered_room(seed: int) -> RenderedWorld:
    """The room of this seed, built once."""
    return RenderedWorld(seed)
