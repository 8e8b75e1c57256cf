# SPDX-License-Identifier: Apache-2.0
"""Localization systems side by side on the splits of many scenes, whatever their unit of length.

Errors of position are shares of the scene's median depth. A system that fails on a split has a row
that says why.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsac_ros.baselines.sift_sfm import SiftSfm
from dsac_ros.config import AcceptConfig, EndToEndConfig, MappingConfig, RansacConfig
from dsac_ros.errors import DsacError
from dsac_ros.evaluation.localizing import Localizes, localize_posed_frames
from dsac_ros.evaluation.scenes import (
    DEFAULT_SPLITS,
    FrameSelection,
    Scene,
    Split,
    read_scene,
)
from dsac_ros.localizer import Localizer
from dsac_ros.mapping.learning import learn
from dsac_ros.mapping.progress import Progress, ProgressCallback
from dsac_ros.metrics import Report, evaluate, field_median, percentiles
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

#: Shares of the scene's median depth, and the angle [deg], within which frames are counted.
WITHIN, WITHIN_DEG = (0.01, 0.025, 0.05, 0.125, 0.25), 5.0
#: An accepted pose further off than this is wrong.
WRONG, WRONG_DEG = 0.15, 15.0


@dataclass(frozen=True)
class LearnedMap:
    """A system with the map of some frames, the map's bytes, and the seconds that it took.

    reused: the map was there already.
    """

    system: Localizes
    map_bytes: int
    seconds: float
    reused: bool


#: Learns frames into a map file, or loads the file where it exists.
Learner = Callable[[FrameSelection, Path], LearnedMap]


@dataclass(frozen=True)
class Row:
    """One system on one split of a scene; where `error` says why it has none, without results.

    depth: the scene's median depth, in its unit of length; results: see `summarize`; notes: what
    the scene's sources assumed, did not read or left out.
    """

    scene: str
    split: str
    system: str
    mapping_frames: int = 0
    queries: int = 0
    depth: float | None = None
    results: dict[str, Any] = field(default_factory=dict)
    error: str = ''
    notes: tuple[str, ...] = ()


def compare(scenes: Sequence[Scene], learners: Mapping[str, Learner], maps: Path,
            splits: Sequence[str] = DEFAULT_SPLITS, max_queries: int | None = None,
            progress: ProgressCallback = lambda state: None) -> Iterator[Row]:
    """Measure every system on every split of every scene.

    Args:
        scenes: where their frames lie.
        learners: the systems, by the name in their rows.
        maps: the folder of the map files, `SCENE.SPLIT.SYSTEM`.
        splits: names of `scenes.SPLITS`.
        max_queries: of each split, at most.
        progress: hears of the queries that are localized.
    """
    for scene in scenes:
        found = attempt(read_scene, scene, splits, max_queries)
        if isinstance(found, str):
            yield Row(scene.name, ' '.join(splits), ' '.join(learners), error=found)
            continue
        learned: dict[str, LearnedMap | str] = {}
        for split in found.splits:
            for name, learner in learners.items():
                file = f'{scene.name}.{split.map_name}.{name}'
                if file not in learned:
                    learned[file] = attempt(learner, split.mapping, maps / file)
                results = learned[file]
                if not isinstance(results, str):
                    results = attempt(localize_all, results, split, found.depth, progress)
                told: dict[str, Any] = {
                    'error' if isinstance(results, str) else 'results': results}
                yield Row(scene.name, split.name, name, len(split.mapping), len(split.queries),
                          found.depth, **told, notes=found.notes)


def localize_all(learned: LearnedMap, split: Split, depth: float,
                 progress: ProgressCallback) -> dict[str, Any]:
    """The results of a split's queries."""
    queries = reported(split.queries, 'localizing', progress)
    report = evaluate(*localize_posed_frames(learned.system, queries))
    return {**summarize(report, depth), 'map_bytes': learned.map_bytes,
            'mapping_seconds': learned.seconds, 'map_reused': learned.reused}


def summarize(report: Report, depth: float) -> dict[str, Any]:
    """Errors as shares of the scene's median depth.

    within: shares of all frames that are accepted and right to so much of the depth and 5 deg;
    lost: frames that are not accepted; wrong: accepted frames that are off by more than 15 % of
    the depth or 15 deg.
    """
    right = report.within(WRONG * depth, WRONG_DEG)
    times = report.latency_ms.get('total')
    return {
        'within': {f'{limit:.1%}': report.recall(limit * depth, WITHIN_DEG) for limit in WITHIN},
        'median_translation': field_median(report.translation_m) / depth,
        'median_rotation_deg': field_median(report.rotation_deg),
        'lost': int((~report.accepted).sum()),
        'wrong': int((report.accepted & ~right).sum()),
        'query_ms': None if times is None else percentiles(times)}


def reported(frames: FrameSelection, stage: str,
             progress: ProgressCallback) -> Iterator[PosedFrame]:
    """The frames, and after each the share that is done."""
    for done, posed in enumerate(frames, 1):
        yield posed
        progress(Progress(stage, done / len(frames)))


def attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of some work, or, where it fails, a line that says why.

    A table of hours must not end with the first scene that a system cannot do: an error that is
    none of ours stands in its row by its type, and its traceback in the log.
    """
    try:
        return work(*arguments)
    except DsacError as error:
        return str(error)
    except Exception as error:
        log.warning('this goes into the table as an error:', exc_info=error)
        return ' '.join(f'{type(error).__name__}: {error}'.split())


def dsac_learner(config: MappingConfig, ransac: RansacConfig, accept: AcceptConfig, device: str,
                 progress: ProgressCallback) -> Learner:
    """This package with these settings."""
    def learner(frames: FrameSelection, path: Path) -> LearnedMap:
        reused = path.exists()
        if not reused:
            learn(frames, config, EndToEndConfig(), device=device, output=path,
                  total=len(frames), progress=progress)
        localizer = Localizer.load(path, device, ransac, accept)
        localizer.warm_up()
        seconds = localizer.map.header['provenance']['seconds']
        return LearnedMap(localizer, path.stat().st_size, seconds, reused)
    return learner


def sift_sfm_learner(progress: ProgressCallback) -> Learner:
    """SIFT and structure from motion."""
    def learner(frames: FrameSelection, path: Path) -> LearnedMap:
        reused = path.exists()
        if not reused:
            found = reported(frames, 'features', progress)
            SiftSfm.learn(found, lambda share: progress(Progress('matching', share))).save(path)
        system = SiftSfm.load(path)
        return LearnedMap(system, path.stat().st_size, system.seconds, reused)
    return learner
