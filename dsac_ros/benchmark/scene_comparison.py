# SPDX-License-Identifier: Apache-2.0
"""Comparison of localization systems on the splits of many scenes, in any unit of length.

Position errors are relative to the scene's median depth. A system that fails on a split has a
result with the error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsac_ros.benchmark.baselines.sift_sfm import SiftSfm
from dsac_ros.benchmark.scenes import (
    DEFAULT_SPLITS,
    FrameSelection,
    Scene,
    Split,
    read_scene,
)
from dsac_ros.config import AcceptConfig, EndToEndConfig, MappingConfig, RansacConfig
from dsac_ros.errors import DsacError
from dsac_ros.evaluation.localizing import ImageLocalizer, localize_posed_frames
from dsac_ros.localizer import Localizer
from dsac_ros.mapping.optim.progress import Progress, ProgressCallback
from dsac_ros.metrics import Report, evaluate, field_median, percentiles
from dsac_ros.systems.learning import learn
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

#: Thresholds of the recall: shares of the scene's median depth, and an angle [deg].
WITHIN, WITHIN_DEG = (0.01, 0.025, 0.05, 0.125, 0.25), 5.0
#: Thresholds beyond which an accepted pose is wrong.
WRONG, WRONG_DEG = 0.15, 15.0


@dataclass(frozen=True)
class LearnedMap:
    """A system with its map of some frames.

    Attributes:
        system: localizes the queries.
        map_bytes: size of the map.
        seconds: duration of the mapping.
        reused: the map existed already.
    """

    system: ImageLocalizer
    map_bytes: int
    seconds: float
    reused: bool


#: Learns a map file from frames, or loads the file if it exists.
Learner = Callable[[FrameSelection, Path], LearnedMap]


@dataclass(frozen=True)
class SystemResult:
    """Result of one system on one split of a scene.

    Attributes:
        scene: name.
        split: name.
        system: name.
        mapping_frames: their number.
        queries: their number.
        depth: the scene's median depth, in its unit of length.
        results: see `summarize`; empty in case of an error.
        error: reason why there are no results.
        notes: assumptions, unread data and skipped frames of the scene's sources.
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


def compare(
    scenes: Sequence[Scene],
    learners: Mapping[str, Learner],
    maps: Path,
    splits: Sequence[str] = DEFAULT_SPLITS,
    max_queries: int | None = None,
    progress: ProgressCallback = lambda state: None,
) -> Iterator[SystemResult]:
    """Measure every system on every split of every scene.

    Args:
        scenes: to read.
        learners: the systems by name.
        maps: folder of the map files, `SCENE.SPLIT.SYSTEM`.
        splits: names of `scenes.SPLITS`.
        max_queries: maximum number of queries per split.
        progress: called while queries are localized.
    """
    for scene in scenes:
        found = result_or_error(read_scene, scene, splits, max_queries)
        if isinstance(found, str):
            yield SystemResult(scene.name, ' '.join(splits), ' '.join(learners), error=found)
            continue
        learned: dict[str, LearnedMap | str] = {}
        for split in found.splits:
            for name, learner in learners.items():
                file = f'{scene.name}.{split.map_name}.{name}'
                if file not in learned:
                    learned[file] = result_or_error(learner, split.mapping, maps / file)
                results = learned[file]
                if not isinstance(results, str):
                    results = result_or_error(
                        localize_queries, results, split, found.depth, progress
                    )
                outcome: dict[str, Any] = {
                    'error' if isinstance(results, str) else 'results': results
                }
                yield SystemResult(
                    scene.name,
                    split.name,
                    name,
                    len(split.mapping),
                    len(split.queries),
                    found.depth,
                    **outcome,
                    notes=found.notes,
                )


def localize_queries(
    learned: LearnedMap, split: Split, depth: float, progress: ProgressCallback
) -> dict[str, Any]:
    """Return the results of a split's queries."""
    queries = reported(split.queries, 'localizing', progress)
    report = evaluate(*localize_posed_frames(learned.system, queries))
    return {
        **summarize(report, depth),
        'map_bytes': learned.map_bytes,
        'mapping_seconds': learned.seconds,
        'map_reused': learned.reused,
    }


def summarize(report: Report, depth: float) -> dict[str, Any]:
    """Return errors relative to the scene's median depth.

    within: shares of all frames that are accepted and within such a share of the depth and 5 deg;
    lost: number of frames that are not accepted; wrong: number of accepted frames with an error of
    more than 15 % of the depth or 15 deg.
    """
    right = report.within(WRONG * depth, WRONG_DEG)
    times = report.latency_ms.get('total')
    return {
        'within': {f'{limit:.1%}': report.recall(limit * depth, WITHIN_DEG) for limit in WITHIN},
        'median_translation': field_median(report.translation_m) / depth,
        'median_rotation_deg': field_median(report.rotation_deg),
        'lost': int((~report.accepted).sum()),
        'wrong': int((report.accepted & ~right).sum()),
        'query_ms': None if times is None else percentiles(times),
    }


def reported(
    frames: FrameSelection, stage: str, progress: ProgressCallback
) -> Iterator[PosedFrame]:
    """Yield the frames and report the progress after each."""
    for done, posed in enumerate(frames, 1):
        yield posed
        progress(Progress(stage, done / len(frames)))


def result_or_error(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of `work`, or a one-line error message.

    One failing system must not end a comparison that takes hours. The message of an unexpected
    exception names its type; its traceback is logged.
    """
    try:
        return work(*arguments)
    except DsacError as error:
        return str(error)
    except Exception as error:
        log.warning('error recorded in the table:', exc_info=error)
        return ' '.join(f'{type(error).__name__}: {error}'.split())


def dsac_learner(
    config: MappingConfig,
    ransac: RansacConfig,
    accept: AcceptConfig,
    device: str,
    progress: ProgressCallback,
) -> Learner:
    """Return the learner of this package with these settings."""

    def learner(frames: FrameSelection, path: Path) -> LearnedMap:
        reused = path.exists()
        if not reused:
            learn(
                frames,
                config,
                EndToEndConfig(),
                device=device,
                output=path,
                total=len(frames),
                progress=progress,
            )
        localizer = Localizer.load(path, device, ransac, accept)
        localizer.warm_up()
        seconds = localizer.map.header['provenance']['seconds']
        return LearnedMap(localizer, path.stat().st_size, seconds, reused)

    return learner


def sift_sfm_learner(progress: ProgressCallback) -> Learner:
    """Return the learner of SIFT and structure from motion."""

    def learner(frames: FrameSelection, path: Path) -> LearnedMap:
        reused = path.exists()
        if not reused:
            found = reported(frames, 'features', progress)
            SiftSfm.learn(found, lambda share: progress(Progress('matching', share))).save(path)
        system = SiftSfm.load(path)
        return LearnedMap(system, path.stat().st_size, system.seconds, reused)

    return learner
