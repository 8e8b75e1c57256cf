# SPDX-License-Identifier: Apache-2.0
"""`dsac convert`: frames of any source as a bag, a folder of some layout, or a trajectory."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.cli.output import (
    add_json_option,
    check_file,
    check_folder,
    loss_lines,
    losses,
    write_results,
)
from dsac_ros.cli.progress import add_progress_option, counted, note
from dsac_ros.cli.source_options import SOURCE_HELP, add_source_options, open_named_source
from dsac_ros.errors import SourceError

if TYPE_CHECKING:
    from dsac_ros.sources.source import Source

HELP = 'write the frames of a source as a bag, a folder or a trajectory'
BAG_SUFFIXES = ('.mcap', '.db3')
TRAJECTORY_SUFFIXES = ('.tum', '.txt')
# What people may expect to get; a folder of such a name is seldom meant.
NOT_WRITTEN = (
    '.csv',
    '.json',
    '.yaml',
    '.yml',
    '.mp4',
    '.mkv',
    '.avi',
    '.mov',
    '.webm',
    '.zip',
    '.tar',
    '.gz',
    '.zst',
    '.zstd',
    '.map',
    '.png',
    '.jpg',
    '.npz',
    '.ply',
    '.bin',
)
GROUND_TRUTH = '/ground_truth/pose'
KINDS = ('bag', 'folder', 'tum', 'transforms', 'euroc', 'kapture', 'colmap')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('source', metavar='SOURCE', help=SOURCE_HELP)
    parser.add_argument(
        'dest',
        metavar='DEST',
        type=Path,
        help='what to write: NAME.mcap or '
        'NAME.db3 (a bag), NAME.tum (a trajectory), else a folder of frames',
    )
    parser.add_argument(
        '--to',
        choices=KINDS,
        help='what DEST is, where its name does not say it: folder is the layout of DSAC* and '
        'ACE, transforms a folder with the transforms.json of nerfstudio, euroc the ASL layout, '
        'colmap images and a model as text',
    )
    parser.add_argument(
        '--depth',
        default='auto',
        metavar='TOPIC',
        help='auto, off, points for those of a COLMAP model, or a depth topic (default: '
        '%(default)s)',
    )
    add_source_options(parser)
    parser.add_argument(
        '--undistort',
        action='store_true',
        help='write the images of an ideal '
        'pinhole; the folder layout alone cannot say what a lens does',
    )
    add_bag_options(parser)
    parser.add_argument(
        '--jpg', action='store_true', help='write a folder with jpeg images, not png'
    )
    add_json_option(parser)
    add_progress_option(parser)


def add_bag_options(parser: argparse.ArgumentParser) -> None:
    """Declare what concerns a bag that is written."""
    group = parser.add_argument_group('when a bag is written')
    group.add_argument(
        '--storage',
        choices=('mcap', 'sqlite3'),
        help='write DEST as a bag folder with this storage (default: mcap)',
    )
    group.add_argument(
        '--rate',
        type=float,
        default=10.0,
        metavar='HZ',
        help='frames per second of a source without stamps (default: %(default)s)',
    )
    group.add_argument(
        '--map-frame',
        default=None,
        metavar='FRAME',
        help='frame of the poses (default: as in the source, else map)',
    )
    group.add_argument(
        '--camera-frame',
        default='camera_optical',
        metavar='FRAME',
        help='optical frame of the camera (default: %(default)s)',
    )
    group.add_argument(
        '--odom',
        action='store_true',
        help=f'write the poses to {GROUND_TRUTH}, '
        'not to TF, so that a bag for tests does not tell the answer',
    )
    group.add_argument('--compressed', action='store_true', help='jpeg images')


def run(args: argparse.Namespace) -> int:
    """Read every frame that has a pose and write it."""
    kind = kind_of(args)
    if args.dest.exists() and (args.dest.is_file() or any(args.dest.iterdir())):
        raise SourceError(f'{args.dest} exists already, expected a new name')
    if kind == 'tum':
        check_file(args.dest)
    else:
        check_folder(args.dest.absolute().parent)  # and what of it is missing is made
    check_file(args.json)
    source = open_named_source(args)
    count, lost = write(kind, source, args)
    results = {
        'source': str(args.source),
        'dest': str(args.dest),
        'kind': kind,
        'frames': count,
        'not_held': lost,
        **losses(source),
    }
    write_results(results, describe(results), args.json)
    return 0


def kind_of(args: argparse.Namespace) -> str:
    """Return the kind of DEST, one of KINDS."""
    suffix = args.dest.suffix.lower()
    if args.to:
        return args.to
    if suffix == '.bag':
        raise SourceError(
            f'{args.dest}: rosbag1 is read but not written, expected NAME.mcap or NAME.db3'
        )
    if suffix in BAG_SUFFIXES or args.storage:
        return 'bag'
    if suffix in NOT_WRITTEN:
        raise SourceError(
            f'{args.dest}: {suffix} is not written, expected NAME.mcap or NAME.db3 '
            '(a bag), NAME.tum (a trajectory) or a folder; --to folder takes any name, --to '
            'transforms writes a transforms.json into it'
        )
    return 'tum' if suffix in TRAJECTORY_SUFFIXES else 'folder'


def write(kind: str, source: Source, args: argparse.Namespace) -> tuple[int, list[str]]:
    """Write the frames of `source` to DEST; return how many, and what DEST cannot hold of them."""
    from dsac_ros.sources import conversion

    contents = conversion.Contents(source.has_stamps)
    frames = contents.counted(
        counted(source.posed_frames(), len(source), 'convert', args.progress)
    )
    if not source.has_stamps and kind in conversion.NEED_STAMPS:
        source.assume(
            f'the frames of {args.source} have no stamps and get those of '
            f'{args.rate:g} Hz, from {conversion.START_NS // 10**9} s on; --rate says '
            'another rate'
        )
        frames = conversion.restamped(frames, args.rate)
    if args.undistort:
        frames = conversion.undistorted(frames)
    map_frame = args.map_frame or source.map_frame
    if kind == 'tum':
        count = conversion.write_trajectory(args.dest, frames)
    elif kind == 'bag':
        names = conversion.BagNames(
            map_frame,
            args.camera_frame,
            compressed=args.compressed,
            pose_topic=GROUND_TRUTH if args.odom else '',
        )
        count = conversion.write_bag(args.dest, frames, names, args.storage or 'mcap')
    else:
        suffix = '.jpg' if args.jpg else '.png'
        count = conversion.write_folder(
            args.dest, frames, map_frame, suffix, kind, source.has_stamps
        )
    lost = contents.lost(kind)
    if lost:
        note(f'{args.dest} ({kind}) cannot hold {", ".join(lost)}: left out')
    return count, lost


def describe(results: dict[str, Any]) -> list[str]:
    """The result for people."""
    return [
        f'{results["frames"]} frames written to {results["dest"]} ({results["kind"]})',
        *loss_lines(results),
    ]
