# SPDX-License-Identifier: Apache-2.0
"""`dsac bench mapping`: what `dsac map` costs, stage by stage."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dsac_ros.cli.bench_tables.common import Table, peak_memory_mb
from dsac_ros.cli.map import add_learning_options, learn_source
from dsac_ros.cli.source_options import SOURCE_HELP, add_source_options

HELP = 'seconds per stage of mapping, and memory'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    add_learning_options(parser)
    add_source_options(parser)


def measure(args: argparse.Namespace) -> Table:
    """Seconds per stage of learning SOURCE."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / 'bench.map'
        learned, _ = learn_source(args, output)
        map_bytes = output.stat().st_size
    made = learned.header['provenance']
    results = {
        'frames': learned.header['frames'],
        'seconds': made['seconds'],
        'stages': made['stages'],
        'steps': learned.header['training']['steps'],
        'map_bytes': map_bytes,
        'peak_memory_mb': peak_memory_mb(),
        'device': made['device'],
    }
    lines = [f'{stage:10} {seconds:7.1f} s' for stage, seconds in made['stages'].items()]
    return results, [
        *lines,
        f'in all     {made["seconds"]:7.1f} s, {results["frames"]} frames, '
        f'{results["steps"]} steps, map {map_bytes / 1e6:.1f} MB, peak memory '
        f'{results["peak_memory_mb"]} MB',
    ]
