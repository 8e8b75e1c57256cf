# SPDX-License-Identifier: Apache-2.0
"""History of one frame: its parent and its place in it over time."""

from __future__ import annotations

import bisect
from typing import NamedTuple

from tf2_py import ExtrapolationException

from tf2_ros.rigid import Rigid


class Placement(NamedTuple):
    """parent_from_frame at one time."""

    parent: str
    transform: Rigid


class StaticHistory:
    """A frame that does not move."""

    is_static = True
    latest_ns = 0

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def at(self, stamp_ns: int) -> Placement:
        """Return the placement, whenever."""
        return self._placement

    def parent_at(self, stamp_ns: int) -> str:
        """Return the parent, whenever."""
        return self._placement.parent


class MovingHistory:
    """A frame that moves: interpolated between stamps, never extrapolated."""

    is_static = False

    def __init__(self, cache_ns: int) -> None:
        self._cache_ns = cache_ns
        self._stamps: list[int] = []
        self._placements: list[Placement] = []

    @property
    def latest_ns(self) -> int:
        """Return the newest stamp."""
        return self._stamps[-1]

    def insert(self, stamp_ns: int, placement: Placement) -> bool:
        """Keep a placement; False for one that is too old or known already."""
        if self._stamps and stamp_ns < self.latest_ns - self._cache_ns:
            return False
        index = bisect.bisect_left(self._stamps, stamp_ns)
        if index < len(self._stamps) and self._stamps[index] == stamp_ns:
            return False
        self._stamps.insert(index, stamp_ns)
        self._placements.insert(index, placement)
        expired = bisect.bisect_left(self._stamps, self.latest_ns - self._cache_ns)
        del self._stamps[:expired], self._placements[:expired]
        return True

    def at(self, stamp_ns: int) -> Placement:
        """Return the placement at a time; 0 is the newest."""
        before, after, fraction = self._around(stamp_ns)
        if before.parent != after.parent or fraction == 0.0:
            return before
        return Placement(before.parent, before.transform.towards(after.transform, fraction))

    def parent_at(self, stamp_ns: int) -> str:
        """Return the parent at a time; 0 is the newest."""
        return self._around(stamp_ns)[0].parent

    def _around(self, stamp_ns: int) -> tuple[Placement, Placement, float]:
        if stamp_ns == 0 or stamp_ns == self.latest_ns:
            return self._placements[-1], self._placements[-1], 0.0
        index = bisect.bisect_right(self._stamps, stamp_ns)
        if index == 0 or index == len(self._stamps):
            raise ExtrapolationException(self._outside(stamp_ns))
        start, end = self._stamps[index - 1], self._stamps[index]
        return (
            self._placements[index - 1],
            self._placements[index],
            (stamp_ns - start) / (end - start),
        )

    def _outside(self, stamp_ns: int) -> str:
        if len(self._stamps) == 1:
            return (
                f'Lookup would require extrapolation at time {_seconds(stamp_ns)}, but only '
                f'time {_seconds(self.latest_ns)} is in the buffer'
            )
        past = stamp_ns < self._stamps[0]
        edge = (
            f'earliest data is at time {_seconds(self._stamps[0])}'
            if past
            else (f'latest data is at time {_seconds(self.latest_ns)}')
        )
        return (
            f'Lookup would require extrapolation into the {"past" if past else "future"}.  '
            f'Requested time {_seconds(stamp_ns)} but the {edge}'
        )


def _seconds(stamp_ns: int) -> str:
    return f'{stamp_ns / 1e9:.6f}'
