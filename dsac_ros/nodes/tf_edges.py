# SPDX-License-Identifier: Apache-2.0
"""Samples heard of each edge of the TF tree: enough to say why there is no transform."""
from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, field

from dsac_ros.nodes.sample_times import Limits, gap_reason, reason_at

#: An edge that is said once, and no second time for this long, does not move [s].
HOLD_S = 3.0
MOST_FRAMES = 12


@dataclass
class Edge:
    """A frame under its parent: when that was said, by the stamps [ns] and by a steady clock."""

    parent: str
    is_static: bool
    heard_s: float
    stamps: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """The edges (parent, child) from either frame up to their closest common ancestor."""

    from_target: tuple[tuple[str, str], ...]
    from_source: tuple[tuple[str, str], ...]

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """All of them, those of the source first."""
        return self.from_source + self.from_target


class TfEdges:
    """Filled by the listener, asked by any thread."""

    def __init__(self, cache_s: float, static_topic: str = '/tf_static') -> None:
        """Keep the stamps of the last cache_s; static_topic is named in reasons."""
        self._cache_ns, self._static_topic = int(cache_s * 1e9), static_topic
        self._edges: dict[str, Edge] = {}
        self._lock = threading.Lock()

    def add(self, parent: str, child: str, stamp: int, is_static: bool, now_s: float) -> None:
        """Note a transform that was heard at now_s of a steady clock."""
        parent, child = parent.lstrip('/'), child.lstrip('/')
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or (edge.parent, edge.is_static) != (parent, is_static):
                edge = self._edges[child] = Edge(parent, is_static, now_s)
            stamps = edge.stamps
            index = bisect.bisect_left(stamps, stamp)
            if is_static or (index < len(stamps) and stamps[index] == stamp):
                return
            stamps.insert(index, stamp)
            del stamps[:bisect.bisect_left(stamps, stamps[-1] - self._cache_ns)]

    def clear(self) -> None:
        """Forget what moves: its stamps are of another run."""
        with self._lock:
            self._edges = {name: edge for name, edge in self._edges.items() if edge.is_static}

    @property
    def frames(self) -> list[str]:
        """The names of all frames, sorted."""
        with self._lock:
            return sorted({*self._edges, *(edge.parent for edge in self._edges.values())})

    def above(self, frame: str) -> list[str]:
        """The ancestors of a frame, its parent first."""
        with self._lock:
            return self._chain(frame)[1:]

    def below(self, frame: str) -> list[str]:
        """The descendants of a frame, sorted."""
        with self._lock:
            return sorted(name for name in self._edges if frame in self._chain(name)[1:])

    def way(self, target: str, source: str) -> Way | None:
        """The edges between two frames; None where TF does not join them."""
        with self._lock:
            above_target, above_source = self._chain(target), self._chain(source)
        common = next((name for name in above_source if name in above_target), None)
        if common is None:
            return None
        return Way(_pairs(above_target, common), _pairs(above_source, common))

    def held(self, way: Way, now_s: float) -> set[str]:
        """The children of the edges of a way that were said once, on the topic of what moves."""
        with self._lock:
            return {name for _, name in way.edges
                    if (edge := self._edges.get(name)) and not edge.is_static
                    and len(edge.stamps) == 1 and now_s - edge.heard_s >= HOLD_S}

    def gap_reason(self, way: Way, stamp: int, limits: Limits) -> str:
        """Why the samples around a stamp are too few to interpolate; '' where they are not."""
        return next(filter(None, (gap_reason(what, stamps, stamp, limits)
                                  for what, stamps in self._moving(way, set()))), '')

    def reason(self, target: str, source: str, stamp: int, limits: Limits, now_s: float,
               parameters: dict[str, str]) -> str:
        """Why there is no transform at a stamp, and what helps; '' where nothing is wrong.

        Args:
            target: frame that is asked for.
            source: frame that it is asked for of.
            stamp: when [ns].
            limits: what was waited for.
            now_s: time of the steady clock.
            parameters: frame -> the parameter that names it; the camera's otherwise.
        """
        frames = self.frames
        for frame in (target, source):
            if frame not in frames:
                return self._unknown(frame, parameters.get(frame, 'camera_frame'), frames)
        way = self.way(target, source)
        if way is None:
            return self._apart(target, source)
        reasons = (reason_at(what, stamps, stamp, limits)
                   for what, stamps in self._moving(way, self.held(way, now_s)))
        return next(filter(None, reasons), '')

    def _moving(self, way: Way, held: set[str]) -> list[tuple[str, list[int]]]:
        """Name and stamps of the edges that move."""
        with self._lock:
            return [(f'{parent} -> {name}', list(edge.stamps)) for parent, name in way.edges
                    if (edge := self._edges.get(name)) and not edge.is_static
                    and name not in held]

    def _chain(self, name: str) -> list[str]:
        """A frame and its ancestors; a loop ends the chain."""
        chain = [name]
        while (edge := self._edges.get(chain[-1])) and edge.parent not in chain:
            chain.append(edge.parent)
        return chain

    def _unknown(self, frame: str, parameter: str, frames: list[str]) -> str:
        if not frames:
            return (f'no transform was heard: TF cannot know frame {frame!r} (is it published, '
                    'on this topic and domain?)')
        known = ', '.join(frames[:MOST_FRAMES]) + (', ...' if len(frames) > MOST_FRAMES else '')
        if not frame:
            of = ('the image has no frame_id' if parameter == 'camera_frame'
                  else f'parameter {parameter} is empty')
            return f'{of}: set {parameter} to one of the frames of TF ({known})'
        return (f'TF does not know frame {frame!r}, only {known}: {self._static_advice()}publish '
                f'where it is, or name another frame with {parameter}')

    def _apart(self, target: str, source: str) -> str:
        with self._lock:
            roots = self._chain(source)[-1], self._chain(target)[-1]
        return (f'TF does not join {source} (below {roots[0]}) and {target} (below {roots[1]}): '
                f'{self._static_advice()}nobody publishes a transform between the two trees, is '
                'odometry, a localizer or a static transform missing?')

    def _static_advice(self) -> str:
        with self._lock:
            heard = any(edge.is_static for edge in self._edges.values())
        return '' if heard else (
            f'nothing was heard on {self._static_topic} (robot_state_publisher or '
            'static_transform_publisher fill it); ')


def _pairs(chain: list[str], end: str) -> tuple[tuple[str, str], ...]:
    """(parent, child) along a chain of ancestors, up to one of them."""
    names = chain[:chain.index(end) + 1]
    return tuple(zip(names[1:], names))
