# SPDX-License-Identifier: Apache-2.0
"""`dsac bench trust`: how often a pose is right, beside what was promised of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.bench_tables.common import Table
from dsac_ros.cli.bench_tables.scenes import words
from dsac_ros.cli.progress import counted
from dsac_ros.cli.settings import read_settings, split_settings
from dsac_ros.cli.source_options import positive
from dsac_ros.errors import ConfigError

if TYPE_CHECKING:
    from dsac_ros.benchmark.scenes import Scene
    from dsac_ros.benchmark.trust import Judged
    from dsac_ros.types import PosedFrame

COUNTS = (
    f'{"":18} asked  accepted  false   exact, accepted  inside 1 / 2 / 3 sigma [%]; '
    'false: off by 15 % of the depth or 15 deg, exact: within 2 % and 5 deg'
)
HELP = 'calibration of confidence, covariance and verdict on intact and altered queries'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument(
        'folder', metavar='FOLDER', type=Path, help='scenes of `dsac bench scenes`'
    )
    parser.add_argument(
        '--maps',
        metavar='DIR',
        type=Path,
        required=True,
        help='the maps that `dsac bench scenes --maps DIR` has learned',
    )
    parser.add_argument(
        '--scenes',
        metavar='NAMES',
        type=words,
        default=(),
        help='these scenes alone, with commas between them',
    )
    parser.add_argument(
        '--queries',
        metavar='N',
        type=positive,
        help='of more queries of a scene take N, evenly spaced',
    )


def measure(args: argparse.Namespace) -> Table:
    """Confidence, covariance and verdict of all scenes, for each group and kind of queries."""
    from dsac_ros.benchmark.scenes import FULL, find_scenes
    from dsac_ros.benchmark.trust import GROUPS, judge_scene, quartiles
    from dsac_ros.config import AcceptConfig, RansacConfig
    from dsac_ros.localizer import Localizer

    ransac, accept = split_settings(read_settings(args), RansacConfig, AcceptConfig)
    scenes = find_scenes(args.folder, args.scenes)
    if len(scenes) < 2:
        raise ConfigError(
            f'{args.folder} has one scene, expected two or more: the queries of each are shown to '
            "another one's map"
        )
    queries = {scene.name: queries_of(scene, args.queries) for scene in scenes}
    names = list(queries)
    judged: dict[str, list[Judged]] = {}
    for row, name in enumerate(counted(names, len(names), 'localizing', args.progress)):
        path = args.maps / f'{name}.{FULL}.dsac'
        localizer = Localizer.load(path, args.device, ransac, accept)
        localizer.warm_up()
        judged[name] = judge_scene(
            localizer, queries[name], queries[names[row - 1]], localizer.depth
        )
    every = [one for some in judged.values() for one in some]
    rows = [
        {'group': ' + '.join(groups), **summary([one for one in every if one.group in groups])}
        for groups in (*((group,) for group in GROUPS), GROUPS)
    ]
    kinds = {
        kind: counts([one for one in every if one.kind == kind])
        for kind in dict.fromkeys(one.kind for one in every)
    }
    by_scene = {name: summary(some) | counts(some) for name, some in judged.items()}
    by_difficulty = [counts(some) for some in quartiles(every)]
    return (
        {'rows': rows, 'kinds': kinds, 'quartiles': by_difficulty, 'scenes': by_scene},
        [
            *(line for row in rows for line in row_lines(row)),
            *(f'{name:14} {numbers(found)}' for name, found in by_scene.items()),
            COUNTS,
            *(f'{name:18} {count_line(found)}' for name, found in kinds.items()),
            *(f'{name:18} {count_line(found)}' for name, found in by_scene.items()),
            *(
                f'{"quartile " + str(place):18} {count_line(found)}'
                for place, found in enumerate(by_difficulty, 1)
            ),
        ],
    )


def queries_of(scene: Scene, most: int | None) -> list[PosedFrame]:
    """At most `most` queries of a scene, evenly spaced."""
    from dsac_ros.benchmark.scenes import evenly
    from dsac_ros.sources.open_source import open_source

    if scene.queries is None:
        raise ConfigError(f'scene {scene.name} has no queries: expected a folder test/ in it')
    frames = list(open_source(scene.queries, depth='off').posed_frames())
    return [frames[row] for row in evenly(range(len(frames)), most)]


def summary(judged: Sequence[Judged]) -> dict[str, Any]:
    """The confidences of a group of queries."""
    from dsac_ros.benchmark.trust import reliability

    found = reliability(judged)
    return {
        'frames': len(judged),
        'right': sum(one.right for one in judged),
        'accepted': sum(one.accepted for one in judged),
        'accepted_wrong': sum(one.accepted and not one.right for one in judged),
        'predicted': sum(one.confidence for one in judged),
        'auc': found.auc,
        'most_of_refused': max(
            (one.confidence for one in judged if not one.accepted), default=0.0
        ),
        **found.as_dict(),
    }


def counts(judged: Sequence[Judged]) -> dict[str, Any]:
    """Verdicts and covariances of a group of queries."""
    from dsac_ros.benchmark.trust import coverage

    exact = [one for one in judged if one.exact]
    return {
        'asked': len(judged),
        'accepted': sum(one.accepted for one in judged),
        'false_accepts': sum(one.accepted and one.wrong for one in judged),
        'exact': len(exact),
        'exact_accepted': sum(one.accepted for one in exact),
        'coverage': coverage(judged),
    }


def count_line(found: dict[str, Any]) -> str:
    """The numbers of `counts` in a row below COUNTS."""
    from dsac_ros.metrics import json_ready

    shares = json_ready(found['coverage']).values()
    within = ' / '.join('-' if share is None else f'{100 * share:.0f}' for share in shares)
    return (
        f'{found["asked"]:5}  {found["accepted"]:8}  {found["false_accepts"]:5}   '
        f'{found["exact_accepted"]:5} of {found["exact"]:<5}  {within}'
    )


def row_lines(row: dict[str, Any]) -> list[str]:
    """The rows of one group for people."""
    return [
        f'{row["group"]}: {numbers(row)}',
        '   confidence  frames  predicted  right',
        *(
            f'   from {one["from"]:4.2f}   {one["frames"]:6}  {one["predicted"]:9.3f}  '
            f'{one["observed"]:5.3f}'
            for one in row['bins']
        ),
    ]


def numbers(row: dict[str, Any]) -> str:
    """The numbers of a group in a line."""
    return (
        f'{row["frames"]} frames, right {row["right"]}, predicted {row["predicted"]:.1f}, '
        f'accepted {row["accepted"]}, {row["accepted_wrong"]} of them wrong, '
        f'Brier {row["brier"]:.4f}, AUC {row["auc"]:.4f}, '
        f'refused at most {row["most_of_refused"]:.2f}'
    )
