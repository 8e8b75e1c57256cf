# SPDX-License-Identifier: Apache-2.0
"""`dsac demo`: the whole way once, on a rendered room, with a real node on a real graph."""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsac_ros.cli.demo_graph import DSAC, LISTEN, READY_SECONDS, Graph, NodeFailedError
from dsac_ros.cli.demo_report import write_demo_report
from dsac_ros.cli.output import check_file, check_folder, report_lines
from dsac_ros.cli.progress import counted

HELP = 'the whole way once: record a rendered room, learn it, be localized by the node, report'
STEPS = 5
#: Below this the demo itself says that it failed.
LEAST_RECALL, RECALL_M, RECALL_DEG = 0.8, 0.1, 5.0
TRIES, TIMED_FRAMES = 3, 6


@dataclass(frozen=True)
class Size:
    """Amount of work of a demo."""

    mapping_frames: int
    held_out_frames: int
    map_options: tuple[str, ...]


FULL = Size(100, 48, ('--set', 'passes=1'))
QUICK = Size(50, 16, ('--minutes', '0.4', '--set', 'passes=1'))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        '--output',
        type=Path,
        default=Path('demo_output'),
        metavar='DIR',
        help='where bags, map, logs and report go (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=3, help='which room (default: %(default)s)')
    parser.add_argument(
        '--quick',
        action='store_true',
        help='half of the frames to learn from, a third of the others and of the time: less exact',
    )
    parser.add_argument(
        '--keep', action='store_true', help='use the bags and the map that are already in DIR'
    )
    parser.add_argument(
        '--picture', type=Path, metavar='FILE', help='also write the picture of the README (PNG)'
    )
    parser.set_defaults(
        when_interrupted='every process was ended; what was made stands in the '
        'output folder, --keep goes on with it'
    )


