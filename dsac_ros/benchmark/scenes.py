# SPDX-License-Identifier: Apache-2.0
"""Scenes on disk, and splits of their frames into mapping frames and queries.

A scene is a folder with mapping frames (`train` or `mapping`) and optionally queries (`test` or
`queries`), each in any format supported by the sources. The splits are hard on purpose:

- `full`: all mapping frames, the scene's own queries;
- `stretches`: whole stretches of the mapping frames are the queries; replaces `full` in a scene
  without queries;
- `thinned`: only every 20th mapping frame;
- `zoom x2`: the middle half of every query at twice the size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dsac_ros.config import MappingConfig
from dsac_ros.errors import SourceError
from dsac_ros.geometry.altered_frames import zoomed
from dsac_ros.mapping.data.reading import ViewMaker
from dsac_ros.mapping.sfm.scene_depth import check_motion, typical_depth
from dsac_ros.mapping.sfm.view_pairs import find_pairs
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.source import Source
from dsac_ros.types import PosedFrame

FULL, STRETCHES, THINNED, ZOOM = SPLITS = ('full', 'stretches', 'thinned', 'zoom')
DEFAULT_SPLITS = (FULL, THINNED, ZOOM)
MAPPING_FOLDERS, QUERY_FOLDERS = ('train', 'mapping'), ('test', 'queries')
THINNED_STEP = 20
STRETCH_COUNT, HELD_OUT = 3, 0.2  # number of stretches, and their total share of the frames
MIN_STRETCH = 4  # frames; if stretches would be shorter, there is only one
DEPTH_VIEWS = 400  # maximum number of views to measure the depth on


@dataclass(frozen=True)
class Scene:
    """A folder of mapping frames and optionally one of queries."""

    name: str
    mapping: Path
    queries: Path | None


@dataclass(frozen=True)
class FrameSelection:
    """Frames of a source by their index among those with a pose, read again by every iteration.

    Without depth. zoomed: the middle half of each at twice the size.
    """

    path: Path
    rows: tuple[int, ...]
    zoomed: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PosedFrame]:
        rows = frozenset(self.rows)
        for row, posed in enumerate(open_source(self.path, depth='off').posed_frames()):
            if row in rows:
                yield replace(posed, frame=zoomed(posed.frame)) if self.zoomed else posed


@dataclass(frozen=True)
class Split:
    """Mapping frames and queries; splits of one scene with equal `map_name` share their map."""

    name: str
    map_name: str
    mapping: FrameSelection
    queries: FrameSelection


@dataclass(frozen=True)
class SceneSplits:
    """The splits of a scene, and the median depth seen by its mapping frames.

    notes: assumptions, unread data and skipped frames of its sources.
    """

    depth: float
    splits: tuple[Split, ...]
    notes: tuple[str, ...]


def find_scenes(folder: Path, names: Sequence[str] = ()) -> list[Scene]:
    """Return the scenes in a folder, or the folder itself if it is one; all, or the named ones.

    Raises:
        SourceError: there is no scene, or none of a given name.
    """
    if not folder.is_dir():
        raise SourceError(f'{folder} is no folder, expected one with a folder for each scene')
    candidates = [folder.resolve(), *sorted(path for path in folder.iterdir() if path.is_dir())]
    scenes = {
        path.name: Scene(path.name, mapping, first_folder(path, QUERY_FOLDERS))
        for path in candidates
        if (mapping := first_folder(path, MAPPING_FOLDERS))
    }
    if not scenes:
        raise SourceError(
            f'{folder} holds no scene, expected folders with train/ (or mapping/) '
            'and test/ (or queries/) in each'
        )
    missing = [name for name in names if name not in scenes]
    if missing:
        raise SourceError(
            f'{folder} holds no scene {missing[0]!r}, expected one of {", ".join(scenes)}'
        )
    return [scenes[name] for name in names or scenes]


def first_folder(path: Path, names: Sequence[str]) -> Path | None:
    """Return the first of these folders that exists in `path`."""
    return next((path / name for name in names if (path / name).is_dir()), None)


def read_scene(
    scene: Scene, wanted: Sequence[str] = DEFAULT_SPLITS, max_queries: int | None = None
) -> SceneSplits:
    """Read a scene's frames once, and split them.

    Args:
        scene: to read.
        wanted: names of SPLITS.
        max_queries: maximum number of queries per split, evenly spaced.

    Raises:
        SourceError: the frames cannot be read.
        MappingError: there are too few frames.
    """
    source = open_source(scene.mapping)
    count, depth = count_and_depth(source)
    notes = notes_of(source)
    if scene.queries:
        source = open_source(scene.queries, depth='off')
        query_count = sum(1 for _ in source.posed_frames())
        notes += notes_of(source)
        base = Split(
            FULL,
            FULL,
            FrameSelection(scene.mapping, tuple(range(count))),
            FrameSelection(scene.queries, evenly(range(query_count), max_queries)),
        )
    else:
        base = stretched_split(scene, count, max_queries)
    thinned = replace(base.mapping, rows=base.mapping.rows[::THINNED_STEP])
    made = {
        FULL: base,
        THINNED: replace(base, name=THINNED, map_name=THINNED, mapping=thinned),
        ZOOM: replace(base, name='zoom x2', queries=replace(base.queries, zoomed=True)),
    }
    if STRETCHES in wanted:
        made[STRETCHES] = stretched_split(scene, count, max_queries)
    return SceneSplits(
        depth, tuple(dict.fromkeys(made[name] for name in wanted)), tuple(dict.fromkeys(notes))
    )


def stretched_split(scene: Scene, count: int, max_queries: int | None) -> Split:
    """Return stretches of the `count` mapping frames as queries, the others as mapping frames."""
    held_out = held_out_stretches(count)
    kept = tuple(sorted(set(range(count)).difference(held_out)))
    return Split(
        STRETCHES,
        STRETCHES,
        FrameSelection(scene.mapping, kept),
        FrameSelection(scene.mapping, evenly(held_out, max_queries)),
    )


def count_and_depth(source: Source) -> tuple[int, float]:
    """Return the number of posed frames and the median depth of what they see."""
    make, views, count = ViewMaker(MappingConfig()), [], 0
    every = math.ceil(len(source) / DEPTH_VIEWS)
    for count, posed in enumerate(source.posed_frames(), 1):
        if (count - 1) % every == 0:
            views.append(make(posed))
    pairs = find_pairs(views)
    check_motion(views, pairs)
    return count, typical_depth(views, pairs)


def notes_of(source: Source) -> list[str]:
    """Return one line for each assumption, unread data and reason of skipped frames."""
    return [
        *(f'assumed: {text}' for text in source.assumptions),
        *(f'not read: {text}' for text in source.unread),
        *(f'left out: {count} frames with {why}' for why, count in source.skipped.items()),
    ]


def held_out_stretches(count: int) -> tuple[int, ...]:
    """Return indices of stretches of consecutive frames, evenly placed among `count` frames.

    Raises:
        SourceError: there are too few frames.
    """
    stretches = max(1, min(STRETCH_COUNT, int(HELD_OUT * count) // MIN_STRETCH))
    size = int(HELD_OUT * count) // stretches
    if not size:
        raise SourceError(
            f'{count} mapping frames are too few to hold queries out of them, '
            f'expected at least {math.ceil(1 / HELD_OUT)}; add a folder test/ of '
            'queries'
        )
    starts = ((2 * index + 1) * count // (2 * stretches) - size // 2 for index in range(stretches))
    return tuple(row for start in starts for row in range(start, start + size))


def evenly(rows: Sequence[int], most: int | None) -> tuple[int, ...]:
    """Return at most `most` of the rows, evenly spaced."""
    if most is None or len(rows) <= most:
        return tuple(rows)
    return tuple(rows[index] for index in np.linspace(0, len(rows) - 1, most).astype(int))
