# SPDX-License-Identifier: Apache-2.0
"""Results: a table for people on stdout, or one JSON object on stdout or in a file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.compute.files import write_whole
from dsac_ros.errors import OutputError

if TYPE_CHECKING:
    from dsac_ros.sources.source import Source


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add --json [FILE]; without FILE the object goes to stdout in place of the table."""
    parser.add_argument(
        '--json',
        nargs='?',
        const='-',
        metavar='FILE',
        help='results as one JSON object, on stdout or in FILE',
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        '--device',
        default='auto',
        metavar='DEVICE',
        help='auto (a GPU if there is one), cpu, cuda or cuda:1 (default: %(default)s)',
    )


def check_file(*targets: Path | str | None) -> None:
    """Find out before the work, not after it, that a file of results cannot be written.

    None is no file, and `-` is stdout.
    """
    for target in targets:
        if target in (None, '-'):
            continue
        path = Path(target).absolute()
        if path.is_dir():
            raise OutputError(f'{target} is a folder, expected the name of the file to write')
        if path.exists():
            if not os.access(path, os.W_OK):
                raise OutputError(
                    f'{target} is write-protected; name another file, or change its permissions'
                )
            if not path.is_file():  # a device or a pipe: it is written to, never made
                continue
        if not path.parent.exists():
            raise OutputError(f'the folder {path.parent} does not exist, make it first')
        check_folder(path.parent)


def check_folder(target: Path | None) -> None:
    """Find out before the work that a folder cannot be made, or that nothing goes into it."""
    if target is None:
        return
    path = Path(target).absolute()
    there = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise OutputError(
            f'{there} is not a folder, expected one to write into; name another place'
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(
            f'nothing may be written into the folder {there}; name another place, '
            'or change its permissions'
        )


def write_results(results: dict[str, Any], lines: Sequence[str], target: str | None) -> None:
    """Print the table, or the JSON object on stdout (`-`), or the table with JSON in a file."""
    if target == '-':
        json.dump(results, sys.stdout, indent=1)
        print()
        return
    if target:
        text, path = json.dumps(results, indent=1) + '\n', Path(target).resolve()
        if path.exists() and not path.is_file():  # a device or a pipe is written to
            path.write_text(text, encoding='utf-8')
        else:
            write_whole(path, text)
    print('\n'.join(lines))


def losses(source: Source) -> dict[str, Any]:
    """The remarks on the last pass over a source: skipped, missing, assumptions, unread."""
    return {
        'skipped': dict(source.skipped),
        'missing': dict(source.missing),
        'assumptions': list(source.assumptions),
        'unread': list(source.unread),
    }


def loss_lines(results: dict[str, Any]) -> list[str]:
    """The losses for people; assumptions and what is not read were printed at once."""
    return [
        *(f'left out        {count} with {why}' for why, count in results['skipped'].items()),
        *(f'in use without  {count} {what}' for what, count in results['missing'].items()),
    ]


def size(count: float) -> str:
    """Bytes for people."""
    return f'{count / 1e6:.1f} MB' if count >= 1e5 else f'{count / 1e3:.1f} kB'


def length(metres: float | None) -> str:
    """A length for people: '1.2 cm', '3.40 m'; None is no estimate at all."""
    if metres is None:
        return 'none'
    return f'{metres * 100:.2f} cm' if metres < 1 else f'{metres:.2f} m'


def angle(degrees: float | None) -> str:
    """An angle for people."""
    return 'none' if degrees is None else f'{degrees:.2f} deg'


def confidence_lines(values: dict[str, Any] | None) -> list[str]:
    """The calibration of the confidence; nothing of an older map, which did not measure it."""
    if not values or values['brier'] is None:
        return []
    bins = ', '.join(
        f'{one["predicted"]:.2f}: {one["observed"]:.2f} of {one["frames"]}'
        for one in values['bins']
    )
    return [f'confidence: share within 25 cm and 5 deg   {bins}   (Brier {values["brier"]:.3f})']


def share(value: float | None) -> str:
    """A share in percent; '-' where it is not defined."""
    return '-' if value is None else f'{value:.1%}'


def report_lines(values: dict[str, Any]) -> list[str]:
    """The error table of `dsac evaluate`, from the JSON object of the report."""
    accepted = length(values['median_translation_accepted_m'])
    accepted_deg = angle(values['median_rotation_accepted_deg'])
    lines = [
        (
            f'frames          {values["frames"]}, accepted {values["accepted"]}, '
            f'false accepts {values["false_accepts"]}'
        ),
        (
            f'median error    {length(values["median_translation_m"])}, '
            f'{angle(values["median_rotation_deg"])}'
            f'   (accepted frames: {accepted}, {accepted_deg})'
        ),
    ]
    for name, value in values['recall'].items():
        limit, _, degrees = name.removesuffix('deg').partition('_')
        limit = f'{limit} depth' if '%' in limit else length(float(limit.removesuffix('m')))
        lines.append(f'within {limit:>9} and {degrees} deg   {value:7.1%}')
    spans = values['coverage']
    lines.append(
        'true pose inside the predicted 1, 2, 3 sigma   '
        + ', '.join(share(value) for value in spans.values())
        + '   (ideal 68.3, 95.4, 99.7 %)'
    )
    lines += confidence_lines(values.get('confidence'))
    for stage, times in values['latency_ms'].items():
        numbers = ', '.join(f'{key} {time:.1f}' for key, time in times.items() if time is not None)
        lines.append(f'{stage + " [ms]":15} {numbers}')
    if values['map_bytes']:  # on its held-out frames a map is measured before it is written
        lines.append(f'map             {size(values["map_bytes"])}, on {values["device"]}')
    return lines
