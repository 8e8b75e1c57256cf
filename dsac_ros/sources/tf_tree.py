# SPDX-License-Identifier: Apache-2.0
"""A tree of frames over the whole length of a recording, asked for at any stamp."""
from __future__ import annotations

import logging
from collections import Counter, defaultdict

import numpy as np

from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.poses import poses_from_rows

log = logging.getLogger(__name__)


class TfTree:
    """Transforms parent_from_child; moving edges are interpolated, static ones always hold."""

    def __init__(self) -> None:
        """Starts without frames; `add` them, then ask."""
        self._samples: dict[tuple[str, str], list[tuple]] = defaultdict(list)
        self._static: dict[tuple[str, str], tuple] = {}
        self._edges: dict[str, tuple[str, Trajectory | np.ndarray]] | None = None

    def add(self, parent: str, child: str, stamp_ns: int, row: tuple[float, ...],
            static: bool = False) -> None:
        """Add one transform as x y z qx qy qz qw."""
        self._edges = None
        edge = (parent.lstrip('/'), child.lstrip('/'))
        if static:
            self._static[edge] = row
        else:
            self._samples[edge].append((stamp_ns, *row))

    @property
    def frames(self) -> list[str]:
        """The names of all frames, sorted."""
        return sorted({name for edge in (*self._samples, *self._static) for name in edge})

    def reaches(self, target: str, source: str) -> bool:
        """Whether there is a way of transforms between two frames, at whatever time."""
        return self._common(target, source) is not None

    def lookup(self, target: str, source: str, stamp_ns: int,
               max_gap_ns: int) -> np.ndarray | None:
        """target_from_source (4, 4) at a stamp, each edge interpolated; None if one fails."""
        common = self._common(target, source)
        if common is None:
            return None
        ways = []
        for name in (target, source):
            pose = np.eye(4)
            for motion in self._motions_below(name, common):
                edge = (motion if isinstance(motion, np.ndarray)
                        else motion.at(stamp_ns, max_gap_ns))
                if edge is None:
                    return None
                pose = edge @ pose
            ways.append(pose)
        common_from_target, common_from_source = ways
        return np.linalg.inv(common_from_target) @ common_from_source

    def _motions_below(self, name: str, ancestor: str) -> list[Trajectory | np.ndarray]:
        """The edges from a frame up to an ancestor, the frame's own first."""
        edges = self._parents()
        motions = []
        while name != ancestor:
            name, motion = edges[name]
            motions.append(motion)
        return motions

    def _common(self, a: str, b: str) -> str | None:
        """The closest frame that both hang from, None if there is none."""
        above_a = set(self._chain(a))
        return next((name for name in self._chain(b) if name in above_a), None)

    def _chain(self, name: str) -> list[str]:
        """A frame and its ancestors; a loop ends the chain."""
        edges, chain = self._parents(), [name]
        while chain[-1] in edges and edges[chain[-1]][0] not in chain:
            chain.append(edges[chain[-1]][0])
        return chain

    def _parents(self) -> dict[str, tuple[str, Trajectory | np.ndarray]]:
        """Per child its parent and the motion of that edge, made when first asked for."""
        if self._edges is None:
            counts: dict[str, Counter] = defaultdict(Counter)
            for parent, child in self._static:
                counts[child][parent] += 1
            for (parent, child), rows in self._samples.items():
                counts[child][parent] += len(rows)
            self._edges = {}
            for child, parents in counts.items():
                # Two parents of one frame contradict each other; the one that spoke more counts.
                parent = parents.most_common(1)[0][0]
                if len(parents) > 1:
                    log.warning('TF frame %s has the parents %s: %s is used', child,
                                ', '.join(sorted(parents)), parent)
                self._edges[child] = (parent, self._motion(parent, child))
        return self._edges

    def _motion(self, parent: str, child: str) -> Trajectory | np.ndarray:
        rows = self._samples.get((parent, child))
        if not rows:
            return poses_from_rows(np.array([self._static[parent, child]]))[0]
        stamps = np.array([row[0] for row in rows], dtype=np.int64)
        return Trajectory(stamps, poses_from_rows(np.array([row[1:] for row in rows])))
