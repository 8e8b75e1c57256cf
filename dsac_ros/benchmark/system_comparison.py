# SPDX-License-Identifier: Apache-2.0
"""Comparison of all systems on one place: the same mapping frames, the same queries.

The table of the tutorial: time and size of the mapping, what it needs, time of a query, accuracy,
and wrong poses that were accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from dsac_ros.benchmark.scene_comparison import result_or_error
from dsac_ros.config import AcceptConfig, MappingConfig, RansacConfig
from dsac_ros.evaluation.localizing import localize_posed_frames
from dsac_ros.mapping.optim.progress import Progress, ProgressCallback
from dsac_ros.metrics import Report, evaluate
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.systems.recipes import find_any, needs_depth
from dsac_ros.types import PosedFrame

WITHOUT_DEPTH = 'no'
#: Fields of `dsac evaluate` that a row has.
FIELDS = (
    'frames',
    'accepted',
    'median_translation_m',
    'median_rotation_deg',
    'recall',
    'false_accepts',
)


class Frames(Protocol):
    """Posed frames that can be read again and again."""

    def posed_frames(self) -> Iterator[PosedFrame]:
        """Read them once more."""

    def __len__(self) -> int:
        """At least how many there are."""


@dataclass(frozen=True)
class System:
    """A recipe under a name, with its settings: of the mapping, and its own."""

    name: str
    config: MappingConfig
    own: Any


@dataclass(frozen=True)
class SystemRow:
    """Results of a system.

    Attributes:
        system: name.
        depth: use that the mapping makes of depth: 'needed' or 'no'.
        results: mapping_seconds, map_bytes, map_reused, query_ms (median), and FIELDS; empty in
            case of an error.
        error: reason why there are no results, one line.
    """

    system: str
    depth: str
    results: dict[str, Any] = field(default_factory=dict)
    error: str = ''


def compare_systems(
    systems: Sequence[System],
    mapping: Frames,
    queries: Sequence[PosedFrame],
    maps: Path,
    ransac: RansacConfig,
    accept: AcceptConfig,
    device: str,
    progress: ProgressCallback = lambda state: None,
) -> Iterator[SystemRow]:
    """Map and ask one system after the other; one that fails is a row with its reason.

    Args:
        systems: to measure.
        mapping: frames of the place.
        queries: frames to localize.
        maps: folder of the map files, `NAME.map`; those that are there are used as they are.
        ransac: settings of the localization.
        accept: settings of the acceptance.
        device: cpu or cuda.
        progress: called while systems map and localize.
    """
    for system in systems:
        depth = 'needed' if needs_depth(find_any(system.config.recipe)) else WITHOUT_DEPTH
        path = maps / f'{system.name}.map'

        def measure(system: System = system, path: Path = path) -> dict[str, Any]:
            reused = path.exists()
            if not reused:
                learn(
                    mapping.posed_frames(),
                    system.config,
                    system.own,
                    device=device,
                    output=path,
                    total=len(mapping),
                    progress=named(system.name, progress),
                )
            found = localized(path, queries, ransac, accept, device, named(system.name, progress))
            return {**found, 'map_reused': reused}

        results = result_or_error(measure)
        if isinstance(results, str):
            yield SystemRow(system.name, depth, error=results)
        else:
            yield SystemRow(system.name, depth, results)


def localized(
    path: Path,
    queries: Sequence[PosedFrame],
    ransac: RansacConfig,
    accept: AcceptConfig,
    device: str,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Localize the queries in a map; return what a row says of it."""
    localizer = load_localizer(path, device, ransac, accept)
    localizer.warm_up()
    report = evaluate(*localize_posed_frames(localizer, reported(queries, progress)))
    values = report.as_dict()
    return {
        'mapping_seconds': localizer.map.header.get('provenance', {}).get('seconds', math.nan),
        'map_bytes': path.stat().st_size,
        'query_ms': median_ms(report),
        **{name: values[name] for name in FIELDS},
    }


def median_ms(report: Report) -> float:
    """Return the median time of a query [ms]; NaN of none."""
    times = sorted(report.latency_ms.get('total', ()))
    return float(times[len(times) // 2]) if times else math.nan


def reported(frames: Sequence[PosedFrame], progress: ProgressCallback) -> Iterable[PosedFrame]:
    """Yield the frames and report the progress after each."""
    for done, posed in enumerate(frames, 1):
        yield posed
        progress(Progress('localizing', done / len(frames)))


def named(name: str, progress: ProgressCallback) -> Callable[[Progress], None]:
    """Return a callback that puts the name of a system before each stage."""
    return lambda state: progress(replace(state, stage=f'{name}: {state.stage}'))
