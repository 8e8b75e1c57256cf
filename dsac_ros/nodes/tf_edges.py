# SPDX-License-Identifier: Apache-2.0
"""Record of the samples received for each edge of the TF tree, to explain missing transforms."""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, field, replace

from dsac_ros.nodes.sample_times import MAX_SAME_CLOCK_S, Limits, gap_reason, reason_at
from dsac_ros.nodes.stamps import RestartDetector

#: An edge with a single sample counts as static after this time [s].
STATIC_AFTER_S = 3.0
MAX_NAMED_FRAMES = 12


@dataclass
class Edge:
    """A frame under its parent: stamps [ns] of its samples, arrival of the first one."""

    parent: str
    is_static: bool
    heard_s: float
    stamps: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class TfPath:
    """The edges (parent, child) from either frame up to their closest common ancestor."""

    from_target: tuple[tuple[str, str], ...]
    from_source: tuple[tuple[str, str], ...]

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """All edges, those of the source first."""
        return self.from_source + self.from_target


class TfEdges:
    """Filled by the TF listener; thread-safe."""

    def __init__(self, cache_s: float, static_topic: str = '/tf_static') -> None:
        """Keep the stamps of the last cache_s; static_topic is named in reasons."""
        self._cache_ns, self._static_topic = int(cache_s * 1e9), static_topic
        self._edges: dict[str, Edge] = {}
        self._restarts: dict[str, RestartDetector] = {}
        self._lock = threading.Lock()

    def add(self, parent: str, child: str, stamp: int, is_static: bool, now_s: float) -> int:
        """Record a transform received at now_s of a steady clock.

        Returns:
            How far the stamps of this edge fell [ns] if time starts over; otherwise 0.
        """
        parent, child = parent.lstrip('/'), child.lstrip('/')
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or (edge.parent, edge.is_static) != (parent, is_static):
                edge = self._edges[child] = Edge(parent, is_static, now_s)
            if is_static:
                return 0
            fall = self._restarts.setdefault(child, RestartDetector()).restarted(stamp, now_s)
            stamps = edge.stamps
            index = bisect.bisect_left(stamps, stamp)
            if index == len(stamps) or stamps[index] != stamp:
                stamps.insert(index, stamp)
                del stamps[: bisect.bisect_left(stamps, stamps[-1] - self._cache_ns)]
            return fall

    def clear(self) -> None:
        """Forget dynamic transforms, whose stamps belong to another run."""
        with self._lock:
            self._edges = {name: edge for name, edge in self._edges.items() if edge.is_static}
            for detector in self._restarts.values():
                detector.begin_anew()

    @property
    def frames(self) -> list[str]:
        """The names of all frames, sorted."""
        with self._lock:
            return sorted({*self._edges, *(edge.parent for edge in self._edges.values())})

    def ancestors(self, frame: str) -> list[str]:
        """Return the ancestors of a frame, parent first."""
        with self._lock:
            return self._chain(frame)[1:]

    def descendants(self, frame: str) -> list[str]:
        """Return the descendants of a frame, sorted."""
        with self._lock:
            return sorted(name for name in self._edges if frame in self._chain(name)[1:])

    def edge(self, child: str) -> Edge | None:
        """Return a copy of the edge from a frame to its parent; None if it has none."""
        with self._lock:
            found = self._edges.get(child)
            return None if found is None else replace(found, stamps=list(found.stamps))

    def path(self, target: str, source: str) -> TfPath | None:
        """Return the edges between two frames; None if TF does not connect them."""
        with self._lock:
            target_ancestors, source_ancestors = self._chain(target), self._chain(source)
        common = next((name for name in source_ancestors if name in target_ancestors), None)
        if common is None:
            return None
        return TfPath(_pairs(target_ancestors, common), _pairs(source_ancestors, common))

    def static_children(self, path: TfPath, now_s: float) -> set[str]:
        """Return children of edges published once on the topic of dynamic transforms.

        They are treated as static.
        """
        with self._lock:
            return {
                name
                for _, name in path.edges
                if (edge := self._edges.get(name))
                and not edge.is_static
                and len(edge.stamps) == 1
                and now_s - edge.heard_s >= STATIC_AFTER_S
            }

    def newest(self, path: TfPath) -> int | None:
        """Return the newest stamp [ns] of the dynamic edges of a path; None if there are none."""
        stamps = [stamps[-1] for _, stamps in self._moving(path, set()) if stamps]
        return max(stamps, default=None)

    def is_late(self, path: TfPath, stamp: int) -> bool:
        """Return whether the samples of a dynamic edge end before a stamp, not long before."""
        return any(
            not stamps or 0 < stamp - stamps[-1] <= MAX_SAME_CLOCK_S * 1e9
            for _, stamps in self._moving(path, set())
        )

    def gap_reason(self, path: TfPath, stamp: int, limits: Limits) -> str:
        """Return why the samples around a stamp are too sparse to interpolate; '' if not."""
        return next(
            filter(
                None,
                (
                    gap_reason(what, stamps, stamp, limits)
                    for what, stamps in self._moving(path, set())
                ),
            ),
            '',
        )

    def reason(
        self,
        target: str,
        source: str,
        stamp: int,
        limits: Limits,
        now_s: float,
        parameters: dict[str, str],
    ) -> str:
        """Return why there is no transform at a stamp, and the remedy; '' if nothing is wrong.

        Args:
            target: target frame of the lookup.
            source: source frame of the lookup.
            stamp: time of the lookup [ns].
            limits: that applied.
            now_s: time of the steady clock.
            parameters: frame -> the parameter that names it; default camera_frame.
        """
        path = self.path(target, source)
        disconnected = self.disconnected_reason(target, source, parameters)
        if disconnected or path is None:
            return disconnected
        reasons = (
            reason_at(what, stamps, stamp, limits)
            for what, stamps in self._moving(path, self.static_children(path, now_s))
        )
        return next(filter(None, reasons), '')

    def disconnected_reason(self, target: str, source: str, parameters: dict[str, str]) -> str:
        """Return why TF connects two frames at no time, and the remedy; '' if it does."""
        frames = self.frames
        for frame in (target, source):
            if frame not in frames:
                return self._unknown(frame, parameters.get(frame, 'camera_frame'), frames)
        return '' if self.path(target, source) else self._disconnected(target, source)

    def _moving(self, path: TfPath, static_children: set[str]) -> list[tuple[str, list[int]]]:
        """Return name and stamps of the dynamic edges of a path."""
        with self._lock:
            return [
                (f'{parent} -> {name}', list(edge.stamps))
                for parent, name in path.edges
                if (edge := self._edges.get(name))
                and not edge.is_static
                and name not in static_children
            ]

    def _chain(self, name: str) -> list[str]:
        """Return a frame and its ancestors; a loop ends the chain."""
        chain = [name]
        while (edge := self._edges.get(chain[-1])) and edge.parent not in chain:
            chain.append(edge.parent)
        return chain

    def _unknown(self, frame: str, parameter: str, frames: list[str]) -> str:
        if not frames:
            return (
                f'no transform was received, TF does not contain frame {frame!r} (is it '
                'published, on this topic and domain?)'
            )
        known = ', '.join(frames[:MAX_NAMED_FRAMES]) + (
            ', ...' if len(frames) > MAX_NAMED_FRAMES else ''
        )
        if not frame:
            of = (
                'the image has no frame_id'
                if parameter == 'camera_frame'
                else f'parameter {parameter} is empty'
            )
            return f'{of}: set {parameter} to one of the frames of TF ({known})'
        return (
            f'TF does not contain frame {frame!r}, only {known}: {self._static_advice()}publish '
            f'where it is, or name another frame with {parameter}'
        )

    def _disconnected(self, target: str, source: str) -> str:
        with self._lock:
            roots = self._chain(source)[-1], self._chain(target)[-1]
        return (
            f'TF does not connect {source} (below {roots[0]}) and {target} (below {roots[1]}): '
            f'{self._static_advice()}nobody publishes a transform between the two trees, is '
            'odometry, a localizer or a static transform missing?'
        )

    def _static_advice(self) -> str:
        with self._lock:
            heard = any(edge.is_static for edge in self._edges.values())
        return (
            ''
            if heard
            else (
                f'nothing was received on {self._static_topic} (robot_state_publisher or '
                'static_transform_publisher publish it); '
            )
        )


def _pairs(chain: list[str], end: str) -> tuple[tuple[str, str], ...]:
    """Return (parent, child) along a chain of ancestors, up to `end`."""
    names = chain[: chain.index(end) + 1]
    return tuple(zip(names[1:], names))
