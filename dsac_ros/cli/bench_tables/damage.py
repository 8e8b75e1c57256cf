# SPDX-License-Identifier: Apache-2.0
"""`dsac bench damage`: what blurred, dark, compressed, covered and small images cost."""

from __future__ import annotations

import argparse

from dsac_ros.cli.bench_tables.common import Table, posed_frames, recalls
from dsac_ros.cli.loading import load_localizer
from dsac_ros.cli.progress import counted
from dsac_ros.cli.source_options import SOURCE_HELP, add_source_options, check_map_path

HELP = 'accuracy on blurred, dark, compressed, covered and small images'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        '--peer',
        metavar='MAP',
        help='measure another map of the same place as well, such as one by --recipe sift_sfm',
    )
    add_source_options(parser)


def measure(args: argparse.Namespace) -> Table:
    """Accuracy per kind of damage, of one map or of two side by side."""
    import torch

    from dsac_ros.benchmark.damage import DAMAGES
    from dsac_ros.evaluation.localizing import localize_frame
    from dsac_ros.metrics import evaluate
    from dsac_ros.systems import loading

    own = load_localizer(args)
    systems = {own.map.header['recipe']: own}
    if args.peer:
        peer = loading.load_localizer(check_map_path(args.peer), args.device)
        systems[peer.map.header['recipe']] = peer
    frames = posed_frames(args, 'reading')
    references = [posed.world_from_camera for posed in frames]
    rows, lines = [], []
    for kind, damage in counted(DAMAGES.items(), len(DAMAGES), 'damage', args.progress):
        generator = torch.Generator().manual_seed(0)
        damaged = [damage(posed.frame, generator) for posed in frames]
        for name, system in systems.items():
            found = [localize_frame(system, frame) for frame in damaged]
            report = evaluate(found, references).as_dict()
            rows.append(
                {
                    'damage': kind,
                    'method': name,
                    **{
                        key: report[key]
                        for key in (
                            'accepted',
                            'median_translation_m',
                            'median_rotation_deg',
                            'recall',
                            'false_accepts',
                        )
                    },
                }
            )
            lines.append(
                f'{kind:16} {name:9} {recalls(report)}, false accepts {report["false_accepts"]}'
            )
    return {'frames': len(frames), 'rows': rows}, lines
