# SPDX-License-Identifier: Apache-2.0
"""`dsac bench extrapolation`: errors over the distance to the nearest mapping frame."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.bench_tables.common import Table
from dsac_ros.cli.output import check_file, length
from dsac_ros.cli.progress import counted
from dsac_ros.cli.source_options import (
    SOURCE_HELP,
    add_source_options,
    check_map_path,
    open_named_source,
)
from dsac_ros.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from dsac_ros.types import PosedFrame

HELP = 'errors of maps over the distance of a query to the nearest mapping frame'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument(
        'source', metavar='SOURCE', nargs='?', help=f'mapping frames: {SOURCE_HELP}'
    )
    parser.add_argument('--queries', metavar='QUERIES', help='a source of frames to localize')
    parser.add_argument(
        '--map',
        metavar='[NAME=]MAP',
        action='append',
        default=[],
        dest='maps',
        help='a map of SOURCE and its name in the picture (default: its recipe); may be repeated',
    )
    parser.add_argument(
        '--rows',
        metavar='FILE',
        type=Path,
        help='JSON of an earlier run: its systems stay, but for those measured again. Without '
        '--map the picture is drawn again',
    )
    parser.add_argument(
        '--picture', metavar='FILE', type=Path, help='draw the errors into a PNG file'
    )
    add_source_options(parser)


def measure(args: argparse.Namespace) -> Table:
    """Errors of each map's queries, beside those of an earlier run."""
    check_file(args.picture)
    if not args.maps and not args.rows:
        raise ConfigError('nothing to measure or to draw: name maps by --map, or --rows FILE')
    found = {row['system']: row for row in earlier_rows(args.rows)}
    if args.maps:
        if not args.source or not args.queries:
            raise ConfigError('maps are measured on SOURCE and --queries QUERIES; name both')
        found |= measured_rows(args)
    rows = list(found.values())
    lines = [row_line(row) for row in rows]
    if args.picture:
        from dsac_ros.evaluation.plots.extrapolation import draw_extrapolation
        from dsac_ros.evaluation.plots.style import save

        save(draw_extrapolation(rows), args.picture)
        lines.append(f'picture: {args.picture}')
    return {'rows': rows}, lines


def earlier_rows(path: Path | None) -> list[dict[str, Any]]:
    """Read the rows of an earlier run."""
    if path is None:
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding='utf-8'))['rows']
        for row in rows:
            if len(row['distance_m']) != len(row['error_m']) or not row['system']:
                raise ValueError('rows of different lengths')
    except OSError as error:
        raise ConfigError(f'cannot read {path}: {error.strerror}') from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f'{path} is not the JSON of `dsac bench extrapolation --json FILE` ({error!r})'
        ) from error
    return rows


def measured_rows(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Localize the queries in every map."""
    from dsac_ros.evaluation.extrapolation import distances
    from dsac_ros.sources.open_source import open_source
    from dsac_ros.systems.loading import load_localizer

    mapping, source = open_named_source(args), open_source(args.queries)
    poses = [
        one.world_from_camera
        for one in counted(mapping.posed_frames(), len(mapping), 'mapping frames', args.progress)
    ]
    queries = list(counted(source.posed_frames(), len(source), 'queries', args.progress))
    away = distances([one.world_from_camera for one in queries], poses)
    rows = {}
    for given in args.maps:
        name, _, path = given.rpartition('=')
        localizer = load_localizer(check_map_path(path), args.device)
        name = name or localizer.map.header['recipe']
        errors = [
            error_m(localizer, one) for one in counted(queries, len(queries), name, args.progress)
        ]
        rows[name] = {
            'system': name,
            'distance_m': [round(float(one), 4) for one in away],
            'error_m': errors,
        }
    return rows


def error_m(localizer: Any, posed: PosedFrame) -> float | None:
    """Return the error of a frame's position [m], refused or not; None without an estimate."""
    import numpy

    from dsac_ros.evaluation.localizing import localize_frame

    found: np.ndarray | None = localize_frame(localizer, posed.frame).world_from_camera
    if found is None:
        return None
    return round(float(numpy.linalg.norm(found[:3, 3] - posed.world_from_camera[:3, 3])), 5)


def row_line(row: dict[str, Any]) -> str:
    """One row for people: medians of bins."""
    import numpy as np

    from dsac_ros.evaluation.extrapolation import medians

    errors = np.array([np.inf if one is None else one for one in row['error_m']], float)
    pairs = zip(*medians(np.array(row['distance_m'], float), errors))
    shown = ', '.join(
        f'{length(error if np.isfinite(error) else None)} at {length(away)}'
        for away, error in pairs
    )
    return f'{row["system"]:22} {shown}'
