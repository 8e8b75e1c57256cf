# SPDX-License-Identifier: Apache-2.0
"""`dsac bench damage`: what blurred, dark, compressed, covered and small images cost."""

from __future__ import annotations

import argparse

from dsac_ros.cli.bench_tables.common import Table, posed_frames, recalls
from dsac_ros.cli.evaluate import load_localizer
from dsac_ros.cli.progress import counted
from dsac_ros.cli.source_options import SOURCE_HELP, add_source_options, tell_notes

HELP = 'accuracy on blurred, dark, compressed, covered and small images, beside SIFT + SfM'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument('map', metavar='MAP', help='a map made by `dsac map`')
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        '--peer',
        metavar='MAPPING_SOURCE',
        help='measure SIFT + SfM (pycolmap) of these mapping frames as well',
    )
    add_source_options(parser)


def measure(args: argparse.Namespace) -> Table:
    """Accuracy per kind of damage, ours and SIFT + SfM's."""
    import torch

    from dsac_ros.benchmark.damage import DAMAGES
    from dsac_ros.evaluation.localizing import localize_frame
    from dsac_ros.metrics import evaluate

    systems = {'dsac': load_localizer(args)}
    if args.peer:
        from dsac_ros.benchmark.baselines.sift_sfm import SiftSfm
        from dsac_ros.sources.open_source import open_source

        mapping = tell_notes(open_source(args.peer))
        systems['sift_sfm'] = SiftSfm.learn(
            list(counted(mapping.posed_frames(), len(mapping), 'SIFT + SfM', args.progress))
        )
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
