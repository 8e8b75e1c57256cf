# SPDX-License-Identifier: Apache-2.0
"""`dsac map`: learn a scene from posed frames into one map file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.map_summary import describe
from dsac_ros.cli.output import (
    add_device_option,
    add_json_option,
    check_file,
    losses,
    write_results,
)
from dsac_ros.cli.progress import add_progress_option, reporter
from dsac_ros.cli.settings import add_settings_options, read_settings, split_settings
from dsac_ros.cli.source_options import (
    SOURCE_HELP,
    add_source_options,
    convention_of,
    open_named_source,
)
from dsac_ros.cluster_mapping.config import DivisionConfig
from dsac_ros.config import EndToEndConfig, MappingConfig, PoseConvention
from dsac_ros.errors import ConfigError, MappingError, PoseMismatchError
from dsac_ros.mapping.recipes import RECIPES
from dsac_ros.systems.recipes import settings_class, summaries, with_defaults

if TYPE_CHECKING:
    from dsac_ros.map_container import StoredMap
    from dsac_ros.sources.source import Source

HELP = 'learn a scene from posed frames: minutes of time, megabytes of map'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        '-o',
        '--output',
        metavar='MAP',
        type=Path,
        help='the map file to write; with --update it may be left out: the old map is replaced',
    )
    parser.add_argument(
        '--update',
        metavar='OLD_MAP',
        type=Path,
        help='add the frames of SOURCE, '
        'whose poses are in the frame of this map, to what it knows',
    )
    parser.add_argument(
        '--clusters',
        metavar='N',
        type=cluster_count,
        help='divide the place into N overlapping clusters, or as many as it needs (auto), learn '
        'a map of each, and write a map set; under torchrun the ranks share the work',
    )
    parser.add_argument('--cluster', metavar='K', type=int, help=argparse.SUPPRESS)
    add_learning_options(parser)
    add_device_option(parser)
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the checkpoint that a run left which was interrupted in the training',
    )
    add_source_options(parser)
    add_settings_options(parser)
    add_json_option(parser)
    add_progress_option(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = '\n'.join(
        [
            'recipes:',
            *(f'  {name:21} {summary}' for name, summary in summaries().items()),
            'What differs between them: docs/recipes.md, docs/systems/',
        ]
    )
    parser.set_defaults(when_interrupted='no map was written')


def cluster_count(text: str) -> int:
    """A number of clusters for argparse; 0 stands for auto."""
    if text == 'auto':
        return 0
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}, expected a number of clusters or auto')
    return int(text)


def add_learning_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how a scene is learned."""
    parser.add_argument(
        '--recipe',
        metavar='NAME',
        help='which system learns the scene: see below (default: ace)',
    )
    parser.add_argument(
        '--minutes',
        type=float,
        metavar='M',
        help='time for the training alone, '
        'which may end earlier; reading, matching, encoding and measuring come on '
        f'top (default: {MappingConfig.minutes:g})',
    )
    parser.add_argument(
        '--experts',
        type=int,
        metavar='N',
        help='experts of the head: more of '
        f'them for more rooms (default: {MappingConfig.experts})',
    )
    parser.add_argument(
        '--depth',
        default='auto',
        metavar='WHERE',
        help='auto: use depth where '
        'the source has it; off; points: that of the points of a COLMAP model; or the depth topic '
        'of a bag (default: auto)',
    )
    parser.add_argument(
        '--refine-poses',
        action='store_true',
        help='make the poses agree with '
        'the images first: for those of odometry or of a coarse SLAM',
    )
    parser.add_argument(
        '--trust-poses',
        action='store_true',
        help='learn even where images contradict the poses or their unit, or show no motion',
    )
    parser.add_argument(
        '--finetune',
        action='store_true',
        help='train the head end to end '
        'through RANSAC at last; settings such as `--set selection=softam`',
    )
    parser.add_argument('--seed', type=int, help='seed of everything that is drawn (default: 0)')


