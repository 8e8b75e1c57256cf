# SPDX-License-Identifier: Apache-2.0
"""`dsac bench finetune`: one map's head, fine-tuned end to end in several ways."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from dsac_ros.cli.bench_tables.common import Table, posed_frames, recalls
from dsac_ros.cli.output import angle, length
from dsac_ros.cli.settings import make_settings, read_settings
from dsac_ros.cli.source_options import add_source_options, check_map_path

HELP = (
    "what end-to-end training gives: a map's head fine-tuned in several ways, queries "
    'answered without landmarks'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument('source', metavar='SOURCE', help='what the map was learned from')
    parser.add_argument('--queries', required=True, metavar='SOURCE', help='frames to measure on')
    add_source_options(parser)
    parser.set_defaults(depth='auto')


def measure(args: argparse.Namespace) -> Table:
    """One head, fine-tuned in several ways."""
    from dsac_ros.benchmark.tuning_comparison import compare_variants
    from dsac_ros.compute.device import choose_device
    from dsac_ros.config import EndToEndConfig
    from dsac_ros.map_file import load_map

    config, device = make_settings(EndToEndConfig, read_settings(args)), choose_device(args.device)
    base_map = load_map(check_map_path(args.map))
    frames = posed_frames(args, 'reading')
    of_queries = argparse.Namespace(**{**vars(args), 'source': args.queries})
    queries = posed_frames(of_queries, 'reading queries')
    rows, lines = [], []
    for row in compare_variants(base_map, frames, queries, config, device):
        rows.append(asdict(row))
        for kind, report in (('RGB', row.rgb), ('RGB-D', row.rgbd)):
            if report:
                lines.append(tuning_line(row.training, kind, report))
                if args.progress != 'off':
                    print(lines[-1], file=sys.stderr)
    return {'queries': len(queries), 'rows': rows}, lines


def tuning_line(training: str, kind: str, report: dict[str, Any]) -> str:
    """One row for people."""
    return (
        f'{training:12} {kind:6} {length(report["median_translation_m"]):>10} '
        f'{angle(report["median_rotation_deg"]):>10}   {recalls(report)}'
    )
