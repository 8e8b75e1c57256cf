# SPDX-License-Identifier: Apache-2.0
"""`dsac bench ransac`: our RANSAC beside other people's, on the same correspondences."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dsac_ros.cli.bench_tables.common import Table, peak_memory_mb
from dsac_ros.cli.output import length
from dsac_ros.cli.progress import counted
from dsac_ros.cli.settings import make_settings, read_settings
from dsac_ros.errors import ConfigError

HELP = (
    'success, error and time of our RANSAC, of OpenCV and, where installed, of PoseLib and '
    'pycolmap, on the same data'
)
RATIOS = (0.8, 0.5, 0.3, 0.2, 0.12)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this table."""
    parser.add_argument(
        '--frames', type=int, default=30, metavar='N', help='frames per inlier ratio (default: 30)'
    )
    parser.add_argument(
        '--threads',
        type=int,
        default=2,
        metavar='N',
        help='threads of torch on a CPU; one image takes one (default: 2)',
    )


def measure(args: argparse.Namespace) -> Table:
    """Our RANSAC beside others on the same correspondences."""
    from dsac_ros.benchmark.ransac_comparison import compare_methods, measure_runtime
    from dsac_ros.compute.device import choose_device
    from dsac_ros.compute.threads import threads
    from dsac_ros.config import RansacConfig
    from dsac_ros.metrics import json_ready

    for name in ('frames', 'threads'):
        if getattr(args, name) < 1:
            raise ConfigError(f'--{name} is {getattr(args, name)}, expected at least 1')
    config, device = make_settings(RansacConfig, read_settings(args)), choose_device(args.device)
    devices = ['cpu', device] if args.device == 'auto' and device != 'cpu' else [device]
    rows = []
    with threads(args.threads):
        for ratio in counted(RATIOS, len(RATIOS), 'ransac', args.progress):
            rows += [
                json_ready(asdict(row))
                for row in compare_methods([ratio], args.frames, config, devices)
            ]
        speeds = [json_ready(asdict(measure_runtime(config, device))) for device in devices]
    return (
        {
            'frames': args.frames,
            'threads': args.threads,
            'rows': rows,
            'speed': speeds,
            'peak_memory_mb': peak_memory_mb(),
        },
        [*ransac_lines(rows), *map(speed_line, speeds), f'{args.threads} threads of torch'],
    )


def ransac_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table for people; `time / ours` is of our row on the first device."""
    ours: dict[float, float] = {}
    for row in rows:
        if row['method'] == 'dsac':
            ours.setdefault(row['inlier_ratio'], row['ms_p50'])
    return [
        'inliers  method         device  success  median error   p50 [ms]   p95 [ms]   '
        'time / ours',
        *(
            f'{row["inlier_ratio"]:7.0%}  {row["method"]:14} {row["device"]:6} '
            f'{row["success"]:8.1%} {length(row["median_error_m"]):>13} {row["ms_p50"]:10.1f} '
            f'{row["ms_p95"]:10.1f} {row["ms_p50"] / ours[row["inlier_ratio"]]:13.2f}'
            for row in rows
        ),
    ]


def speed_line(speed: dict[str, Any]) -> str:
    """Lines with the time of one frame, of a batch, and of each stage."""
    one, many = speed['one_ms'], speed['batch_of_16_ms']
    stages = ', '.join(f'{stage} {ms:.1f}' for stage, ms in speed['stages_ms'].items())
    return (
        f'{speed["device"]}: one frame {one:.1f} ms ({stages}), a batch of 16 {many:.1f} ms '
        f'({many / one:.1f} times)'
    )
