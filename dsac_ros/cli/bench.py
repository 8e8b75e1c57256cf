# SPDX-License-Identifier: Apache-2.0
"""`dsac bench`: the tables of the README, with the machine that they were measured on."""
from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsac_ros.cli.evaluate import load_localizer, machine
from dsac_ros.cli.output import (
    add_device_option,
    add_json_option,
    angle,
    length,
    share,
    write_results,
)
from dsac_ros.cli.progress import add_progress_option, counted, reporter
from dsac_ros.cli.settings import (
    add_settings_options,
    make_settings,
    read_settings,
    split_settings,
)
from dsac_ros.cli.source_options import (
    SOURCE_HELP,
    add_source_options,
    check_map_path,
    open_named_source,
)
from dsac_ros.errors import ConfigError, SourceError

HELP = 'measure RANSAC, time, memory and what damaged images cost'
RATIOS = (0.8, 0.5, 0.3, 0.2, 0.12)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the tables and their options."""
    tables = parser.add_subparsers(dest='table', required=True, metavar='TABLE')
    query = tables.add_parser('query', help='milliseconds per stage of a localization')
    query.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    query.set_defaults(measure=bench_query)
    mapping = tables.add_parser('mapping', help='seconds per stage of mapping, and memory')
    mapping.add_argument('--minutes', type=float, metavar='M', help='time limit of the training')
    mapping.set_defaults(measure=bench_mapping)
    damage = tables.add_parser('damage', help='accuracy on blurred, dark, compressed, covered and '
                               'small images, beside SIFT + SfM')
    damage.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    damage.add_argument('--peer', metavar='MAPPING_SOURCE', help='measure SIFT + SfM '
                        '(pycolmap) of these mapping frames as well')
    damage.set_defaults(measure=bench_damage)
    ransac = tables.add_parser('ransac', help='success, error and time of our RANSAC, of OpenCV '
                               'and, where installed, of PoseLib and pycolmap, on the same data')
    ransac.add_argument('--frames', type=int, default=30, metavar='N',
                        help='frames per inlier ratio (default: 30)')
    ransac.add_argument('--threads', type=int, default=2, metavar='N',
                        help='threads of torch on a CPU; one image takes one (default: 2)')
    ransac.set_defaults(measure=bench_ransac)
    tuning = tables.add_parser('finetune', help="what end-to-end training gives: a map's head "
                               'fine-tuned in several ways, queries answered without landmarks')
    tuning.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    tuning.add_argument('--queries', required=True, metavar='SOURCE', help='frames to measure on; '
                        'SOURCE itself is what the map was learned from')
    tuning.set_defaults(measure=bench_finetune, depth='auto')
    for table in (query, mapping, damage, tuning):
        table.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
        add_source_options(table)
    for table in (query, mapping, damage, tuning, ransac):
        add_device_option(table)
        add_settings_options(table)
        add_json_option(table)
        add_progress_option(table)


def run(args: argparse.Namespace) -> int:
    """Measure one table."""
    from dsac_ros.metrics import json_ready
    results, lines = args.measure(args)
    results['machine'] = machine()
    lines.append('on ' + ', '.join(f'{name} {what}' for name, what in results['machine'].items()))
    write_results(json_ready(results), lines, args.json)
    return 0


def posed_frames(args: argparse.Namespace, what: str) -> list:
    """All frames of SOURCE that have a pose."""
    source = open_named_source(args)
    frames = list(counted(source.posed_frames(), len(source), what, args.progress))
    if not frames:
        raise SourceError(f'{args.source} has no frame with a pose; name the poses with --poses')
    return frames


def bench_query(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Latency per stage."""
    localizer = load_localizer(args)
    localizer.prepare()
    from dsac_ros.evaluation.localizing import localize_posed_frames
    from dsac_ros.metrics import evaluate
    frames = posed_frames(args, 'localize')
    localizations, references = localize_posed_frames(localizer, frames)
    report = evaluate(localizations, references, Path(args.map).stat().st_size,
                      str(localizer.device)).as_dict()
    results = {name: report[name] for name in ('frames', 'latency_ms', 'map_bytes', 'device')}
    results['peak_memory_mb'] = peak_memory_mb()
    lines = [f'{stage:10} p50 {times["p50"]:7.1f} ms   p95 {times["p95"]:7.1f} ms   '
             f'p99 {times["p99"]:7.1f} ms' for stage, times in results['latency_ms'].items()]
    return results, [*lines, f'{len(frames)} frames, peak memory {results["peak_memory_mb"]} MB']


