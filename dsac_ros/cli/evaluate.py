# SPDX-License-Identifier: Apache-2.0
"""`dsac evaluate`: how far off is each frame; never aligned, failed frames counted."""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import (
    add_device_option,
    add_json_option,
    check_file,
    check_folder,
    loss_lines,
    losses,
    report_lines,
    write_results,
)
from dsac_ros.cli.progress import add_progress_option, counted
from dsac_ros.cli.settings import add_settings_options, read_settings, split_settings
from dsac_ros.cli.source_options import (
    SOURCE_HELP,
    add_depth_option,
    add_source_options,
    check_map_path,
    open_named_source,
)
from dsac_ros.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from dsac_ros.evaluation.conditions import Condition
    from dsac_ros.systems.system import System
    from dsac_ros.types import Localization, PosedFrame

HELP = 'measure a map on frames whose poses are known'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        '--report', metavar='DIR', type=Path, help='write an HTML report with pictures into DIR'
    )
    parser.add_argument(
        '--fail-if',
        metavar='CONDITION',
        action='append',
        default=[],
        type=condition,
        help='exit with 1 when this holds, such as '
        '"recall@0.05m/5deg<0.8" or "median_translation_m>0.02"; may be repeated',
    )
    parser.add_argument(
        '--outputs',
        metavar='FILE',
        type=Path,
        help='measure what a node answered to these frames, as `dsac run output_recorder` wrote '
        'it, in place of localizing them',
    )
    add_refine_option(parser)
    add_device_option(parser)
    add_depth_option(parser)
    add_source_options(parser)
    add_settings_options(parser)
    add_json_option(parser)
    add_progress_option(parser)


def condition(text: str) -> Condition:
    """A --fail-if expression, for argparse."""
    from dsac_ros.evaluation.conditions import parse_condition

    try:
        return parse_condition(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def load_localizer(args: argparse.Namespace) -> System:
    """The localizer of MAP with the settings of the command line."""
    path = check_map_path(args.map)
    from dsac_ros.config import AcceptConfig, MapSetConfig, RansacConfig
    from dsac_ros.systems import loading

    ransac, accept, map_set = split_settings(
        read_settings(args), RansacConfig, AcceptConfig, MapSetConfig
    )
    localizer = loading.load_localizer(path, args.device, ransac, accept, map_set)
    if not getattr(args, 'refine_with', None):
        return localizer
    from dsac_ros.systems.pixloc.refined import Refined

    refining = check_map_path(args.refine_with)
    return Refined(localizer, loading.load_localizer(refining, args.device, ransac, accept))


def map_bytes(path: Path, header: dict[str, Any]) -> int:
    """Return the size of a map, or of a map set and all of its maps."""
    return path.stat().st_size + sum(one['map_bytes'] for one in header.get('maps') or [])


def add_refine_option(parser: argparse.ArgumentParser) -> None:
    """Declare --refine-with."""
    parser.add_argument(
        '--refine-with',
        metavar='MAP',
        help='refine every pose of the first map in this one, of the recipe pixloc and the same '
        'frame',
    )


def machine() -> dict[str, str]:
    """Return the machine and device that the numbers were measured on."""
    import os

    import torch

    return {
        'cpu': f'{cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads',
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else 'none',
        'python': platform.python_version(),
        'torch': torch.__version__,
    }


def cpu_model() -> str:
    """Return the model of the CPU, where the system tells it, and its architecture."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    models = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return f'{models[0]} ({platform.machine()})' if models else platform.machine()


def answers(
    args: argparse.Namespace, localizer: System, frames: Iterable[PosedFrame]
) -> tuple[list[Localization], list[np.ndarray]]:
    """The localization of every frame and its true pose (4, 4), by the node or by ourselves."""
    from dsac_ros.evaluation.localizing import localize_posed_frames
    from dsac_ros.evaluation.node_outputs import localizations_from_events, read_events

    if not args.outputs:
        localizer.warm_up()
        return localize_posed_frames(localizer, frames)
    events = read_events(args.outputs)
    posed = [(frame.frame.stamp_ns, frame.world_from_camera) for frame in frames]
    return localizations_from_events(events, [stamp for stamp, _ in posed]), [
        pose for _, pose in posed
    ]


def run(args: argparse.Namespace) -> int:
    """Localize every frame that has a pose, compare, report."""
    check_map_path(args.map)
    check_file(args.json)
    check_folder(args.report)
    source = open_named_source(args)
    if args.outputs and not args.outputs.is_file():
        raise SourceError(
            f'{args.outputs} does not exist, expected what `dsac run output_recorder` wrote'
        )
    localizer = load_localizer(args)

    from dsac_ros.metrics import evaluate

    frames = counted(source.posed_frames(), len(source), 'localize', args.progress)
    localizations, references = answers(args, localizer, frames)
    report = evaluate(
        localizations,
        references,
        map_bytes(Path(args.map), localizer.map.header),
        str(localizer.device),
        {**losses(source), 'map_id': localizer.map.id, 'machine': machine()},
    )
    values = report.as_dict()
    lines = report_lines(values) + loss_lines(values)
    if args.report:
        from dsac_ros.evaluation.report import write_report

        page = write_report(
            args.report,
            localizer,
            source.posed_frames(),
            localizations,
            references,
            report,
            about={
                'command': shlex.join(['dsac', *sys.argv[1:]]),
                'map': f'{args.map}, id {localizer.map.id}',
            },
        )
        lines.append(f'report          {page}')
    write_results(values, lines, args.json)
    broken = [bound for bound in args.fail_if if bound.holds(report)]
    for bound in broken:
        print(f'dsac: failed: {bound.text} (it is {bound.value(report):g})', file=sys.stderr)
    return 1 if broken else 0
