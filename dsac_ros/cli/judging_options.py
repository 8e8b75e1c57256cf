# SPDX-License-Identifier: Apache-2.0
"""The options of `dsac evaluate` that say what is measured."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from dsac_ros.cli.source_options import positive


def add_judging_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say what is measured."""
    group = parser.add_argument_group('what is measured')
    group.add_argument(
        '--thresholds',
        metavar='LIST',
        type=parsed_by('thresholds', 'parse_thresholds'),
        default=(),
        help='recall within these errors too: metres or percent of the median depth of the scene, '
        'and degrees, such as 0.2/5,2%%/5',
    )
    group.add_argument(
        '--false-accept',
        metavar='THRESHOLD',
        type=parsed_by('thresholds', 'parse_threshold'),
        help='an accepted pose with a larger error is wrong, such as 15%%/15 (default: 0.5/15)',
    )
    group.add_argument(
        '--kidnap',
        metavar='N',
        type=positive,
        default=0,
        help='simulate N kidnaps: time from a random frame to the first accepted pose',
    )
    group.add_argument(
        '--seed', type=int, default=0, metavar='S', help='of the kidnaps (default: %(default)s)'
    )
    group.add_argument(
        '--beside',
        metavar='[NAME=]MAP|RUN',
        action='append',
        default=[],
        help='show another map, measured on the same frames, or an earlier run (its --report '
        'folder or --json file) side by side with this one; may be repeated',
    )
    group.add_argument(
        '--mapping',
        metavar='SOURCE',
        help='the frames that the map was learned from, for the distance of each frame to the '
        'nearest one (default: about 100 of them, which the map has)',
    )


def parsed_by(module: str, function: str) -> Callable[[str], Any]:
    """Return a type for argparse that imports its parser when it is needed."""

    def parse(text: str) -> Any:
        from importlib import import_module

        try:
            return getattr(import_module(f'dsac_ros.evaluation.{module}'), function)(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse
