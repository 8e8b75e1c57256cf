# SPDX-License-Identifier: Apache-2.0
"""`dsac map`: learn a scene from posed frames into one map file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import (
    add_device_option,
    add_json_option,
    check_file,
    loss_lines,
    losses,
    report_lines,
    size,
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
        'the source has it; off; or the depth topic of a bag (default: auto)',
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
    checkpoint = output.with_name(output.name + '.checkpoint')
    if args.resume and not checkpoint.exists():
        raise MappingError(
            f'there is no checkpoint {checkpoint} to resume from: a run leaves one '
            'when it is interrupted in the training; run without --resume'
        )
    check_file(output, args.json)
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
        'end_to_end': learned.header['training'].get('end_to_end'),
        **losses(source),
        'map': str(output),
        'stages': learned.header['provenance']['stages'],
        'id': learned.header['id'],
    }
    write_results(results, describe(results), args.json)
    return 0


def learn_source(
    args: argparse.Namespace, output: Path, old_map: Path | None = None, resume: bool = False
) -> tuple[StoredMap, Source]:
    """The map that the options ask for, written to `output`, and what it was learned from."""
    from dsac_ros.map_file import load_map
    from dsac_ros.systems.learning import learn

    config, own = settings_of(args)
    base_map = load_map(old_map) if old_map else None
    source = open_named_source(args)
    progress = reporter(args.progress)
    try:
        return learn(
            source.posed_frames(),
            config,
            own,
            finetune=args.finetune,
            device=args.device,
            output=output,
            total=len(source),
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
    config, own = split_settings(
        values, MappingConfig, settings_class(values.get('recipe', MappingConfig.recipe))
    )
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


def describe(results: dict[str, Any]) -> list[str]:
    """The summary for people."""
    lines = [
        (
            f'learned {results["map"]} from {results["frames"]} frames in '
            f'{results["seconds"]:.0f} s ({size(results["map_bytes"])})'
        ),
        *loss_lines(results),
    ]
    if results['pose_agreement']:
        lines.append(
            f'{results["pose_agreement"]["share"]:.0%} of the feature matches agree with the poses'
        )
    if results['end_to_end']:
        lines.append(end_to_end_line(results['end_to_end']))
    if results['held_out']:
        lines += [
            'on its own held-out block:',
            *('  ' + line for line in report_lines(results['held_out'])),
        ]
    return lines


def end_to_end_line(told: dict[str, Any]) -> str:
    """Summarise end-to-end training: the expected loss of held-out frames before and after."""
    if 'reason' in told:
        return f'end to end: not trained, {told["reason"]}'
    if 'not_validated' in told:
        return f'end to end: trained, not validated ({told["not_validated"]})'
    undone = (
        ''
        if told['after'] < told['before']
        else '; not significantly better, so nothing is changed'
    )
    return (
        f'end to end: {told["before"]:.3g} before, {told["after"]:.3g} after '
        f'(cm and deg in a room, on held-out frames){undone}'
    )
