# SPDX-License-Identifier: Apache-2.0
"""The table of a protocol: this run beside the rows that papers published."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.protocols.protocol import Protocol
from dsac_ros.protocols.run import key
from dsac_ros.protocols.scene_data import SceneData

PUBLISHED = Path(__file__).with_name('published.json')
OURS = 'dsac_ros'
NOTHING = '-'
Result = dict[str, Any] | str


@dataclass(frozen=True)
class Row:
    """A line of a table: cells by scene, and the mean over the protocol's scenes.

    source: the paper that published it, or '' for this run.
    """

    method: str
    cells: Mapping[str, str]
    mean: str = NOTHING
    source: str = ''


def published(protocol: Protocol, ground_truth: str) -> list[dict[str, Any]]:
    """Return the published rows, each with its method, source, and within or median or both."""
    rows = json.loads(PUBLISHED.read_text(encoding='utf-8'))[protocol.name][ground_truth]
    return list(rows)


def complete(scene: SceneData, result: Result) -> bool:
    """Return True if a scene was measured on all of its frames."""
    return (
        not isinstance(result, str)
        and not scene.problems
        and result['evaluated'] == result['test_frames']
        and not any(_unusable(why) for why in result['left_out']['train'])
    )


def _unusable(reason: str) -> bool:
    """Return True if frames were left out for their image, and not for want of a pose."""
    return 'image' in reason


def verdict(protocol: Protocol, found: Sequence[tuple[SceneData, Result]]) -> tuple[bool, str]:
    """Return if all scenes of a protocol are measured, and the line that says so."""
    count = sum(complete(*one) for one in found)
    total = len(protocol.scenes)
    if count == total:
        return True, f'complete: {count} of {total} scenes'
    return False, (
        f'not complete: {count} of {total} scenes; no mean is given and nothing can be said '
        'against papers before all of them have run'
    )


def tables(
    protocol: Protocol, ground_truth: str, found: Sequence[tuple[SceneData, Result]]
) -> list[str]:
    """Return the tables for people: percentages where papers report them, then medians."""
    whole, line = verdict(protocol, found)
    rows = published(protocol, ground_truth)
    ours = {scene.name: result for scene, result in found if not isinstance(result, str)}
    marks = {scene.name: '' if complete(scene, result) else '*' for scene, result in found}
    lines = [f'{protocol.title}{f", {ground_truth} ground truth" if ground_truth else ""}']
    sources: list[str] = []
    if protocol.limit is not None:
        within = key(*protocol.limit)
        own = [
            _share_row(name, kind, within, ours, marks, whole)
            for name, kind in ((OURS, 'within'), (f'{OURS}, accepted', 'accepted_within'))
        ]
        theirs = [_published_share(row) for row in rows if 'within' in row or 'mean_within' in row]
        limit = f'{100 * protocol.limit[0]:g} cm and {protocol.limit[1]:g} deg'
        lines += ['', f'% of the test frames within {limit}']
        lines += _drawn(protocol, own + theirs, sources)
    own = [_median_row(ours, marks, whole)]
    theirs = [_published_median(row) for row in rows if 'median' in row or 'mean_median' in row]
    lines += ['', 'median error, cm / deg', *_drawn(protocol, own + theirs, sources), '', line]
    if any(marks.get(name) for name in ours):
        lines.append('* measured on a part of its frames alone, see above')
    return lines + [f'[{number}] {source}' for number, source in enumerate(sources, 1)]


def _share_row(
    name: str,
    kind: str,
    within: str,
    ours: Mapping[str, dict[str, Any]],
    marks: Mapping[str, str],
    whole: bool,
) -> Row:
    values = {scene: 100 * result[kind][within] for scene, result in ours.items()}
    cells = {scene: f'{value:.1f}{marks[scene]}' for scene, value in values.items()}
    mean = f'{np.mean(list(values.values())):.1f}' if whole else NOTHING
    return Row(name, cells, mean)


def _median_row(ours: Mapping[str, dict[str, Any]], marks: Mapping[str, str], whole: bool) -> Row:
    pairs = {
        scene: (number(result['median_cm']), number(result['median_deg']))
        for scene, result in ours.items()
    }
    cells = {scene: f'{_pair(*pair)}{marks[scene]}' for scene, pair in pairs.items()}
    mean = _pair(*np.mean(list(pairs.values()), axis=0)) if whole else NOTHING
    return Row(OURS, cells, mean)


def number(value: float | None) -> float:
    """Return a value of a result; what JSON has no number for is infinite."""
    return math.inf if value is None else value


def _pair(centimetres: float, degrees: float) -> str:
    digits = 0 if centimetres >= 100 else 1
    return f'{centimetres:.{digits}f}/{degrees:.2f}'


def _published_share(row: Mapping[str, Any]) -> Row:
    values = row.get('within', {})
    mean = row.get('mean_within', np.mean(list(values.values())) if values else None)
    cells = {scene: f'{value:.1f}' for scene, value in values.items()}
    return Row(row['method'], cells, f'{mean:.1f}', row['source'])


def _published_median(row: Mapping[str, Any]) -> Row:
    values = row.get('median', {})
    mean = row.get('mean_median', np.mean(list(values.values()), axis=0) if values else None)
    cells = {scene: _pair(*value) for scene, value in values.items()}
    return Row(row['method'], cells, _pair(*mean), row['source'])


def _drawn(protocol: Protocol, rows: Sequence[Row], sources: list[str]) -> list[str]:
    """Return rows as aligned text; each new source is numbered and appended to `sources`."""
    columns = [*protocol.scenes, 'mean']
    lines = []
    for row in rows:
        if row.source and row.source not in sources:
            sources.append(row.source)
        cite = f' [{sources.index(row.source) + 1}]' if row.source else ''
        cells = [row.cells.get(scene, NOTHING) for scene in protocol.scenes] + [row.mean]
        lines.append([row.method + cite, *cells])
    head = ['', *columns]
    widths = [max(len(line[index]) for line in (head, *lines)) for index in range(len(head))]
    return [
        '  '.join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]
        ).rstrip()
        for line in (head, *lines)
    ]
