# SPDX-License-Identifier: Apache-2.0
"""Rules for what the names in a TF tree say about poses and images; pure, for bags and nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence

# REP 105's fixed frames, and what SLAM and motion capture call theirs.
FIXED_FRAMES = ('map', 'odom', 'earth', 'world', 'odom_combined', 'camera_init', 'global')
BODY_FRAME = re.compile(r'(^|_)(link|footprint|body|chassis)$')


def pose_child(camera_frame: str, ancestors: Sequence[str], pose_frame: str) -> tuple[str, ...]:
    """The frames that poses may be of whose messages do not name their child frame.

    A pose of the robot looks like a pose of its camera, but for the axes. Only where TF knows no
    other frame on the way from the camera to the frame of the poses it must be the camera's.

    Args:
        camera_frame: the optical frame of the camera.
        ancestors: the frames above the camera in TF, its parent first.
        pose_frame: the frame that the poses are given in (header.frame_id).

    Returns:
        The camera and the frames that carry it; one frame where the answer is clear.
    """
    carriers = []
    for frame in ancestors:
        if frame == pose_frame or _last_part(frame) in FIXED_FRAMES:
            break
        carriers.append(frame)
    return (camera_frame, *carriers)


def optical_frame(image_frame: str, descendants: Sequence[str]) -> tuple[str, ...]:
    """The optical frames (x right, y down, z forward) that an image's frame_id may stand for.

    By REP 103 an optical frame says so in its name, and hangs below the frame of the camera's
    body. Other names are taken at their word unless they are those of a body.

    Args:
        image_frame: header.frame_id of the image.
        descendants: the frames below it in TF.

    Returns:
        One frame where the answer is clear, none for a body without an optical frame.
    """
    if 'optical' in _last_part(image_frame):
        return (image_frame,)
    optical = tuple(frame for frame in descendants if 'optical' in _last_part(frame))
    if not optical and not BODY_FRAME.search(_last_part(image_frame)):
        return (image_frame,)
    return optical


def _last_part(frame: str) -> str:
    """The name of a frame without the namespace of its robot, in lower case."""
    return frame.rsplit('/', 1)[-1].lower()
