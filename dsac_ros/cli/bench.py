# SPDX-License-Identifier: Apache-2.0
"""`dsac bench`: the tables of the README, with the machine that they were measured on."""

from __future__ import annotations

import argparse
from datetime import date

from dsac_ros.cli.bench_tables import (
    alignment,
    damage,
    extrapolation,
    finetune,
    mapping,
    query,
    ransac,
    report,
    scenes,
    systems,
    trust,
)
from dsac_ros.cli.output import add_device_option, add_json_option, check_file, write_results
from dsac_ros.cli.progress import add_progress_option
from dsac_ros.cli.settings import add_settings_options
from dsac_ros.compute.machine import machine

HELP = 'measure accuracy on many scenes, all systems, RANSAC, time, memory and damaged images'
TABLES = {
    'scenes': scenes,
    'systems': systems,
    'extrapolation': extrapolation,
    'query': query,
    'mapping': mapping,
    'damage': damage,
    'alignment': alignment,
    'ransac': ransac,
    'finetune': finetune,
    'trust': trust,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the tables and their options."""
    tables = parser.add_subparsers(dest='table', required=True, metavar='TABLE')
    for name, module in TABLES.items():
        table = tables.add_parser(name, help=module.HELP)
        module.add_arguments(table)
        table.set_defaults(measure=module.measure)
        add_device_option(table)
        add_settings_options(table)
        add_json_option(table)
        add_progress_option(table)
    report.add_arguments(tables.add_parser('report', help=report.HELP))


def run(args: argparse.Namespace) -> int:
    """Measure one table, or write the page of those that were measured."""
    if args.table == 'report':
        return report.run(args)
    from dsac_ros.metrics import json_ready

    check_file(args.json)
    results, lines = args.measure(args)
    results['machine'], results['date'] = machine(), date.today().isoformat()
    lines.append('on ' + ', '.join(f'{name} {what}' for name, what in results['machine'].items()))
    write_results(json_ready(results), lines, args.json)
    return 0
