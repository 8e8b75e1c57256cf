# SPDX-License-Identifier: Apache-2.0
"""A bag as a source of frames: image, intrinsics, pose and depth joined by the header's stamp."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.geometry.camera import check_image_matches
from dsac_ros.sources.bag_file import BagFile, Message
from dsac_ros.sources.bag_poses import CameraPoses, find_poses
from dsac_ros.sources.bag_topics import find_topics
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.depth_messages import decode_depth
from dsac_ros.sources.image_files import fit_depth
from dsac_ros.sources.image_messages import (
    ENCODINGS,
    camera_from_message,
    decode_message,
    stamp_ns,
)
from dsac_ros.sources.source import MAX_GAP_NS, NO_DEPTH, LeftOut, Source, count_one
from dsac_ros.sources.video_messages import VideoImage, decode_video, header_of
from dsac_ros.types import Camera, Frame, PosedFrame

MAX_DEPTH_OFFSET_NS = 17_000_000  # half a frame at 30 Hz
PENDING = 8  # images that wait for their depth, at most


class Intrinsics(NamedTuple):
    """A CameraInfo and the stamp from which on it holds."""

    stamp_ns: int
    message: Any


class BagSource(Source):
    """The frames of one camera in a bag, decoded one by one."""

    def __init__(self, path: Path, *, image_topic: str | None = None,
                 info_topic: str | None = None, poses: str | None = None,
                 pose_frame: str | None = None, depth: str = 'auto',
                 calibration: Calibration | None = None, stride: int = 1,
                 max_gap_ns: int = MAX_GAP_NS) -> None:
        """Takes the topics and where the poses are; None finds them, calibration replaces info."""
        super().__init__(path)
        self.kind = 'bag'
        self.bag = BagFile(path)
        self.topics = find_topics(self.bag, image_topic, info_topic, depth,
                                  need_info=calibration is None)
        self.stride = stride
        self._calibration = calibration
        self._where = {'where': poses, 'pose_frame': pose_frame, 'max_gap_ns': max_gap_ns}
        self._poses: CameraPoses | None = None
        self._infos: list[Intrinsics] = []
        self._cameras: dict[tuple[int, tuple[int, int]], Camera] = {}

    def __len__(self) -> int:
        """How many images there are, from the index of the bag."""
        return -(-self.bag.topics[self.topics.image].count // self.stride)

    @property
    def camera_frame(self) -> str:
        """The frame of the camera, from the header of the first image."""
        first = next(self.bag.messages([self.topics.image]))
        return header_of(first.content).frame_id.lstrip('/')

    @property
    def map_frame(self) -> str:
        """The frame of the poses: only the messages tell."""
        return self.poses().world

    def poses(self) -> CameraPoses:
        """Where the camera was; read from the bag when first asked for."""
        if self._poses is None:
            self._poses = find_poses(self.bag, self.camera_frame, **self._where)
        return self._poses

    def _frames(self) -> Iterator[Frame | LeftOut]:
        for found in self._images_and_depth():
            yield found if isinstance(found, LeftOut) else self._frame(*found)

    def _posed_frames(self) -> Iterator[PosedFrame | LeftOut | str]:
        poses = self.poses()
        for found in self._images_and_depth():
            if isinstance(found, LeftOut):
                yield found
                continue
            pose = poses.at(image_stamp(found[0]))
            if isinstance(pose, str):
                yield pose
                continue
            frame = self._frame(*found)
            yield frame if isinstance(frame, LeftOut) else PosedFrame(frame, pose)

    def _frame(self, message: Message, depth: Message | None) -> Frame | LeftOut:
        """The frame in a message, or why it cannot be read; an encoding nobody knows is fatal."""
        content, stamp = message.content, image_stamp(message)
        if getattr(content, 'encoding', 'mono8') not in ENCODINGS:
            raise ImageError(f'{self.path}, {self.topics.image}: unknown image encoding '
                             f'{content.encoding!r}, expected one of {", ".join(ENCODINGS)}')
        try:
            image = (content.pixels() if isinstance(content, VideoImage)
                     else decode_message(content))
        except ImageError as error:
            return LeftOut('an image that cannot be decoded', str(error))
        size_wh = (image.shape[1], image.shape[0])
        camera = self._camera(stamp, size_wh)
        depth_m = None
        try:
            check_image_matches(camera, image)
            depth_m = (fit_depth(decode_depth(depth.content), size_wh, self.topics.depth)
                       if depth else None)
        except CameraError as error:
            raise CameraError(f'{self.path}, {self.topics.info}: {error}') from None
        except ImageError:
            count_one(self.lacking, NO_DEPTH)
        return Frame(image, camera, stamp, str(stamp), depth_m)

    def _camera(self, stamp_ns: int, image_wh: tuple[int, int]) -> Camera:
        """The camera at a stamp: the CameraInfo that held then, or the calibration given."""
        if self._calibration is not None:
            return self._calibration(image_wh)
        if not self._infos:
            self._infos = read_intrinsics(self.bag, self.topics.info)
        index = max(0, sum(info.stamp_ns <= stamp_ns for info in self._infos) - 1)
        key = (index, image_wh)
        if key not in self._cameras:
            try:
                self._cameras[key] = camera_from_message(
                    self._infos[index].message, rectified=self.topics.rectified,
                    image_wh=image_wh)
            except CameraError as error:
                raise CameraError(f'{self.path}, {self.topics.info}: {error}') from None
        return self._cameras[key]

    def _images_and_depth(self) -> Iterator[tuple[Message, Message | None] | LeftOut]:
        """Every `stride`-th image with the depth message nearest in time, if near.

        A picture of a video that cannot be decoded is left out before it is counted.
        """
        topics = [self.topics.image] + ([self.topics.depth] if self.topics.depth else [])
        images: deque[Message] = deque()
        depths: deque[Message] = deque(maxlen=2 * PENDING)
        seen = 0
        for message in decode_video(self.bag.messages(topics), self.topics.image, self.path):
            if isinstance(message, LeftOut):
                yield message
                continue
            if message.topic == self.topics.depth:
                depths.append(message)
            else:
                if seen % self.stride == 0:
                    images.append(message)
                seen += 1
            while images and (not self.topics.depth or len(images) > PENDING
                              or _has_passed(depths, images[0])):
                image = images.popleft()
                yield image, nearest(depths, image)
        for image in images:
            yield image, nearest(depths, image)


def image_stamp(message: Message) -> int:
    """The header's stamp; where a driver left it zero, the time of recording."""
    return stamp_ns(header_of(message.content).stamp) or message.log_ns