def run(args: argparse.Namespace) -> int:
    """Five steps; the exit code says whether the numbers are good."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start, size = time.monotonic(), QUICK if args.quick else FULL
    folder = args.output
    check_folder(folder)
    check_file(args.picture)
    folder.mkdir(parents=True, exist_ok=True)
    bags = folder / 'mapping.mcap', folder / 'held_out.mcap'
    with step(
        1,
        f'record two drives through a rendered room: {size.mapping_frames} frames to '
        f'learn from, {size.held_out_frames} to be found again',
    ):
        render(args, size, bags)
    with step(2, 'learn the room from the first drive'):
        learn(args, size, bags[0], folder / 'room.map')
    with step(3, 'play the second drive to the relocalizer node over DDS'):
        events = play(folder, bags[1], size.held_out_frames)
    with step(4, 'compare what came back with the ground truth'):
        report = write_demo_report(args, folder, bags[1], events)
    print(f'[{STEPS}/{STEPS}] results after {time.monotonic() - start:.0f} s')
    print('\n'.join('  ' + line for line in report_lines(report.as_dict())))
    shared, difference = report.extra['poses_in_tf'], report.extra['pose_tf_difference']
    print(
        f'  PoseStamped     {shared} of them are the same in TF (largest difference '
        f'{difference:.1e})'
    )
    print(f'  report          {(folder / "report.html").resolve()}')
    recall = report.recall(RECALL_M, RECALL_DEG)
    if recall < LEAST_RECALL:
        print(
            f'dsac: failed: {recall:.1%} of the frames are within {RECALL_M:g} m and '
            f'{RECALL_DEG:g} deg, expected at least {LEAST_RECALL:.0%}',
            file=sys.stderr,
        )
    return int(recall < LEAST_RECALL)


@contextmanager
def step(number: int, words: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(f'[{number}/{STEPS}] {words}', flush=True)
    start = time.monotonic()
    yield
    print(f'      done in {time.monotonic() - start:.0f} s', flush=True)


def render(args: argparse.Namespace, size: Size, bags: Sequence[Path]) -> None:
    """Make both bags, unless they are there and to be kept."""
    from dsac_ros.cli.demo_recording import Recording, record_all

    wanted = [bag for bag in bags if not (args.keep and bag.exists())]
    for bag in wanted:
        shutil.rmtree(bag, ignore_errors=True)
        bag.unlink(missing_ok=True)
    recordings = [
        Recording(bag, args.seed, drive_seed, frames, held_out)
        for bag, drive_seed, frames, held_out in (
            (bags[0], 1, size.mapping_frames, False),
            (bags[1], 2, size.held_out_frames, True),
        )
        if bag in wanted
    ]
    if recordings:
        for _ in counted(
            record_all(recordings), sum(one.frames for one in recordings), 'render', 'bar'
        ):
            pass


def learn(args: argparse.Namespace, size: Size, bag: Path, output: Path) -> None:
    """`dsac map` in a process of its own, as a user would call it."""
    if args.keep and output.exists():
        return
    words = [
        'map',
        str(bag),
        '-o',
        str(output),
        *size.map_options,
        '--json',
        str(output.with_name('map.json')),
    ]
    print('      $ dsac ' + shlex.join(words), flush=True)
    code = subprocess.run([*DSAC, *words], stdout=subprocess.DEVNULL, check=False).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise NodeFailedError(f'`dsac map` ended with code {code}; the reason stands above')


def play(folder: Path, bag: Path, frames: int) -> list[dict[str, Any]]:
    """The answers to the whole drive; played again, slower, when the node could not keep up."""
    parameters = folder / 'relocalizer.yaml'
    parameters.write_text(node_parameters(folder / 'room.map'), encoding='utf-8')
    rate = playing_rate(folder / 'room.map', bag)
    for _ in range(TRIES):
        events = play_once(folder, bag, frames, rate)
        answered = sum(event['event'] == 'status' for event in events)
        if answered >= frames:
            break
        rate /= 3
        print(
            f'      {answered} of {frames} images were answered, the others came too fast for '
            'this machine: again, slower'
        )
    return events


def play_once(folder: Path, bag: Path, frames: int, rate: float) -> list[dict[str, Any]]:
    """Node, listener and player as three processes; what the listener heard."""
    node = [
        'run',
        'relocalizer',
        '--params-file',
        str(folder / 'relocalizer.yaml'),
        '--ros-args',
        '-r',
        'image:=/camera/image_raw',
        '-r',
        'camera_info:=/camera/camera_info',
    ]
    player = ['play', str(bag), '--rate', f'{rate:.2f}', '--clock']
    print('      $ dsac ' + shlex.join(node))
    print('      $ dsac ' + shlex.join(player), flush=True)
    with Graph(folder) as graph:
        graph.start('listener', sys.executable, '-c', LISTEN, listen=True)
        graph.start('relocalizer', *DSAC, *node)
        graph.wait_until(
            lambda: graph.count('ready') > 0, READY_SECONDS, 'the start of the relocalizer'
        )
        graph.start(
            'player',
            *DSAC,
            *player,
            '--progress',
            'off',
            '--wait-for',
            '/camera/image_raw',
            '--wait-for',
            '/camera/camera_info',
        )
        for _ in counted(graph.answers('player', frames), frames, 'answers', 'bar'):
            pass
        # The pose and the TF of the last image may still be on their way.
        time.sleep(0.5)
    return graph.events


def playing_rate(map_file: Path, bag: Path) -> float:
    """Return the rate at which the node keeps up with the drive, timed on a few images."""
    from dsac_ros.cli.demo_recording import RATE_HZ
    from dsac_ros.localizer import Localizer
    from dsac_ros.sources.open_source import open_source

    localizer = Localizer.load(map_file)
    seconds = []
    for frame in itertools.islice(open_source(bag).frames(), TIMED_FRAMES + 1):
        start = time.perf_counter()
        localizer.localize(frame)
        seconds.append(time.perf_counter() - start)
    # The first one sets the libraries up. The player decodes and sends beside the node, on the
    # same cores: half of each period is left for that.
    return min(2.0, max(0.1, 1 / RATE_HZ / (2 * max(seconds[1:]))))


def node_parameters(map_file: Path) -> str:
    """The node's parameters: the bag's time, every image, the covariance as it is calibrated."""
    values = {
        'map': str(map_file.resolve()),
        'use_sim_time': True,
        'max_rate': 0.0,
        'max_image_age': 0.0,
        'std_xy': 0.001,
        'std_z': 0.001,
        'std_roll_pitch_deg': 0.01,
        'std_yaw_deg': 0.01,
    }
    lines = [f'    {name}: {json.dumps(value)}' for name, value in values.items()]
    return '\n'.join(['/**:', '  ros__parameters:', *lines]) + '\n'
