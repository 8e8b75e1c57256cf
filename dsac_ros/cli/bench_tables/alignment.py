# SPDX-License-Identifier: Apache-2.0
"""`dsac bench alignment`: template alignment beside feature alignment, from the same starts."""

from __future__ import annotations

import argparse

from dsac_ros.cli.bench_tables.common import Table, posed_frames
from dsac_ros.cli.loading import load_localizer
from dsac_ros.cli.output import share
from dsac_ros.cli.progress import counted
from dsac_ros.cli.source_options import SOURCE_HELP, add_source_options

HELP = 'template alignment beside the feature alignment of pixloc, from the same starts'
LIMITS = ('0.02m_2deg', '0.05m_5deg', '1%_2deg', '2.5%_5deg')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map --recipe pixloc`')
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        '--every', type=int, default=1, help='use every n-th frame alone (default: %(default)s)'
    )
    add_source_options(parser)


def measure(args: argparse.Namespace) -> Table:
    """Shares of queries that end near the truth, by condition, start and method."""
    from dsac_ros.benchmark.alignment_comparison import CONDITIONS, STARTS, compare_alignments

    system = load_localizer(args)
    frames = posed_frames(args, 'reading')[:: max(1, args.every)]
    total = len(CONDITIONS) * len(STARTS) * 2
    rows = [
        row.as_dict()
        for row in counted(compare_alignments(system, frames), total, 'align', args.progress)
    ]
    lines = [
        f'{row["condition"]:16} {row["start"]:13} {row["method"]:10} '
        f'{", ".join(f"{limit} {share(row[limit])}" for limit in LIMITS)}, '
        f'median {100 * row["median_translation_m"]:.2f} cm '
        f'{row["median_rotation_deg"]:.2f} deg'
        for row in rows
    ]
    return {'frames': len(frames), 'rows': rows}, lines