def nearest(depths: deque[Message], image: Message) -> Message | None:
    """The depth message nearest to an image in time, None if none is near enough."""
    stamp = image_stamp(image)
    best = min(depths, key=lambda depth: abs(image_stamp(depth) - stamp), default=None)
    near = best is not None and abs(image_stamp(best) - stamp) <= MAX_DEPTH_OFFSET_NS
    return best if near else None


def _has_passed(depths: deque[Message], image: Message) -> bool:
    """Whether the depth stream has reached an image's stamp, so that no nearer one will come."""
    return bool(depths) and image_stamp(depths[-1]) >= image_stamp(image)


def read_intrinsics(bag: BagFile, topic: str) -> list[Intrinsics]:
    """The CameraInfos of a topic, only where they change, in the order of their stamps."""
    found: list[Intrinsics] = []
    last = None
    for message in bag.messages([topic]):
        key = _content_key(message.content)
        if key != last:
            found.append(Intrinsics(image_stamp(message), message.content))
            last = key
    if not found:
        raise SourceError(f'{bag.path}: {topic} has no messages, expected CameraInfo')
    return sorted(found, key=lambda info: info.stamp_ns)


def _content_key(info: Any) -> tuple:
    """What of a CameraInfo makes it differ from another, without its header."""
    arrays = (np.asarray(getattr(info, n, getattr(info, n.upper(), ()))).tobytes() for n in 'kdp')
    roi = info.roi
    return (info.width, info.height, info.distortion_model, *arrays, info.binning_x,
            info.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height)
