# SPDX-License-Identifier: Apache-2.0
"""`dsac bench query`: milliseconds per stage of a localization."""

from __future__ import annotations

import argparse
from pathlib import Path

from dsac_ros.cli.bench_tables.common import Table, peak_memory_mb, posed_frames
from dsac_ros.cli.loading import load_localizer
from dsac_ros.cli.source_options import SOURCE_HELP, add_source_options

HELP = 'milliseconds per stage of a localization'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    add_source_options(parser)


def measure(args: argparse.Namespace) -> Table:
    """Latency per stage."""
    localizer = load_localizer(args)
    localizer.warm_up()
    from dsac_ros.evaluation.localizing import localize_posed_frames
    from dsac_ros.metrics import evaluate

    frames = posed_frames(args, 'localize')
    localizations, references = localize_posed_frames(localizer, frames)
    report = evaluate(
        localizations, references, Path(args.map).stat().st_size, str(localizer.device)
    ).as_dict()
    results = {name: report[name] for name in ('frames', 'latency_ms', 'map_bytes', 'device')}
    results['peak_memory_mb'] = peak_memory_mb()
    lines = [
        f'{stage:10} p50 {times["p50"]:7.1f} ms   p95 {times["p95"]:7.1f} ms   '
        f'p99 {times["p99"]:7.1f} ms'
        for stage, times in results['latency_ms'].items()
    ]
    return results, [*lines, f'{len(frames)} frames, peak memory {results["peak_memory_mb"]} MB']
