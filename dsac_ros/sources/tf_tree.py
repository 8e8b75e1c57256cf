# SPDX-License-Identifier: Apache-2.0
"""A tree of frames over the whole length of a recording, asked for at any stamp."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.poses import missing_pose, poses_from_rows

RESET = (
    'goes back within the bag; of poses with the same stamp the first counts, so that it is '
    'better cut there'
)
RESET_NS = 1_000_000_000  # transforms of several nodes are out of order by less


def goes_back(stamps_ns: Sequence[int]) -> bool:
    """Return whether stamps in the order of recording are those of a clock that was set back."""
    return len(stamps_ns) > 1 and int(np.diff(np.array(stamps_ns)).min()) < -RESET_NS


class TfTree:
    """Transforms parent_from_child; moving edges are interpolated, still ones always hold.

    An edge is still that is static, or whose samples are all the same: a single sample too.
    """

    def __init__(self) -> None:
        """Starts without frames; `add` them, then ask."""
        self._samples: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
        self._static: dict[tuple[str, str], tuple[float, ...]] = {}
        self._edges: dict[str, tuple[str, Trajectory | np.ndarray]] | None = None
        self._moved_static: set[tuple[str, str]] = set()
        self._contradictions: list[str] = []

    def add(
        self, parent: str, child: str, stamp_ns: int, row: tuple[float, ...], static: bool = False
    ) -> None:
        """Add one transform as x y z qx qy qz qw."""
        self._edges = None
        edge = (parent.lstrip('/'), child.lstrip('/'))
        if static:
            if not np.allclose(self._static.get(edge, row), row, atol=1e-6, equal_nan=True):
                self._moved_static.add(edge)
            self._static[edge] = row
        else:
            self._samples[edge].append((stamp_ns, *row))

    @property
    def frames(self) -> list[str]:
        """The names of all frames, sorted."""
        return sorted({name for edge in (*self._samples, *self._static) for name in edge})

    @property
    def limits(self) -> tuple[int, int]:
        """The first and the last stamp [ns] of what moves, (1, 0) where nothing does."""
        stamps = [row[0] for rows in self._samples.values() for row in rows]
        return (min(stamps), max(stamps)) if stamps else (1, 0)

    @property
    def contradictions(self) -> list[str]:
        """The contradictions between transforms, and which side of each is taken."""
        self._parents()
        return [
            *self._contradictions,
            *(
                f'static TF {parent} <- {child} is given in two ways, and the last one is taken'
                for parent, child in sorted(self._moved_static)
            ),
            *(
                f'the clock of TF {parent} <- {child} {RESET}'
                for (parent, child), rows in sorted(self._samples.items())
                if goes_back([row[0] for row in rows])
            ),
        ]

    def above(self, name: str) -> list[str]:
        """The ancestors of a frame, its parent first."""
        return self._chain(name)[1:]

    def below(self, name: str) -> list[str]:
        """The frames that hang below a frame, sorted."""
        return [frame for frame in self.frames if name in self.above(frame)]

    def reaches(self, target: str, source: str) -> bool:
        """Return True if transforms connect two frames, at whatever time."""
        return self._common(target, source) is not None

    def held(self, target: str, source: str) -> list[str]:
        """The edges between two frames that are not static and yet still, 'parent <- child'."""
        common = self._common(target, source)
        if common is None:
            return []
        return [
            f'{parent} <- {child}'
            for name in (target, source)
            for child, parent, motion in self._edges_below(name, common)
            if isinstance(motion, np.ndarray) and self._samples.get((parent, child))
        ]

    def lookup(self, target: str, source: str, stamp_ns: int, max_gap_ns: int) -> np.ndarray | str:
        """target_from_source (4, 4) at a stamp, each edge interpolated, or why there is none."""
        common = self._common(target, source)
        if common is None:
            return f'no TF from {source} to {target}'
        ways = []
        for name in (target, source):
            pose = np.eye(4)
            for child, parent, motion in self._edges_below(name, common):
                if isinstance(motion, np.ndarray):
                    pose = motion @ pose
                    continue
                edge = motion.at(stamp_ns, max_gap_ns)
                if edge is None:
                    return missing_pose(motion, stamp_ns, max_gap_ns, f'TF {parent} <- {child}')
                pose = edge @ pose
            ways.append(pose)
        common_from_target, common_from_source = ways
        if not np.isfinite(common_from_target).all():
            return f'TF to {target} that is not finite'
        return np.linalg.inv(common_from_target) @ common_from_source

    def _edges_below(
        self,
        name: str,
        ancestor: str,
    ) -> list[tuple[str, str, Trajectory | np.ndarray]]:
        """Child, parent and motion from a frame up to an ancestor, the frame's own edge first."""
        edges = self._parents()
        found = []
        while name != ancestor:
            parent, motion = edges[name]
            found.append((name, parent, motion))
            name = parent
        return found

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
            counts: dict[str, Counter[str]] = defaultdict(Counter)
            for parent, child in self._static:
                counts[child][parent] += 1
            for (parent, child), rows in self._samples.items():
                counts[child][parent] += len(rows)
            self._edges, self._contradictions = {}, []
            for child, parents in counts.items():
                # Two parents of one frame contradict each other; the one that spoke more counts.
                parent = parents.most_common(1)[0][0]
                if len(parents) > 1:
                    self._contradictions.append(
                        f'the TF frame {child} hangs from {parent}, which more transforms say '
                        f'than that it hangs from '
                        f'{", ".join(sorted(set(parents) - {parent}))}'
                    )
                self._edges[child] = (parent, self._motion(parent, child))
        return self._edges

    def _motion(self, parent: str, child: str) -> Trajectory | np.ndarray:
        rows = self._samples.get((parent, child))
        if not rows:
            return poses_from_rows(np.array([self._static[parent, child]]))[0]
        stamps = np.array([row[0] for row in rows], dtype=np.int64)
        motion = Trajectory(stamps, poses_from_rows(np.array([row[1:] for row in rows])))
        poses = motion.world_from_x
        return poses[0] if len(motion) and (poses == poses[0]).all() else motion
