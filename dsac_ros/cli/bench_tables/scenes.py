# SPDX-License-Identifier: Apache-2.0
"""`dsac bench scenes`: accuracy, false accepts, bytes and times on many scenes and hard splits."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.bench_tables.common import Table
from dsac_ros.cli.output import angle, check_folder, size
from dsac_ros.cli.progress import reporter
from dsac_ros.cli.settings import read_settings, split_settings
from dsac_ros.cli.source_options import positive
from dsac_ros.errors import ConfigError

if TYPE_CHECKING:
    from dsac_ros.benchmark.scene_comparison import Learner, SystemResult

HELP = 'accuracy, false accepts, bytes and times on many scenes and hard splits, and SIFT + SfM'
HEADER = (
    f'{"scene":14} {"split":9} {"system":8} {"frames":>9}   '
    f'{"within 1/2.5/5/12.5/25 % of the depth":37}  {"median error":>19}  lost  wrong  '
    f'{"map":>8}  {"mapped":>7}  query p50 / p99'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument(
        'folder',
        metavar='FOLDER',
        type=Path,
        help='a folder with a folder for '
        'each scene: mapping frames in train/ (or mapping/), queries in test/ (or '
        'queries/)',
    )
    parser.add_argument(
        '--scenes',
        metavar='NAMES',
        type=words,
        default=(),
        help='these scenes alone, with commas between them',
    )
    parser.add_argument(
        '--splits',
        metavar='NAMES',
        type=words,
        help='full: all mapping frames, '
        "the scene's queries; stretches: stretches of the mapping frames as "
        'queries, as in full where a scene has none; thinned: every 20th mapping '
        'frame; zoom: the middle half of the queries at twice the size '
        '(default: full,thinned,zoom)',
    )
    parser.add_argument(
        '--minutes',
        type=float,
        metavar='M',
        help='time for the training of each map, as in `dsac map`',
    )
    parser.add_argument(
        '--maps',
        metavar='DIR',
        type=Path,
        help='keep the maps in DIR, and use those that are there as they are',
    )
    parser.add_argument(
        '--queries',
        metavar='N',
        type=positive,
        help='of more queries in a split take N, evenly spaced',
    )
    parser.add_argument(
        '--ours',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='measure this package (default: yes)',
    )
    parser.add_argument(
        '--peer',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='measure SIFT + SfM, which needs the benchmark extra (default: yes)',
    )


def words(text: str) -> tuple[str, ...]:
    """Words with commas between them, for argparse."""
    return tuple(word for word in text.split(',') if word)


def measure(args: argparse.Namespace) -> Table:
    """Every system on every split of every scene."""
    from dsac_ros.benchmark.scene_comparison import compare
    from dsac_ros.benchmark.scenes import DEFAULT_SPLITS, SPLITS, find_scenes

    splits = args.splits or DEFAULT_SPLITS
    for name in splits:
        if name not in SPLITS:
            raise ConfigError(f'--splits has {name!r}, expected some of {", ".join(SPLITS)}')
    scenes = find_scenes(args.folder, args.scenes)
    check_folder(args.maps)
    with ExitStack() as stack:
        progress = reporter(args.progress)
        stack.callback(progress.close)
        learners, lines = systems(args, progress)
        maps = args.maps or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        maps.mkdir(parents=True, exist_ok=True)
        rows = []
        for row in compare(scenes, learners, maps, splits, args.queries, progress):
            rows.append(row)
            if args.progress != 'off':
                progress.close()
                print(row_line(row), file=sys.stderr)
    notes = dict.fromkeys(f'{row.scene}: {note}' for row in rows for note in row.notes)
    return (
        {'rows': [asdict(row) for row in rows]},
        [HEADER, *map(row_line, rows), *notes, *lines],
    )


def systems(args: argparse.Namespace, progress: Any) -> tuple[dict[str, Learner], list[str]]:
    """The systems to measure, by name, and lines about those that cannot be."""
    from dsac_ros.benchmark.scene_comparison import recipe_learner
    from dsac_ros.compute.device import choose_device
    from dsac_ros.config import AcceptConfig, EndToEndConfig, MappingConfig, RansacConfig
    from dsac_ros.systems.recipes import settings_class
    from dsac_ros.systems.sift_sfm.system import LEAST_INLIERS, require

    learners, lines = {}, []
    values = read_settings(args)
    if args.minutes is not None:
        values['minutes'] = args.minutes
    config, ransac, accept = split_settings(values, MappingConfig, RansacConfig, AcceptConfig)
    device = choose_device(args.device)
    if args.ours:
        learners['dsac'] = recipe_learner(
            config, EndToEndConfig(), ransac, accept, device, progress
        )
    if args.peer:
        try:
            require('pycolmap', 'poselib')
            # Refusals by a calibrated threshold would cost the peer recall that its users have.
            usual = replace(accept, min_feature_inliers=LEAST_INLIERS, max_position_sigma=0.0)
            peer = MappingConfig(recipe='sift_sfm', trust_poses=config.trust_poses)
            learners['sift_sfm'] = recipe_learner(
                peer, settings_class('sift_sfm')(), ransac, usual, device, progress
            )
        except ConfigError as error:
            lines.append(f'without sift_sfm: {error}')
    if not learners:
        raise ConfigError(
            'no system is left to measure'
            + ''.join(f' ({line})' for line in lines)
            + '; leave out --no-ours'
        )
    return learners, lines


def row_line(row: SystemResult) -> str:
    """One row for people."""
    from dsac_ros.metrics import json_ready

    start = f'{row.scene:14} {row.split:9} {row.system:8} '
    if row.error:
        return f'{start}failed: {row.error}'
    found = json_ready(row.results)
    shares = ' / '.join(f'{100 * share:.0f}' for share in found['within'].values())
    times = found['query_ms']
    query = f'{times["p50"]:.0f} / {times["p99"]:.0f} ms' if times else 'none'
    return (
        f'{start}{row.mapping_frames:>5}+{row.queries:<3}   {shares + " %":37}  '
        f'{relative(found["median_translation"]):>8} '
        f'{angle(found["median_rotation_deg"]):>10}  {found["lost"]:4}  {found["wrong"]:5}  '
        f'{size(found["map_bytes"]):>8}  {found["mapping_seconds"]:5.0f} s  {query}'
        f'{"  (map reused)" if found["map_reused"] else ""}'
    )


def relative(error: float | None) -> str:
    """A share of the depth for people; None is no estimate at all."""
    return 'none' if error is None else f'{error:.2%}'
