# SPDX-License-Identifier: Apache-2.0
"""`dsac benchmark`: a public protocol on the user's copy of its data, beside published rows."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import (
    add_device_option,
    add_json_option,
    check_file,
    check_folder,
    write_results,
)
from dsac_ros.cli.progress import add_progress_option, note, reporter
from dsac_ros.cli.settings import add_settings_options, read_settings, split_settings
from dsac_ros.errors import ConfigError

if TYPE_CHECKING:
    from dsac_ros.protocols.protocol import Protocol
    from dsac_ros.protocols.run import Settings
    from dsac_ros.protocols.scene_data import SceneData

HELP = 'run a public protocol on your copy of its data, beside the published figures'
NAMES = ('7scenes', '12scenes', 'cambridge', 'wayspots', 'indoor6')
GROUND_TRUTHS = ('slam', 'sfm')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        'protocol', choices=NAMES, metavar='PROTOCOL', help=f'one of {", ".join(NAMES)}'
    )
    parser.add_argument(
        'folder',
        metavar='DIR',
        type=Path,
        help='the data as it is published, unpacked: a folder for each scene',
    )
    parser.add_argument(
        '-o',
        '--output',
        metavar='RESULTS',
        type=Path,
        help='folder of the maps and results; the same command goes on where it ended '
        '(default: PROTOCOL-results, with the ground truth in its name)',
    )
    parser.add_argument(
        '--ground-truth',
        choices=GROUND_TRUTHS,
        help='of 7-Scenes and 12-Scenes: slam, the poses in the data set, or sfm, the pose lists '
        'of Brachmann et al. 2021 (default: slam)',
    )
    parser.add_argument(
        '--pose-lists',
        metavar='FOLDER',
        type=Path,
        help='where the pose lists of sfm lie (default: DIR/visloc_pseudo_gt_limitations)',
    )
    parser.add_argument(
        '--scenes', metavar='NAMES', type=words, default=(), help='these alone, with commas'
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='say what is missing of the data and stop; exit code 1 where something is',
    )
    parser.add_argument(
        '--again', action='store_true', help='map and measure scenes that have a result, too'
    )
    parser.add_argument(
        '--recipe', metavar='NAME', help='system that learns the scenes: `dsac map --help`'
    )
    parser.add_argument(
        '--minutes', type=float, metavar='M', help='time for the training of each map'
    )
    parser.add_argument('--seed', type=int, help='seed of everything that is drawn (default: 0)')
    parser.add_argument(
        '--trust-poses',
        action='store_true',
        help='learn even where images contradict the poses',
    )
    add_device_option(parser)
    add_settings_options(parser)
    add_json_option(parser)
    add_progress_option(parser)
    parser.set_defaults(when_interrupted='the same command goes on with the scenes that are left')


def words(text: str) -> tuple[str, ...]:
    """Words with commas between them, for argparse."""
    return tuple(word for word in text.split(',') if word)


def run(args: argparse.Namespace) -> int:
    """Check the data, map and evaluate every scene that is found, print the tables."""
    from dsac_ros.protocols.protocol import find_protocol
    from dsac_ros.protocols.scene_data import read_scenes

    protocol = find_protocol(args.protocol)
    ground_truth = ground_truth_of(args, protocol)
    check_file(args.json)
    scenes = read_scenes(protocol, args.folder, ground_truth, args.pose_lists, args.scenes)
    for problem in (line for scene in scenes for line in scene.problems):
        note(f'missing: {problem}')
    if args.check:
        return report_check(args, protocol, scenes)
    results, lines = measure(args, protocol, ground_truth, scenes)
    write_results(results, lines, args.json)
    return 0


def ground_truth_of(args: argparse.Namespace, protocol: Protocol) -> str:
    """The ground truth asked for; '' where a protocol has one alone."""
    if protocol.ground_truths:
        return args.ground_truth or GROUND_TRUTHS[0]
    for option, given in (
        ('--ground-truth', args.ground_truth),
        ('--pose-lists', args.pose_lists),
    ):
        if given is not None:
            raise ConfigError(
                f'{option} {given} is for 7scenes and 12scenes, and {protocol.name} has one '
                'ground truth: leave it out'
            )
    return ''


def report_check(args: argparse.Namespace, protocol: Protocol, scenes: list[SceneData]) -> int:
    """Print which scenes are whole; 1 where one is not."""
    from dsac_ros.protocols.scene_data import where_from

    whole = [scene.name for scene in scenes if not scene.problems]
    results = {
        'protocol': protocol.name,
        'complete': whole,
        'problems': {one.name: list(one.problems) for one in scenes if one.problems},
        'origin': protocol.origin,
    }
    lines = [f'{len(whole)} of {len(scenes)} scenes of {protocol.title} are complete']
    if len(whole) < len(scenes):
        lines.append(where_from(protocol))
    write_results(results, lines, args.json)
    return 0 if len(whole) == len(scenes) else 1


def measure(
    args: argparse.Namespace, protocol: Protocol, ground_truth: str, scenes: list[SceneData]
) -> tuple[dict[str, Any], list[str]]:
    """The results of all scenes, and the tables."""
    from dsac_ros.compute.machine import machine
    from dsac_ros.protocols import table
    from dsac_ros.protocols.run import prepare, run_scenes

    settings = settings_of(args)
    name = '-'.join(filter(None, (protocol.name, ground_truth, 'results')))
    output = args.output or Path(name)
    check_folder(output)
    prepare(output, protocol, ground_truth, settings, args.again)
    found = []
    with closing(reporter(args.progress)) as progress:
        for scene, result in run_scenes(scenes, output, settings, args.again, progress):
            found.append((scene, result))
            if isinstance(result, str):
                note(f'{scene.name}: no result: {result}')
            else:
                note(f'{scene.name}: {scene_line(result)}')
    whole, _ = table.verdict(protocol, found)
    results = {
        'protocol': protocol.name,
        'ground_truth': ground_truth,
        'complete': whole,
        'scenes': {one.name: got for one, got in found if not isinstance(got, str)},
        'failed': {one.name: got for one, got in found if isinstance(got, str)},
        'problems': {one.name: list(one.problems) for one, _ in found if one.problems},
        'published': table.published(protocol, ground_truth),
        'settings': settings.as_dict(),
        'machine': machine(),
    }
    return results, [*table.tables(protocol, ground_truth, found), f'results in {output}']


def scene_line(result: dict[str, Any]) -> str:
    """One scene for people, when it is done."""
    from dsac_ros.protocols.table import number

    return (
        f'{result["evaluated"]} of {result["test_frames"]} test frames, '
        f'{result["accepted"]} accepted, median {number(result["median_cm"]):.1f} cm '
        f'{number(result["median_deg"]):.2f} deg'
    )


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings of the files, the recipe and the command line, the later ones above."""
    from dsac_ros.compute.device import choose_device
    from dsac_ros.config import AcceptConfig, MappingConfig, RansacConfig
    from dsac_ros.protocols.run import Settings
    from dsac_ros.systems.recipes import settings_class, with_defaults

    values = read_settings(args)
    for name in ('minutes', 'seed', 'recipe'):
        if getattr(args, name) is not None:
            values[name] = getattr(args, name)
    if args.trust_poses:
        values['trust_poses'] = True
    values = with_defaults(values)
    own_class = settings_class(values.get('recipe', MappingConfig.recipe))
    mapping, own, ransac, accept = split_settings(
        values, MappingConfig, own_class, RansacConfig, AcceptConfig
    )
    return Settings(mapping, own, ransac, accept, choose_device(args.device))
