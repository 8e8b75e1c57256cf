# SPDX-License-Identifier: Apache-2.0
"""`dsac inspect`: what a map is, where it came from, how good it was on its held-out block."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dsac_ros.cli.output import add_json_option, check_file, report_lines, size, write_results
from dsac_ros.cli.source_options import check_map_path

HELP = 'tell what a map is, where it came from and how good it is'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument(
        '--picture',
        metavar='FILE',
        type=Path,
        help='draw the map as seen from above into a PNG file',
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Read the header alone: no torch, no weights."""
    path = check_map_path(args.map)
    check_file(args.picture, args.json)
    from dsac_ros.map_container import read_header

    header = read_header(path)
    lines = describe(header, path)
    if args.picture:
        from dsac_ros.evaluation.plots.map import draw_map
        from dsac_ros.evaluation.plots.style import save

        save(draw_map(header), args.picture)
        lines.append(f'picture         {args.picture}')
    write_results({**header, 'map_bytes': path.stat().st_size}, lines, args.json)
    return 0


def describe(header: dict[str, Any], path: Path) -> list[str]:
    """The header for people."""
    from dsac_ros.cli.mapset import describe as describe_set
    from dsac_ros.map_set.file import is_map_set

    lines = [
        f'{label:15} {header[key]}'
        for label, key in (
            ('name', 'name'),
            ('id', 'id'),
            ('created', 'created'),
            ('recipe', 'recipe'),
            ('network', 'network'),
            ('frames', 'frames'),
            ('map frame', 'map_frame'),
            ('format', 'format_version'),
        )
        if key in header
    ]
    lines.append(f'{"size":15} {size(path.stat().st_size)}')
    if header.get('bounds'):
        low, high = header['bounds']['min'], header['bounds']['max']
        extent = ' x '.join(f'{b - a:.3g}' for a, b in zip(low, high))
        lines.append(f'{"camera moved in":15} {extent} m')
    if header.get('twin_views'):
        lines.append(
            f'{"twins":15} {len(header["twin_views"])} views show places that stand in the map '
            'twice: AMBIGUOUS'
        )
    lines += [
        f'{key:15} {value}'
        for key, value in header.get('provenance', {}).items()
        if isinstance(value, (str, int, float))
    ]
    if is_map_set(header):
        from dsac_ros.map_set.file import read_map_set

        lines += describe_set(read_map_set(path)[0], path)
    if header.get('held_out'):
        lines += [
            'on its own held-out block:',
            *('  ' + line for line in report_lines(header['held_out'])),
        ]
    return lines
