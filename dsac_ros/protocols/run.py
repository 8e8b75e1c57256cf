# SPDX-License-Identifier: Apache-2.0
"""Mapping and evaluation of the scenes of a protocol, resumable scene by scene.

A folder of results belongs to one run: `run.json` says what it measures, and each scene has a map
SCENE.dsac and a result SCENE.json.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsac_ros.compute.files import read_whole, write_whole
from dsac_ros.config import AcceptConfig, MappingConfig, RansacConfig, as_dict
from dsac_ros.errors import DsacError, OutputError
from dsac_ros.evaluation.localizing import localize_posed_frames
from dsac_ros.mapping.optim.progress import Progress, ProgressCallback
from dsac_ros.metrics import Report, evaluate, field_median, json_ready, percentiles
from dsac_ros.protocols.protocol import Protocol
from dsac_ros.protocols.scene_data import SceneData
from dsac_ros.sources.frame_files import FileSource
from dsac_ros.systems.learning import learn
from dsac_ros.systems.loading import load_localizer
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

RUN = 'run.json'
# Percentages of the field besides the one that a protocol is named for.
LIMITS = ((0.01, 1.0), (0.02, 2.0), (0.05, 5.0), (0.10, 5.0), (0.25, 2.0), (0.50, 5.0))


@dataclass(frozen=True)
class Settings:
    """Settings of a run: those of the mapping, of the recipe, of the pose and its acceptance."""

    mapping: MappingConfig
    own: Any
    ransac: RansacConfig
    accept: AcceptConfig
    device: str
    finetune: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return what results depend on, ready for JSON; the device is no part of it."""
        parts = (self.mapping, self.own, self.ransac, self.accept)
        names = ('mapping', 'recipe', 'ransac', 'accept')
        told: dict[str, Any] = json_ready(dict(zip(names, map(as_dict, parts))))
        return {**told, 'finetune': self.finetune}


