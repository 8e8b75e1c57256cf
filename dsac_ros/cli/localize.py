# SPDX-License-Identifier: Apache-2.0
"""`dsac localize`: the pose of every frame of an image, a folder or a bag."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.loading import add_refine_option, load_localizer
from dsac_ros.cli.output import (
    add_device_option,
    add_json_option,
    check_file,
    loss_lines,
    losses,
    write_results,
)
from dsac_ros.cli.progress import add_progress_option, counted
from dsac_ros.cli.settings import add_settings_options
from dsac_ros.cli.source_options import (
    SOURCE_HELP,
    add_depth_option,
    add_source_options,
    check_map_path,
    open_named_source,
)

if TYPE_CHECKING:
    from dsac_ros.types import Localization

HELP = 'tell where each frame was taken'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        '-o',
        '--output',
        metavar='POSES',
        type=Path,
        help='write the accepted poses as a TUM trajectory (seconds, x y z, quaternion x y z w)',
    )
    add_refine_option(parser)
    add_device_option(parser)
    add_depth_option(parser)
    add_source_options(parser, poses=False)
    add_settings_options(parser)
    add_json_option(parser)
    add_progress_option(parser)


def run(args: argparse.Namespace) -> int:
    """Localize every frame; rejected ones are listed with their reason."""
    check_map_path(args.map)
    check_file(args.output, args.json)
    source = open_named_source(args)
    if args.output and not source.has_stamps:
        source.assume(
            f'the frames of {args.source} have no stamps, those in {args.output} count '
            'the frames from 0 on; --json names each frame'
        )
    localizer = load_localizer(args)

    from dsac_ros.evaluation.localizing import localize_frame

    found = [
        localize_frame(localizer, frame)
        for frame in counted(source.frames(), len(source), 'localize', args.progress)
    ]
    accepted = [one for one in found if one.accepted]
    if args.output:
        from dsac_ros.sources.trajectory_files import write_tum

        write_tum(
            args.output,
            [one.stamp_ns for one in accepted],
            [one.world_from_camera for one in accepted],
        )
    results = {
        'frames': len(found),
        'accepted': len(accepted),
        'map_id': localizer.map.id,
        **losses(source),
        'poses': [as_dict(one) for one in found],
    }
    write_results(results, describe(found, args) + loss_lines(results), args.json)
    return 0


def as_dict(found: Localization) -> dict[str, Any]:
    """One frame in the JSON; the pose of a refused frame is left out, its reason is not."""
    from dsac_ros.metrics import json_ready

    values: dict[str, Any] = {
        'name': found.name,
        'stamp_ns': found.stamp_ns,
        'accepted': found.accepted,
        'result': found.result.name,
        'reason': found.reason,
        'confidence': found.confidence,
        **({'map_id': found.map_id, 'map_frame': found.map_frame} if found.map_id else {}),
        **asdict(found.statistics),
    }
    if found.accepted:
        values['world_from_camera'] = found.world_from_camera.tolist()
        if found.covariance is not None:
            values['sigma'] = [float(variance) ** 0.5 for variance in found.covariance.diagonal()]
    return json_ready(values)


def describe(found: list[Localization], args: argparse.Namespace) -> list[str]:
    """One line per frame for people."""
    lines = []
    for one in found:
        name = one.name or f'{one.stamp_ns / 1e9:.6f}'
        if one.accepted:
            x, y, z = one.world_from_camera[:3, 3]
            where = f'  map {one.map_id} ({one.map_frame})' if one.map_id else ''
            lines.append(
                f'{name}  x {x:.3f} y {y:.3f} z {z:.3f}  confidence {one.confidence:.2f}{where}'
            )
        else:
            lines.append(f'{name}  not accepted, {one.result.name}: {one.reason}')
    count = sum(one.accepted for one in found)
    lines.append(
        f'{count} of {len(found)} frames accepted'
        + (f', written to {args.output}' if args.output else '')
    )
    return lines
