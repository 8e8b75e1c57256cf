# SPDX-License-Identifier: Apache-2.0
"""`dsac bench trust`: how often a pose is right, beside the confidence that it was given."""

from __future__ import annotations

import argparse
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

HELP = 'calibration of the confidence on intact and altered queries, and of another place'


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
    """Confidence and errors of all scenes, pooled, for each group of queries."""
    from dsac_ros.benchmark.scenes import FULL, find_scenes
    from dsac_ros.benchmark.trust import GROUPS, judge_scene, pooled
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
    judged: dict[str, dict[str, Judged]] = {}
    for row, name in enumerate(counted(names, len(names), 'localizing', args.progress)):
        path = args.maps / f'{name}.{FULL}.dsac'
        localizer = Localizer.load(path, args.device, ransac, accept)
        judged[name] = judge_scene(localizer, queries[name], queries[names[row - 1]])
    rows = [
        {'group': ' + '.join(groups), **summary(pooled(judged, groups))}
        for groups in (*((group,) for group in GROUPS), GROUPS)
    ]
    by_scene = {name: summary(pooled({name: found}, GROUPS)) for name, found in judged.items()}
    return (
        {'rows': rows, 'scenes': by_scene},
        [
            *(line for row in rows for line in row_lines(row)),
            *(f'{name:14} {numbers(found)}' for name, found in by_scene.items()),
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


def summary(judged: Judged) -> dict[str, Any]:
    """The numbers of a group of queries."""
    refused = judged.confidence[~judged.accepted]
    return {
        'frames': len(judged.right),
        'right': int(judged.right.sum()),
        'accepted': int(judged.accepted.sum()),
        'accepted_wrong': int((judged.accepted & ~judged.right).sum()),
        'predicted': float(judged.confidence.sum()),
        'auc': judged.reliability.auc,
        'most_of_refused': float(refused.max(initial=0.0)),
        **judged.reliability.as_dict(),
    }


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
