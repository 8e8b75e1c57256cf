# SPDX-License-Identifier: Apache-2.0
"""`dsac bench systems`: every system of the founding papers on the frames of one place."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.bench_tables.common import Table
from dsac_ros.cli.bench_tables.scenes import words
from dsac_ros.cli.output import angle, check_file, check_folder, length, share, size
from dsac_ros.cli.progress import counted, reporter
from dsac_ros.cli.settings import read_settings, split_settings
from dsac_ros.cli.source_options import SOURCE_HELP, add_source_options, open_named_source
from dsac_ros.errors import ConfigError

if TYPE_CHECKING:
    from dsac_ros.benchmark.system_comparison import System, SystemRow

HELP = 'map and ask every system on the same frames: accuracy, map size, times'
LIMITS = ('0.05m_5deg', '0.10m_5deg', '0.25m_2deg')
HEADER = (
    f'{"system":22} {"mapped":>7} {"map":>9}  {"depth":6} {"query":>7}  {"median error":>20}  '
    f'{"within 5 cm 5 deg / 10 cm 5 deg / 25 cm 2 deg":>22}  accepted  wrong'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('source', metavar='SOURCE', help=f'mapping frames: {SOURCE_HELP}')
    parser.add_argument(
        '--queries', metavar='QUERIES', required=True, help='a source of frames to localize'
    )
    parser.add_argument(
        '--systems',
        metavar='NAMES',
        type=words,
        default=(),
        help='these recipes alone, with commas between them (default: all that can run here)',
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
        '--picture',
        metavar='FILE',
        type=Path,
        help='draw accuracy over map size and over mapping time into a PNG file',
    )
    add_source_options(parser)


def measure(args: argparse.Namespace) -> Table:
    """Every system on the same frames."""
    from dsac_ros.benchmark.system_comparison import compare_systems
    from dsac_ros.compute.device import choose_device
    from dsac_ros.config import AcceptConfig, RansacConfig
    from dsac_ros.sources.open_source import open_source

    chosen, absent = systems(args)
    check_folder(args.maps)
    check_file(args.picture)
    mapping, source = open_named_source(args), open_source(args.queries)
    queries = list(counted(source.posed_frames(), len(source), 'queries', args.progress))
    rows: list[SystemRow] = []
    with ExitStack() as stack:
        progress = reporter(args.progress)
        stack.callback(progress.close)
        maps = args.maps or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        maps.mkdir(parents=True, exist_ok=True)
        for row in compare_systems(
            chosen,
            mapping,
            queries,
            maps,
            RansacConfig(),
            AcceptConfig(),
            choose_device(args.device),
            progress,
        ):
            rows.append(row)
            if args.progress != 'off':
                progress.close()
                print(row_line(row), file=sys.stderr)
    tables = [asdict(row) for row in rows]
    lines = [HEADER, *map(row_line, rows), *absent]
    if args.picture:
        from dsac_ros.evaluation.plots.style import save
        from dsac_ros.evaluation.plots.systems import draw_systems
        from dsac_ros.metrics import json_ready

        save(draw_systems(json_ready(tables)), args.picture)
        lines.append(f'picture: {args.picture}')
    return {'mapping_frames': len(mapping), 'queries': len(queries), 'rows': tables}, lines


def systems(args: argparse.Namespace) -> tuple[list[System], list[str]]:
    """The systems to measure, and a line for each that lacks an extra.

    Settings of `--set` and `--config` go to every system that has them.
    """
    from dsac_ros.benchmark.system_comparison import System
    from dsac_ros.config import MappingConfig
    from dsac_ros.systems.recipes import (
        find_any,
        missing_modules,
        settings_class,
        summaries,
        with_defaults,
    )

    given = read_settings(args)
    if args.minutes is not None:
        given['minutes'] = args.minutes
    names = args.systems or tuple(summaries())
    classes = {name: (MappingConfig, settings_class(name)) for name in names}
    known = {name: {*fields_of(*both)} for name, both in classes.items()}
    for setting in given:
        if not any(setting in fields for fields in known.values()):
            raise ConfigError(f'none of {", ".join(names)} has the setting {setting!r}')
    chosen, absent = [], []
    for name, both in classes.items():
        if missing := missing_modules(find_any(name)):
            absent.append(f'without {name}, which needs {" and ".join(missing)} (extra sfm)')
            continue
        own = {setting: value for setting, value in given.items() if setting in known[name]}
        config, rest = split_settings(with_defaults({**own, 'recipe': name}), *both)
        chosen.append(System(name, config, rest))
    if not chosen:
        raise ConfigError('no system is left to measure: ' + '; '.join(absent))
    return chosen, absent


def fields_of(*classes: Any) -> list[str]:
    """Return the names of the settings of some classes."""
    return [name for cls in classes for name in cls.__dataclass_fields__]


def row_line(row: SystemRow) -> str:
    """One row for people."""
    from dsac_ros.metrics import json_ready

    if row.error:
        return f'{row.system:22} failed: {row.error}'
    found = json_ready(row.results)
    seconds, query = (
        'unknown' if value is None else f'{value:.0f} {unit}'
        for value, unit in ((found['mapping_seconds'], 's'), (found['query_ms'], 'ms'))
    )
    recalls = ' / '.join(share(found['recall'][limit]) for limit in LIMITS)
    return (
        f'{row.system:22} {seconds:>7} {size(found["map_bytes"]):>9}  {row.depth:6} {query:>7}  '
        f'{length(found["median_translation_m"]):>9} {angle(found["median_rotation_deg"]):>10}  '
        f'{recalls:>22}  {found["accepted"]:>4}/{found["frames"]:<4} {found["false_accepts"]:>4}'
        f'{"  (map reused)" if found["map_reused"] else ""}'
    )