def run(args: argparse.Namespace) -> int:
    """Learn the map and say how good it is on its own held-out block."""
    output = args.output or args.update
    if output is None:
        raise MappingError('no map to write is named; give it with -o MAP')
    if args.clusters is not None or args.cluster is not None:
        from dsac_ros.cli.map_clusters import run_clusters

        return run_clusters(args)
    checkpoint = output.with_name(output.name + '.checkpoint')
    if args.resume and not checkpoint.exists():
        raise MappingError(
            f'there is no checkpoint {checkpoint} to resume from: a run leaves one '
            'when it is interrupted in the training; run without --resume'
        )
    check_file(output, args.json)
    from dsac_ros.systems.refusal import refusal

    start = time.monotonic()
    try:
        learned, source = learn_source(args, output, args.update, args.resume)
    except KeyboardInterrupt:
        args.when_interrupted = how_to_go_on(checkpoint)
        raise
    results = {
        'frames': learned.header['frames'],
        'seconds': round(time.monotonic() - start, 3),
        'map_bytes': output.stat().st_size,
        'device': learned.header.get('provenance', {}).get('device', args.device),
        'pose_agreement': learned.header.get('pose_agreement'),
        'held_out': learned.header.get('held_out'),
        'refuses_everything': refusal(learned.header),
        'end_to_end': learned.header['training'].get('end_to_end'),
        **losses(source),
        'map': str(output),
        'stages': learned.header['provenance']['stages'],
        'id': learned.header['id'],
    }
    write_results(results, describe(results), args.json)
    return 0


def learn_source(
    args: argparse.Namespace,
    output: Path,
    old_map: Path | None = None,
    resume: bool = False,
    rows: Sequence[int] | None = None,
) -> tuple[StoredMap, Source]:
    """The map that the options ask for, written to `output`, and what it was learned from.

    rows: indices of the frames to learn, among those with a pose; all of them by default.
    """
    from dsac_ros.cluster_mapping.job import chosen_frames
    from dsac_ros.map_file import load_map
    from dsac_ros.systems.learning import learn

    config, own = settings_of(args)
    base_map = load_map(old_map) if old_map else None
    source = open_named_source(args)
    progress = reporter(args.progress)
    try:
        return learn(
            source.posed_frames() if rows is None else chosen_frames(source, rows),
            config,
            own,
            finetune=args.finetune,
            device=args.device,
            output=output,
            total=len(source) if rows is None else len(rows),
            map_frame=source.map_frame,
            progress=progress,
            resume=resume,
            base_map=base_map,
        ), source
    except PoseMismatchError as error:
        if getattr(args, 'pose_delay', 0) or convention_of(args) != PoseConvention():
            raise MappingError(
                f'{error}; that comes on top of the pose options given: leave '
                'them out to be told those that fit alone'
            ) from None
        raise
    finally:
        progress.close()


def settings_of(args: argparse.Namespace) -> tuple[MappingConfig, Any]:
    """The settings of the files, the recipe and the command line, the later ones above.

    Those of the mapping, and the recipe's own.
    """
    values = read_settings(args)
    asked = tuple(values)
    for name in ('minutes', 'experts', 'seed', 'recipe'):
        if getattr(args, name) is not None:
            values[name] = getattr(args, name)
    if args.depth == 'off':
        values['depth'] = 'off'
    if args.refine_poses:
        values['refine_poses'] = True
    if args.trust_poses:
        values['trust_poses'] = True
    values = with_defaults(values)
    own_class = settings_class(values.get('recipe', MappingConfig.recipe))
    config, own, _ = split_settings(values, MappingConfig, own_class, DivisionConfig)
    if config.recipe not in RECIPES:
        if args.finetune:
            raise ConfigError(
                f'--finetune is for the recipe ace, found the recipe {config.recipe}; leave it out'
            )
    elif RECIPES[config.recipe].network:
        check_whole(config.recipe, asked, args.finetune, own)
    elif not args.finetune:
        check_unused(asked)
    return config, own


def how_to_go_on(checkpoint: Path) -> str:
    """Say how to go on after an interruption: only the training can be resumed."""
    if checkpoint.exists():
        return 'the same command with --resume goes on from here; no map was written'
    return 'no map was written; the training had not begun, so the same command begins anew'


def check_unused(names: Sequence[str]) -> None:
    """Refuse settings that only end-to-end training reads where nobody asks for that."""
    mapping = {setting.name for setting in fields(MappingConfig)}
    for name in {setting.name for setting in fields(EndToEndConfig)} - mapping:
        if name in names:
            raise ConfigError(
                f'{name} is a setting of end-to-end training; add --finetune, or leave it out'
            )


def check_whole(
    recipe: str, names: Sequence[str], finetune: bool, end_to_end: EndToEndConfig
) -> None:
    """Refuse what only a head on the shared encoder knows, where a whole network is learned."""
    for name in ('--finetune',) * finetune + tuple(n for n in names if n.startswith('finetune_')):
        raise ConfigError(
            f'{name} is for the recipe ace; {recipe} ends end to end by itself, for '
            'a share of --minutes at a share of learning_rate: leave it out'
        )
    if end_to_end.score == 'uncertainty':
        raise ConfigError(
            f'score=uncertainty needs a network that predicts it, {recipe} does '
            'not; use soft or hard, or the recipe ace'
        )