def bench_mapping(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Seconds per stage of learning SOURCE."""
    from dsac_ros.config import EndToEndConfig, MappingConfig
    from dsac_ros.mapping.learning import learn
    from dsac_ros.mapping.recipes import with_recipe_settings
    values = read_settings(args)
    if args.minutes is not None:
        values['minutes'] = args.minutes
    config, end_to_end = split_settings(with_recipe_settings(values), MappingConfig,
                                        EndToEndConfig)
    source = open_named_source(args)
    progress = reporter(args.progress)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / 'bench.map'
        try:
            learned = learn(source.posed_frames(), config, end_to_end, device=args.device,
                            output=output, total=len(source), progress=progress)
        finally:
            progress.close()
        map_bytes = output.stat().st_size
    made = learned.header['provenance']
    results = {'frames': learned.header['frames'], 'seconds': made['seconds'],
               'stages': made['stages'], 'steps': learned.header['training']['steps'],
               'map_bytes': map_bytes, 'peak_memory_mb': peak_memory_mb(),
               'device': made['device']}
    lines = [f'{stage:10} {seconds:7.1f} s' for stage, seconds in made['stages'].items()]
    return results, [*lines, f'in all     {made["seconds"]:7.1f} s, {results["frames"]} frames, '
                     f'{results["steps"]} steps, map {map_bytes / 1e6:.1f} MB, peak memory '
                     f'{results["peak_memory_mb"]} MB']


def bench_damage(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Accuracy per kind of damage, ours and SIFT + SfM's."""
    import torch

    from dsac_ros.evaluation.damage import DAMAGES
    from dsac_ros.evaluation.localizing import localize_frame
    from dsac_ros.metrics import evaluate
    systems = {'dsac': load_localizer(args)}
    if args.peer:
        from dsac_ros.baselines.sift_sfm import SiftSfm
        from dsac_ros.sources.open_source import open_source
        mapping = open_source(args.peer)
        systems['sift_sfm'] = SiftSfm.learn(
            list(counted(mapping.posed_frames(), len(mapping), 'SIFT + SfM', args.progress)))
    frames = posed_frames(args, 'reading')
    references = [posed.world_from_camera for posed in frames]
    rows, lines = [], []
    for kind, damage in counted(DAMAGES.items(), len(DAMAGES), 'damage', args.progress):
        generator = torch.Generator().manual_seed(0)
        damaged = [damage(posed.frame, generator) for posed in frames]
        for name, system in systems.items():
            found = [localize_frame(system, frame) for frame in damaged]
            report = evaluate(found, references).as_dict()
            rows.append({'damage': kind, 'method': name, **{key: report[key] for key in (
                'accepted', 'median_translation_m', 'median_rotation_deg', 'recall',
                'false_accepts')}})
            near = ', '.join(f'{limit} {share(report["recall"][limit])}' for limit in (
                '0.02m_2deg', '0.05m_5deg', '0.10m_5deg'))
            lines.append(f'{kind:16} {name:9} {near}, false accepts {report["false_accepts"]}')
    return {'frames': len(frames), 'rows': rows}, lines


def bench_ransac(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Our RANSAC beside others on the same correspondences."""
    from dataclasses import asdict

    from dsac_ros.config import RansacConfig
    from dsac_ros.device import choose_device
    from dsac_ros.evaluation.ransac_race import race, speed
    from dsac_ros.metrics import json_ready
    from dsac_ros.ransac.threads import threads
    for name in ('frames', 'threads'):
        if getattr(args, name) < 1:
            raise ConfigError(f'--{name} is {getattr(args, name)}, expected at least 1')
    config, device = make_settings(RansacConfig, read_settings(args)), choose_device(args.device)
    devices = ['cpu', device] if args.device == 'auto' and device != 'cpu' else [device]
    rows = []
    with threads(args.threads):
        for ratio in counted(RATIOS, len(RATIOS), 'ransac', args.progress):
            rows += [json_ready(asdict(row)) for row in race([ratio], args.frames, config,
                                                             devices)]
        speeds = [json_ready(asdict(speed(config, device))) for device in devices]
    return ({'frames': args.frames, 'threads': args.threads, 'rows': rows, 'speed': speeds,
             'peak_memory_mb': peak_memory_mb()},
            [*ransac_lines(rows), *map(speed_line, speeds), f'{args.threads} threads of torch'])


def ransac_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table for people; `time / ours` is of our row on the first device."""
    ours: dict[float, float] = {}
    for row in rows:
        if row['method'] == 'dsac':
            ours.setdefault(row['inlier_ratio'], row['ms_p50'])
    return ['inliers  method         device  success  median error   p50 [ms]   p95 [ms]   '
            'time / ours',
            *(f'{row["inlier_ratio"]:7.0%}  {row["method"]:14} {row["device"]:6} '
              f'{row["success"]:8.1%} {length(row["median_error_m"]):>13} {row["ms_p50"]:10.1f} '
              f'{row["ms_p95"]:10.1f} {row["ms_p50"] / ours[row["inlier_ratio"]]:13.2f}'
              for row in rows)]


def speed_line(speed: dict[str, Any]) -> str:
    """How long one frame and a batch take, and where the time goes."""
    one, many = speed['one_ms'], speed['batch_of_16_ms']
    stages = ', '.join(f'{stage} {ms:.1f}' for stage, ms in speed['stages_ms'].items())
    return (f'{speed["device"]}: one frame {one:.1f} ms ({stages}), a batch of 16 {many:.1f} ms '
            f'({many / one:.1f} times)')


def bench_finetune(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """One head, fine-tuned in several ways."""
    from dataclasses import asdict

    from dsac_ros.config import EndToEndConfig
    from dsac_ros.device import choose_device
    from dsac_ros.evaluation.tuning_race import tuning_race
    from dsac_ros.map_file import load_map
    from dsac_ros.sources.open_source import open_source
    config, device = make_settings(EndToEndConfig, read_settings(args)), choose_device(args.device)
    known = load_map(check_map_path(args.map))
    asked = open_source(args.queries, depth='auto')
    queries = list(asked.posed_frames())
    if not queries:
        raise SourceError(f'{args.queries} has no frame with a pose')
    frames = posed_frames(args, 'reading')
    rows, lines = [], []
    for row in tuning_race(known, frames, queries, config, device):
        rows.append(asdict(row))
        for kind, report in (('RGB', row.rgb), ('RGB-D', row.rgbd)):
            if report:
                lines.append(tuning_line(row.training, kind, report))
                if args.progress != 'off':
                    print(lines[-1], file=sys.stderr)
    return {'queries': len(queries), 'rows': rows}, lines


def tuning_line(training: str, kind: str, report: dict[str, Any]) -> str:
    """One row for people."""
    near = ', '.join(f'{limit} {share(report["recall"][limit])}' for limit in (
        '0.02m_2deg', '0.05m_5deg', '0.10m_5deg'))
    return (f'{training:12} {kind:6} {length(report["median_translation_m"]):>10} '
            f'{angle(report["median_rotation_deg"]):>10}   {near}')


def peak_memory_mb() -> int:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == 'darwin' else 1e3))