def prepare(
    output: Path, protocol: Protocol, ground_truth: str, settings: Settings, again: bool
) -> None:
    """Make the folder of results, or find that it belongs to the same run.

    Args:
        output: the folder.
        protocol: to run.
        ground_truth: of the poses.
        settings: of the run.
        again: remove what another run left there.

    Raises:
        OutputError: it holds results of other settings.
    """
    about = {'protocol': protocol.name, 'ground_truth': ground_truth, **settings.as_dict()}
    output.mkdir(parents=True, exist_ok=True)
    before = _read(output / RUN)
    if before is None and any(output.iterdir()):
        raise OutputError(
            f'{output} holds other things than results of a protocol, expected a new folder'
        )
    if before is not None and before != about:
        if not again:
            raise OutputError(
                f'{output} holds results of another run ({difference(before, about)}): name '
                'another folder with -o, or replace them with --again'
            )
        for scene in protocol.scenes:
            _remove(output, scene)
    write_whole(output / RUN, json.dumps(about, indent=1) + '\n')


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Name the first setting in which two runs differ."""
    for key in (*now, *before):
        one, other = before.get(key), now.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            return difference(one, other)
        return f'its {key} is {one}, now {other}'
    return 'the same settings in another order'


def run_scenes(
    scenes: Sequence[SceneData],
    output: Path,
    settings: Settings,
    again: bool = False,
    progress: ProgressCallback = lambda state: None,
) -> Iterator[tuple[SceneData, dict[str, Any] | str]]:
    """Map and evaluate each scene; yield its result, or the line why there is none.

    A scene whose result is there is not measured again, nor mapped again if its map is.

    Args:
        scenes: of `scene_data.read_scenes`.
        output: folder of the results, see `prepare`.
        settings: of the run.
        again: map and measure all of these scenes anew.
        progress: called on the way.
    """
    for scene in scenes:
        if not scene.readable:
            yield scene, '; '.join(scene.problems)
            continue
        if again:
            _remove(output, scene.name)
        found = _read(output / f'{scene.name}.json')
        if found is not None:
            yield scene, found
            continue
        try:
            yield scene, run_scene(scene, output, settings, progress)
        except DsacError as error:
            yield scene, str(error)
        except Exception as error:  # hours of other scenes must not end with this one
            log.warning('error recorded in the table:', exc_info=error)
            yield scene, ' '.join(f'{type(error).__name__}: {error}'.split())


def run_scene(
    scene: SceneData, output: Path, settings: Settings, progress: ProgressCallback
) -> dict[str, Any]:
    """Map a scene unless its map is there, localize its test frames, and write the result.

    A training that was interrupted goes on from its checkpoint.
    """
    assert scene.train is not None and scene.test is not None
    path = output / f'{scene.name}.dsac'
    if not path.is_file():
        learn(
            scene.train.posed_frames(),
            settings.mapping,
            settings.own,
            finetune=settings.finetune,
            device=settings.device,
            output=path,
            total=len(scene.train),
            map_frame=scene.train.map_frame,
            progress=progress,
            resume=checkpoint_of(path).exists(),
        )
    system = load_localizer(path, settings.device, settings.ransac, settings.accept)
    system.warm_up()
    report = evaluate(*localize_posed_frames(system, _reported(scene, progress)))
    result = {
        'scene': scene.name,
        'training_frames': posed_count(scene.train),
        'test_frames': posed_count(scene.test),
        **measured(report),
        'map_bytes': path.stat().st_size,
        'mapping_seconds': system.map.header['provenance']['seconds'],
        'map_id': system.map.id,
        'left_out': {'train': dict(scene.train.skipped), 'test': dict(scene.test.skipped)},
        'notes': notes_of(scene.train) + notes_of(scene.test),
    }
    ready: dict[str, Any] = json_ready(result)
    write_whole(output / f'{scene.name}.json', json.dumps(ready, indent=1) + '\n')
    return ready


def checkpoint_of(path: Path) -> Path:
    """Return where the training of a map leaves its state when it is interrupted."""
    return path.with_name(f'{path.name}.checkpoint')


def measured(report: Report) -> dict[str, Any]:
    """Return what papers report of a scene.

    within: share of all test frames whose estimate is that near, accepted or not, as papers count,
    whose systems refuse nothing; accepted_within: of those that were accepted too. Medians are
    over all frames, one without an estimate counts as infinitely far.
    """
    times = report.latency_ms.get('total')
    return {
        'evaluated': len(report.names),
        'accepted': int(report.accepted.sum()),
        'within': {key(*limit): float(report.within(*limit).mean()) for limit in LIMITS},
        'accepted_within': {key(*limit): report.recall(*limit) for limit in LIMITS},
        'median_cm': 100 * field_median(report.translation_m),
        'median_deg': field_median(report.rotation_deg),
        'query_ms': None if times is None else percentiles(times),
    }


def key(limit_m: float, limit_deg: float) -> str:
    """Return the name of a percentage: 5cm_5deg."""
    return f'{100 * limit_m:g}cm_{limit_deg:g}deg'


def posed_count(source: FileSource) -> int:
    """Return the number of frames with a pose."""
    return sum(one.world_from_camera is not None for one in source.files)


def notes_of(source: FileSource) -> list[str]:
    """Return one line for each assumption and for what is not read."""
    return [
        *(f'assumed: {text}' for text in source.assumptions),
        *(f'not read: {text}' for text in source.unread),
    ]


def _reported(scene: SceneData, progress: ProgressCallback) -> Iterator[PosedFrame]:
    """Yield the test frames and report the progress after each."""
    assert scene.test is not None
    total = posed_count(scene.test)
    for done, posed in enumerate(scene.test.posed_frames(), 1):
        yield posed
        progress(Progress('localizing', done / total))


def _read(path: Path) -> dict[str, Any] | None:
    """Read a file of results; None where there is none that is whole."""
    try:
        found = json.loads(read_whole(path))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _remove(output: Path, scene: str) -> None:
    """Remove the map and the result of a scene."""
    for ending in ('json', 'dsac', 'dsac.checkpoint'):
        (output / f'{scene}.{ending}').unlink(missing_ok=True)
