# SPDX-License-Identifier: Apache-2.0
"""`dsac evaluate`: how far off is each frame; never aligned, failed frames counted."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_ros.cli.evaluation_lines import analysis_lines, run_lines
from dsac_ros.cli.judging_options import add_judging_options, parsed_by
from dsac_ros.cli.loading import add_refine_option, load_localizer, map_bytes
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
from dsac_ros.cli.settings import add_settings_options
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

    from dsac_ros.evaluation.analysis import Analysis
    from dsac_ros.evaluation.runs import Run
    from dsac_ros.sources.source import Source
    from dsac_ros.systems.system import System
    from dsac_ros.types import Localization, PosedFrame

HELP = 'measure a map on frames whose poses are known'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        '--report',
        metavar='DIR',
        type=Path,
        help='write a report with pictures, errors of every frame and trajectories into DIR',
    )
    parser.add_argument(
        '--fail-if',
        metavar='CONDITION',
        action='append',
        default=[],
        type=parsed_by('conditions', 'parse_condition'),
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
    add_judging_options(parser)
    add_refine_option(parser)
    add_device_option(parser)
    add_depth_option(parser)
    add_source_options(parser)
    add_settings_options(parser)
    add_json_option(parser)
    add_progress_option(parser)


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


def analyse(
    args: argparse.Namespace,
    path: str,
    localizer: System,
    source: Source,
    mapping: np.ndarray | None,
) -> Analysis:
    """Localize every frame of the source in a map, and compare with the true poses."""
    from dsac_ros.compute.machine import machine
    from dsac_ros.evaluation.analysis import Analysis, KidnapOptions
    from dsac_ros.evaluation.extrapolation import keyframe_poses
    from dsac_ros.evaluation.thresholds import limits_of
    from dsac_ros.metrics import evaluate

    frames = counted(source.posed_frames(), len(source), 'localize', args.progress)
    localizations, references = answers(args, localizer, frames)
    report = evaluate(
        localizations,
        references,
        map_bytes(Path(path), localizer.map.header),
        str(localizer.device),
        {**losses(source), 'map_id': localizer.map.id, 'machine': machine()},
        limits_of(localizer.depth, args.thresholds, args.false_accept),
    )
    known = keyframe_poses(localizer.map.header) if mapping is None else mapping
    return Analysis.of(
        localizations, references, report, known, KidnapOptions(args.kidnap, args.seed)
    )


def mapping_poses(args: argparse.Namespace) -> np.ndarray | None:
    """Read the poses (K, 4, 4) of --mapping, with the options of SOURCE; None where not named."""
    if args.mapping is None:
        return None
    import numpy

    named = argparse.Namespace(**{**vars(args), 'source': args.mapping, 'stride': 1})
    source = open_named_source(named)
    frames = counted(source.posed_frames(), len(source), 'mapping frames', args.progress)
    return numpy.array([posed.world_from_camera for posed in frames])


def other_runs(args: argparse.Namespace, source: Source, mapping: np.ndarray | None) -> list[Run]:
    """Measure the maps of --beside on the same frames, and read its earlier runs."""
    from dsac_ros.evaluation.runs import Run

    runs = []
    for name, path in map(named_path, args.beside):
        if is_run(path):
            runs.append(Run.read(name, path))
            continue
        localizer = load_localizer(args, str(path))
        own = argparse.Namespace(**{**vars(args), 'outputs': None})
        analysis = analyse(own, str(path), localizer, source, mapping)
        runs.append(Run.of(name, analysis.report, analysis.as_dict()))
    return runs


def named_path(text: str) -> tuple[str, Path]:
    """Split [NAME=]PATH; the default name is that of the file or folder."""
    name, _, path = text.rpartition('=')
    return name or Path(path).stem, Path(path)


def is_run(path: Path) -> bool:
    """Return True for a folder and a JSON file, which are no maps."""
    return path.is_dir() or path.suffix == '.json'


def check_paths(args: argparse.Namespace) -> None:
    """Find out before the work what is missing, and what cannot be written."""
    from dsac_ros.evaluation.runs import Run
    from dsac_ros.map_container import read_header

    check_map_path(args.map)
    check_file(args.json)
    check_folder(args.report)
    for name, path in map(named_path, args.beside):
        if is_run(path):
            Run.read(name, path)
        else:
            read_header(check_map_path(str(path)))
    if args.outputs and not args.outputs.is_file():
        raise SourceError(
            f'{args.outputs} does not exist, expected what `dsac run output_recorder` wrote'
        )


def run(args: argparse.Namespace) -> int:
    """Localize every frame that has a pose, compare, report."""
    check_paths(args)
    source = open_named_source(args)
    if args.kidnap and not source.has_stamps:
        source.assume('frames have no stamps: the kidnap simulation counts them as 0.1 s apart')
    localizer = load_localizer(args)
    mapping = mapping_poses(args)
    analysis = analyse(args, args.map, localizer, source, mapping)
    others = other_runs(args, source, mapping)
    values = analysis.as_dict()
    lines = report_lines(values) + analysis_lines(values) + loss_lines(values)
    if others:
        from dsac_ros.evaluation.runs import Run, side_by_side

        rows = side_by_side([Run.of('this run', analysis.report, values), *others])
        values['side_by_side'] = rows
        lines += run_lines(rows)
    if args.report:
        lines.append(f'report          {report_page(args, localizer, source, analysis, others)}')
    write_results(values, lines, args.json)
    broken = [bound for bound in args.fail_if if bound.holds(analysis.report)]
    for bound in broken:
        print(
            f'dsac: failed: {bound.text} (it is {bound.value(analysis.report):g})',
            file=sys.stderr,
        )
    return 1 if broken else 0


def report_page(
    args: argparse.Namespace,
    localizer: System,
    source: Source,
    analysis: Analysis,
    others: list[Run],
) -> Path:
    """Write the report; return the path of its page."""
    from dsac_ros.evaluation.report import write_report
    from dsac_ros.evaluation.result_files import image_names

    return write_report(
        args.report,
        localizer,
        source.posed_frames(),
        analysis,
        others,
        about={
            'command': shlex.join(['dsac', *sys.argv[1:]]),
            'map': f'{args.map}, id {localizer.map.id}',
        },
        image_names=image_names(source),
    )
