# SPDX-License-Identifier: Apache-2.0
"""`dsac doctor`: line by line what is missing on this machine, in this graph, bag or map."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import add_json_option, check_file, write_results

if TYPE_CHECKING:
    from dsac_ros.nodes.doctor.finding import Finding
    from dsac_ros.nodes.doctor.tf import Frames

HELP = 'tell what is missing on this machine, in the ROS graph, in a bag or in a map'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        '--bag', type=Path, metavar='BAG', help='check a bag in place of the ROS graph'
    )
    parser.add_argument(
        '--map',
        type=Path,
        metavar='MAP',
        help='check a map, and whether the camera fits it; alone, in place of the ROS graph',
    )
    parser.add_argument(
        '--graph', action='store_true', help='check the ROS graph also where a map is named'
    )
    parser.add_argument(
        '--seconds',
        type=positive,
        default=5.0,
        metavar='SECONDS',
        help='time to listen to the graph (default: %(default)s)',
    )
    parser.add_argument('--image', metavar='TOPIC', help='image topic (default: the likeliest)')
    parser.add_argument(
        '--camera-info', metavar='TOPIC', help='camera_info topic (default: beside the images)'
    )
    for name, default in (('base', 'base_link'), ('odom', 'odom'), ('map', 'map')):
        parser.add_argument(
            f'--{name}-frame',
            default=default,
            metavar='FRAME',
            help=f'parameter {name}_frame of the node (default: %(default)s)',
        )
    parser.add_argument(
        '--camera-frame',
        default='',
        metavar='FRAME',
        help='parameter camera_frame of the node (default: frame_id of the images)',
    )
    add_json_option(parser)
    parser.add_argument(
        '--ros-args',
        dest='ros_args',
        nargs=argparse.REMAINDER,
        default=[],
        metavar='...',
        help='remappings as of the node (-r image:=..., -r /tf:=tf, -r __ns:=/robot); must come '
        'last',
    )


def positive(text: str) -> float:
    """A number above zero."""
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


def run(args: argparse.Namespace) -> int:
    """Check, print a line for each requirement; 1 if one failed."""
    check_file(args.json)
    from dsac_ros.nodes.doctor.finding import as_dicts, exit_code, summary
    from dsac_ros.nodes.doctor.machine import machine_findings
    from dsac_ros.nodes.doctor.tf import Frames

    frames = Frames(args.camera_frame, args.base_frame, args.odom_frame, args.map_frame)
    found = {'machine': machine_findings()}
    header: dict[str, Any] = {}
    if args.map:
        from dsac_ros.nodes.doctor.map_checks import map_findings

        found['map'], header = map_findings(args.map)
    if args.bag:
        from dsac_ros.nodes.doctor.bag_checks import bag_findings

        found['bag'] = bag_findings(args.bag, args.image, args.camera_info, frames, header)
    if args.graph or not (args.bag or args.map):
        found['graph'] = graph_findings(args, frames, header, can_run(found['machine']))
    every = [one for findings in found.values() for one in findings]
    lines = [
        line
        for place, findings in found.items()
        for line in (f'{place}:', *(f'  {one.line}' for one in findings))
    ]
    code = exit_code(every)
    results = {place: as_dicts(findings) for place, findings in found.items()}
    write_results({'ok': not code, **results}, [*lines, summary(every)], args.json)
    return code


def can_run(findings: list[Finding]) -> bool:
    """Return whether the machine can run nodes: then there may be a graph."""
    from dsac_ros.nodes.doctor.finding import Level

    subjects = ('ROS runtime', 'DDS domain')
    return all(one.level < Level.FAIL for one in findings if one.subject in subjects)


def graph_findings(
    args: argparse.Namespace, frames: Frames, header: dict[str, Any], possible: bool
) -> list[Finding]:
    """Listen to the graph, on rclpy where it is installed, embedded otherwise."""
    from dsac_ros.nodes.doctor.finding import fail

    if not possible:
        return [fail('graph', 'not looked at: no node can run on this machine, see above')]
    print(f'dsac: listening to the graph for {args.seconds:g} s', file=sys.stderr)
    from dsac_ros.nodes.doctor.session import listen_once

    return listen_once(args.image, args.camera_info, args.seconds, args.ros_args, frames, header)
