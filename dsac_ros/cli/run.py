# SPDX-License-Identifier: Apache-2.0
"""`dsac run`: one of our nodes, on rclpy where it is installed, embedded otherwise."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dsac_ros.errors import ConfigError

HELP = 'run a node: relocalizer, mapper or a helper of replays; needs no ROS installation'
#: Name of the node -> its module in nodes/.
NODES = {
    'relocalizer': 'relocalizer_node',
    'mapper': 'mapper_node',
    'tf_filter': 'tf_filter',
    'output_recorder': 'output_recorder',
    'wait_for_active': 'wait_for_active',
}
ROS_ARGS = '--ros-args'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('node', choices=NODES, help='which node')
    parser.add_argument(
        '--params-file',
        action='append',
        default=[],
        metavar='FILE',
        help='YAML file with parameters, as ros2 run takes it; may be repeated',
    )
    parser.add_argument(
        '--ros-args',
        dest='ros_args',
        nargs=argparse.REMAINDER,
        default=[],
        metavar='...',
        help='remappings (-r image:=/camera/image_raw), '
        'parameters (-p map:=room.map), --log-level; must come last',
    )


def run(args: argparse.Namespace) -> int:
    """Run the node until it is interrupted."""
    for file in args.params_file:
        if not Path(file).is_file():
            raise ConfigError(f'{file}: no such parameter file')
    from dsac_ros.nodes.runtime import choose_runtime, run_node

    print(f'dsac: {args.node} on {choose_runtime()}', file=sys.stderr)
    return run_node(f'dsac_ros.nodes.{NODES[args.node]}', ros_arguments(args))


def ros_arguments(args: argparse.Namespace) -> list[str]:
    """The command line that the node reads, program name first."""
    words = [word for file in args.params_file for word in ('--params-file', file)]
    words += args.ros_args
    return [args.node, ROS_ARGS, *words] if words else [args.node]
