# SPDX-License-Identifier: Apache-2.0
"""Loading of the maps that a command line names, with its settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.settings import read_settings, split_settings
from dsac_ros.cli.source_options import check_map_path

if TYPE_CHECKING:
    from dsac_ros.systems.system import System


def add_refine_option(parser: argparse.ArgumentParser) -> None:
    """Declare --refine-with."""
    parser.add_argument(
        '--refine-with',
        metavar='MAP',
        help='refine every pose of the first map in this one, of the recipe pixloc and the same '
        'frame',
    )


def load_localizer(args: argparse.Namespace, named: str | None = None) -> System:
    """Load a map, by default MAP, with the settings of the command line."""
    path = check_map_path(args.map if named is None else named)
    from dsac_ros.config import AcceptConfig, MapSetConfig, RansacConfig
    from dsac_ros.systems import loading

    ransac, accept, map_set = split_settings(
        read_settings(args), RansacConfig, AcceptConfig, MapSetConfig
    )
    localizer = loading.load_localizer(path, args.device, ransac, accept, map_set)
    if not getattr(args, 'refine_with', None):
        return localizer
    from dsac_ros.systems.pixloc.refined import Refined

    refining = check_map_path(args.refine_with)
    return Refined(localizer, loading.load_localizer(refining, args.device, ransac, accept))


def map_bytes(path: Path, header: dict[str, Any]) -> int:
    """Return the size of a map, or of a map set and all of its maps."""
    return path.stat().st_size + sum(one['map_bytes'] for one in header.get('maps') or [])
