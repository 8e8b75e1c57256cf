# SPDX-License-Identifier: Apache-2.0
"""Report of `dsac demo`: the answers of the node beside the truth."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsac_ros.metrics import Report


def write_demo_report(
    args: argparse.Namespace, folder: Path, bag: Path, events: Sequence[dict[str, Any]]
) -> Report:
    """Evaluate the answers and write the report."""
    from dsac_ros.compute.machine import machine
    from dsac_ros.evaluation.analysis import Analysis
    from dsac_ros.evaluation.extrapolation import keyframe_poses
    from dsac_ros.evaluation.node_outputs import largest_difference, localizations_from_events
    from dsac_ros.evaluation.report import write_report
    from dsac_ros.localizer import Localizer
    from dsac_ros.metrics import Limits, evaluate
    from dsac_ros.sources.open_source import open_source
    from dsac_ros.sources.rendered_recording import TRUTH_TOPIC

    source = open_source(bag, poses=TRUTH_TOPIC)
    stamps, references = zip(
        *((posed.frame.stamp_ns, posed.world_from_camera) for posed in source.posed_frames())
    )
    localizations = localizations_from_events(events, stamps)
    shared, difference = largest_difference(events)
    map_file = folder / 'room.map'
    localizer = Localizer.load(map_file)
    report = evaluate(
        localizations,
        references,
        map_file.stat().st_size,
        str(localizer.device),
        {'machine': machine(), 'poses_in_tf': shared, 'pose_tf_difference': difference},
        Limits(depth=localizer.depth),
    )
    mapping = keyframe_poses(localizer.map.header)
    write_report(
        folder,
        localizer,
        source.posed_frames(),
        Analysis.of(localizations, references, report, mapping),
        title='dsac demo: a second drive through a rendered room',
        about={
            'command': shlex.join(['dsac', *sys.argv[1:]]),
            'room': f'seed {args.seed}',
            'map': f'{map_file}, id {localizer.map.id}',
        },
    )
    if args.picture:
        from dsac_ros.evaluation.overview import write_overview

        write_overview(
            args.picture, localizer, source.posed_frames(), localizations, references, report
        )
    return report
