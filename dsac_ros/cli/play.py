# SPDX-License-Identifier: Apache-2.0
"""`dsac play`: replay a bag onto the ROS graph, for machines without `ros2 bag`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_ros.cli.progress import add_progress_option, counted

if TYPE_CHECKING:
    from dsac_ros.nodes.bag_player import BagPlayer

HELP = 'replay a bag onto the ROS graph; needs no ROS installation'


def positive(text: str) -> float:
    """A number above zero."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


def remapping(text: str) -> tuple[str, str]:
    """A topic of the bag and the name under which it is published."""
    topic, found, name = text.partition(':=')
    if not (found and topic and name):
        raise argparse.ArgumentTypeError(f'{text!r} is not TOPIC:=NAME, such as /tf:=/tf_bag')
    return topic, name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bag', metavar='BAG', type=Path, help='a rosbag2: folder, .mcap or .db3')
    parser.add_argument(
        '--rate', type=positive, default=1.0, metavar='FACTOR', help='speed (default: %(default)s)'
    )
    parser.add_argument(
        '--clock',
        type=positive,
        default=0.0,
        metavar='HZ',
        nargs='?',
        const=100.0,
        help='publish /clock, for nodes with use_sim_time; at %(const)s Hz where no rate is given',
    )
    parser.add_argument('--loop', action='store_true', help='begin again at the end')
    parser.add_argument(
        '--start',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='leave out so much at the beginning; latched topics are sent all the same',
    )
    parser.add_argument(
        '--remap',
        action='append',
        default=[],
        type=remapping,
        metavar='TOPIC:=NAME',
        help='publish a topic under another name, such as /tf:=/tf_bag; may be repeated',
    )
    parser.add_argument('--topics', nargs='+', metavar='TOPIC', help='play only these')
    parser.add_argument(
        '--delay',
        type=float,
        default=1.0,
        metavar='SECONDS',
        help='wait before the first message, so that nodes find each other (default: %(default)s)',
    )
    parser.add_argument(
        '--wait-for',
        action='append',
        default=[],
        metavar='TOPIC',
        help='begin when somebody subscribes to this topic; may be repeated',
    )
    add_progress_option(parser)


def run(args: argparse.Namespace) -> int:
    """Publish the bag."""
    from dsac_ros.nodes.runtime import offer_runtime

    offer_runtime()
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from dsac_ros.nodes.bag_player import BagPlayer

    # Ctrl-C stays with Python: there is nothing to save, and the bar ends its line.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node('dsac_play', start_parameter_services=False)
        player = BagPlayer(args.bag, node, args.topics, dict(args.remap))
        count = play(player, args)
        player.close()
    finally:
        rclpy.try_shutdown()
    print(f'{count} messages of {len(player.publishers)} topics played')
    return 0


def play(player: BagPlayer, args: argparse.Namespace) -> int:
    """Wait for who listens, then publish; returns how many messages were sent."""
    from dsac_ros.errors import SourceError
    from dsac_ros.nodes.bag_player import Pace

    for topic, reason in player.skipped.items():
        print(f'dsac: {topic} is left out: {reason}', file=sys.stderr)
    unknown = [topic for topic in args.wait_for if topic not in player.publishers]
    if unknown:
        raise SourceError(
            f'--wait-for {unknown[0]}: not played from {args.bag}, which has '
            f'{", ".join(player.publishers)}'
        )
    for topic in args.wait_for:
        print(f'dsac: waiting for a subscriber of {topic}', file=sys.stderr)
        player.wait_for_subscriber(topic)
    time.sleep(args.delay)
    pace = Pace(args.rate, args.start, args.clock)
    sent = 0
    while True:
        for _ in counted(player.play(pace), len(player), 'play', args.progress):
            sent += 1
        if not args.loop:
            return sent
