# SPDX-License-Identifier: Apache-2.0
"""`dsac bench mapping`: seconds per stage of learning a scene, and memory."""
from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dsac_ros.cli.bench_tables.common import Table, peak_memory_mb
from dsac_ros.cli.progress import reporter
from dsac_ros.cli.settings import read_settings, split_settings
from dsac_ros.cli.source_options import (
    SOURCE_HELP,
    add_depth_option,
    add_source_options,
    open_named_source,
)

HELP = 'seconds per stage of mapping, and memory'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument('--minutes', type=float, metavar='M', help='time for the training alone')
    add_source_options(parser)
    add_depth_option(parser)
    parser.set_defaults(depth='auto')  # as `dsac map` does


def measure(args: argparse.Namespace) -> Table:
    """Seconds per stage of learning SOURCE."""
    from dsac_ros.config import EndToEndConfig, MappingConfig
    from dsac_ros.mapping.learning import learn
    from dsac_ros.mapping.recipes import with_recipe_settings
    values = read_settings(args)
    if args.minutes is not None:
        values['minutes'] = args.minutes
    if args.depth == 'off':
        values['depth'] = 'off'
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
