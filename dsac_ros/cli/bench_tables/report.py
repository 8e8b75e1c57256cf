# SPDX-License-Identifier: Apache-2.0
"""`dsac bench report`: Markdown tables from the JSON of `dsac bench scenes`, into a page."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsac_ros.compute.files import read_whole, write_whole
from dsac_ros.errors import ConfigError

HELP = 'write the tables of `dsac bench scenes --json` into a page of the documentation'
BEGIN, END = '<!-- dsac bench report: begin -->', '<!-- dsac bench report: end -->'
SYSTEMS = {'dsac': 'ours', 'sift_sfm': 'SIFT + SfM'}
WIDTH = 118  # of a line of text
#: Split -> heading and a line that explains it.
SPLITS = {
    'full': ('All mapping frames', ''),
    'stretches': ('Stretches held out', 'Stretches of the mapping frames as queries.'),
    'thinned': ('Every 20th mapping frame', ''),
    'zoom x2': ('Zoomed queries', 'The middle half of every query at twice the size.'),
}
COLUMNS = (
    'scene',
    'mapped + asked',
    'system',
    'within 1 / 2.5 / 5 / 12.5 / 25 %',
    'median',
    'lost / wrong',
    'MB',
    'p50 / p99, ms',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        'files',
        metavar='FILE',
        nargs='+',
        type=Path,
        help='JSON of `dsac bench '
        'scenes`, oldest first: where a row was measured twice the last one '
        'stands',
    )
    parser.add_argument(
        '-o',
        '--output',
        metavar='PAGE',
        type=Path,
        help='page whose part '
        f'between the lines {BEGIN!r} and {END!r} is replaced (default: stdout)',
    )


def run(args: argparse.Namespace) -> int:
    """Write the tables into the page, or to stdout."""
    lines = report_lines([read_run(path) for path in args.files])
    if args.output is None:
        print('\n'.join(lines))
        return 0
    try:
        page = args.output.read_text(encoding='utf-8')
        write_whole(args.output.resolve(), with_report(page, lines, args.output))
    except OSError as error:
        raise ConfigError(
            f'cannot write the tables into {args.output}: {error.strerror}'
        ) from error
    return 0


def read_run(path: Path) -> dict[str, Any]:
    """Read one run of `dsac bench scenes`: rows, machine and date."""
    try:
        found = json.loads(read_whole(path))
    except OSError as error:
        raise ConfigError(f'cannot read {path}: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f'{path} is no JSON: {error}') from error
    missing = [
        name
        for name in ('rows', 'machine', 'date')
        if not isinstance(found, dict) or name not in found
    ]
    if missing:
        raise ConfigError(
            f'{path} has no {", ".join(missing)}, expected the JSON of `dsac bench '
            'scenes --json FILE`'
        )
    return found


def with_report(page: str, lines: Iterable[str], path: Path) -> str:
    """Replace the part of a page that stands between BEGIN and END."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f'{path} has no lines {BEGIN!r} and {END!r} to write between; add them')
    return '\n'.join([before + begin, *lines, end + after])


def report_lines(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the Markdown of all runs: a table for each split, and where they were measured."""
    newest: dict[tuple[str, str, str], tuple[int, dict[str, Any]]] = {}
    for index, found in enumerate(runs):
        for row in found['rows']:
            newest[row['split'], row['scene'], row['system']] = index, row
    lines: list[str] = []
    for split in dict.fromkeys(split for split, _, _ in newest):
        heading, explained = SPLITS.get(split, (split, ''))
        lines += [
            '',
            f'## {heading}',
            '',
            *([explained, ''] if explained else []),
            table_row(COLUMNS),
            '|---' * len(COLUMNS) + '|',
        ]
        scenes = dict.fromkeys(scene for of, scene, _ in newest if of == split)
        for scene in scenes:
            rows = [
                newest[split, scene, system][1]
                for system in SYSTEMS
                if (split, scene, system) in newest
            ]
            lines += [table_row(cells(row, first=not place)) for place, row in enumerate(rows)]
    origins = measured(runs, [index for index, _ in newest.values()])
    return [*lines, '', '## Measured', '', *origins, '']


def cells(row: Mapping[str, Any], first: bool) -> list[str]:
    """Return the cells of one row; the scene stands in its first one only."""
    scene = [row['scene'], f'{row["mapping_frames"]} + {row["queries"]}'] if first else ['', '']
    start = [*scene, SYSTEMS[row['system']]]
    if row['error']:
        return [*start, f'failed: {row["error"]}', '', '', '', '']
    found = row['results']
    median, times = found['median_translation'], found['query_ms']
    return [
        *start,
        ' / '.join(f'{100 * share:.0f}' for share in found['within'].values()),
        '-' if median is None else f'{100 * median:.2f} %',
        f'{found["lost"]} / {found["wrong"]}',
        f'{found["map_bytes"] / 1e6:.1f}',
        f'{times["p50"]:.0f} / {times["p99"]:.0f}' if times else '-',
    ]


def table_row(values: Iterable[str]) -> str:
    """Return one line of a Markdown table."""
    return f'| {" | ".join(values)} |'


def measured(runs: Sequence[Mapping[str, Any]], used: Iterable[int]) -> Iterator[str]:
    """Yield lines for each day and machine: how many rows, by the run that each is of."""
    origins = [
        f'{found["date"]}, '
        + ', '.join(
            what if name == 'cpu' else f'{name} {what}' for name, what in found['machine'].items()
        )
        for found in runs
    ]
    for origin, count in Counter(origins[index] for index in used).items():
        yield from textwrap.wrap(f'- {count} rows: {origin}', WIDTH, subsequent_indent='  ')
