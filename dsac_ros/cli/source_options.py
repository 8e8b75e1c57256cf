# SPDX-License-Identifier: Apache-2.0
"""The options that say where frames come from, the same for every verb that takes a SOURCE."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dsac_ros.cli.progress import note
from dsac_ros.config import AXES_HELP, DIRECTIONS, OPTICAL, QUATERNIONS, PoseConvention
from dsac_ros.errors import MapError, SourceError

if TYPE_CHECKING:
    from dsac_ros.sources.open_source import Source

SOURCE_HELP = (
    'a rosbag2 (folder, .mcap, .db3), a rosbag1 .bag, one of them packed (.zstd), a '
    'folder of frames (rgb/ poses/ calibration/), 7-Scenes, 12-Scenes, Cambridge Landmarks, '
    'Indoor-6, TUM RGB-D, EuRoC, kapture, a COLMAP '
    'model, a transforms.json (nerfstudio, instant-ngp, Polycam, ...), Record3D, '
    'ARKitScenes, a video, or plain images'
)
MAX_SECONDS = 4e9
MAP_SUFFIXES = ('.map', '.safetensors')


def add_source_options(parser: argparse.ArgumentParser, *, poses: bool = True) -> None:
    """Add --image, --camera-info, --images, --stride and, where poses matter, --poses."""
    group = parser.add_argument_group('where the frames come from')
    group.add_argument(
        '--image',
        metavar='TOPIC',
        help='image topic of a bag: raw, compressed or video (default: the only one there is)',
    )
    group.add_argument(
        '--camera-info',
        metavar='WHERE',
        help='intrinsics: a topic of the bag, or '
        'a file: a focal length, a 3x3 matrix, YAML or XML of ROS, OpenCV, Kalibr '
        '(FILE:CAMERA takes one of several) or `ros2 topic echo`; scaled to images '
        'that were resized (default: what lies beside the images)',
    )
    group.add_argument(
        '--focal',
        type=float,
        metavar='PX',
        help='focal length [px] of a pinhole, '
        'in place of any other calibration; for images of one size',
    )
    group.add_argument(
        '--images',
        metavar='DIR',
        help='folder of the images of a COLMAP model (default: images/ beside it)',
    )
    if poses:
        group.add_argument(
            '--poses',
            metavar='WHERE',
            help='tf:FRAME, a topic, or a TUM file (default: what the source itself holds)',
        )
        group.add_argument(
            '--map-odom',
            metavar='FILE',
            help='a TUM file of map -> odom, of a SLAM graph optimised later for example: the '
            'poses of a dataset that the mapper recorded with odometry are recomputed from it',
        )
        group.add_argument(
            '--pose-frame',
            metavar='FRAME',
            help='the frame that the poses are of, where a bag does not say it',
        )
        group.add_argument(
            '--image-frame',
            metavar='FRAME',
            help='the optical frame of the images in TF, where their frame_id does not say it',
        )
        group.add_argument(
            '--pose-direction',
            choices=DIRECTIONS,
            default=DIRECTIONS[0],
            help='what poses are: world-from-camera, its inverse, or rotations of '
            'camera-from-world beside positions of the camera (default: '
            '%(default)s)',
        )
        group.add_argument(
            '--pose-axes',
            metavar='AXES',
            help=f'axes of the camera in the poses: '
            f'{AXES_HELP}; left-handed ones flip the y axis of the world '
            f'(default: {OPTICAL})',
        )
        group.add_argument(
            '--pose-quaternion',
            choices=QUATERNIONS,
            default=QUATERNIONS[0],
            help='wxyz: the order of quaternions that a file or topic gives where '
            'x y z w is expected (default: %(default)s)',
        )
        group.add_argument(
            '--pose-scale',
            type=above_zero,
            default=1.0,
            metavar='FACTOR',
            help='multiply positions, by 0.001 for millimetres (default: 1)',
        )
        group.add_argument(
            '--pose-delay',
            type=seconds,
            default=0.0,
            metavar='SECONDS',
            help='by how much poses lag behind images; frames without stamps count '
            'as 0.1 s apart (default: 0)',
        )
        group.add_argument(
            '--max-gap',
            type=positive_seconds,
            default=0.5,
            metavar='SECONDS',
            help='longest gap between two poses that is interpolated (default: %(default)s)',
        )
        group.add_argument(
            '--stamps',
            choices=('header', 'recorded'),
            default='header',
            help='when the images of a bag were taken: as their header says, or '
            'when they were recorded (default: %(default)s)',
        )
    group.add_argument(
        '--depth-unit',
        type=above_zero,
        metavar='METRES',
        help='the unit of depth in a bag (default: 0.001 for whole numbers, 1 for others) or a '
        'transforms.json (default: its own, else 0.001)',
    )
    group.add_argument(
        '--stride',
        type=positive,
        default=1,
        metavar='N',
        help='take every Nth frame (default: %(default)s)',
    )


def add_depth_option(parser: argparse.ArgumentParser) -> None:
    """Add --depth, for verbs whose frames may be localized by their depth as well."""
    parser.add_argument(
        '--depth',
        default='off',
        metavar='WHERE',
        help='use measured depth too: '
        'auto, wherever the source has it; off; or the depth topic of a bag '
        '(default: off)',
    )


def above_zero(text: str) -> float:
    """A finite number greater than 0, for argparse."""
    number = float(text)
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a number greater than 0')
    return number


def seconds(text: str) -> float:
    """A time that nanoseconds of 64 bits can hold, for argparse."""
    number = float(text)
    if not abs(number) < MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f'{text} is not a number of seconds below {MAX_SECONDS:g}'
        )
    return number


def positive_seconds(text: str) -> float:
    """A time above 0 that nanoseconds of 64 bits can hold, for argparse."""
    return above_zero(str(seconds(text)))


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a whole number of at least 1')
    return number


def open_named_source(args: argparse.Namespace) -> Source:
    """Open `args.source` with the options above; MAP and SOURCE in the wrong order say so."""
    from dsac_ros.sources.open_source import open_source

    path = Path(args.source)
    if path.is_file() and path.suffix in MAP_SUFFIXES:
        raise SourceError(
            f'{path} is a map, expected frames: the map comes first, then the source'
        )
    source = open_source(
        path,
        image_topic=args.image,
        info_topic=args.camera_info,
        poses=getattr(args, 'poses', None),
        focal=args.focal,
        pose_frame=getattr(args, 'pose_frame', None),
        stride=args.stride,
        images=args.images,
        image_frame=getattr(args, 'image_frame', None),
        depth=getattr(args, 'depth', 'off'),
        depth_unit_m=args.depth_unit,
        max_gap_ns=round(getattr(args, 'max_gap', 0.5) * 1e9),
        recorded_time=getattr(args, 'stamps', 'header') == 'recorded',
        convention=convention_of(args),
        pose_delay_ns=round(1e9 * getattr(args, 'pose_delay', 0.0)),
        map_odom=getattr(args, 'map_odom', None),
    )
    return tell_notes(source)


def convention_of(args: argparse.Namespace) -> PoseConvention:
    """The convention of poses that the options name; ours for verbs without poses."""
    if not hasattr(args, 'pose_axes'):
        return PoseConvention()
    return PoseConvention(
        args.pose_direction, args.pose_axes, args.pose_quaternion, args.pose_scale
    )


def tell_notes(source: Source) -> Source:
    """The same source, whose assumptions and unread parts are printed when they are found."""
    source.on_assumption(lambda text: note(f'assumed: {text}'))
    source.unread.listen(lambda text: note(f'not read: {text}'))
    return source


def check_map_path(text: str) -> Path:
    """The map file named on the command line; one line when it is something else."""
    path = Path(text)
    if not path.exists():
        raise MapError(f'{path} does not exist, expected a map made by `dsac map SOURCE -o MAP`')
    if path.is_dir() or {'.bag', '.mcap', '.db3'} & set(path.suffixes):
        raise MapError(
            f'{path} is a source of frames, expected a map file: the map comes first, '
            'then the source'
        )
    return path
