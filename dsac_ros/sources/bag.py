# SPDX-License-Identifier: Apache-2.0
"""A bag as a source of frames: image, intrinsics, pose and depth joined by the header's stamp."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.geometry.camera import camera_of_image, check_image_matches
from dsac_ros.sources.bag_file import BagFile, Message
from dsac_ros.sources.bag_pairing import Beside, ImageMessages, pair_messages
from dsac_ros.sources.bag_poses import find_poses
from dsac_ros.sources.bag_topics import find_topics
from dsac_ros.sources.calibration_files import Calibration
from dsac_ros.sources.camera_info import camera_from_message, frame_difference
from dsac_ros.sources.camera_poses import CameraPoses, PoseOptions
from dsac_ros.sources.depth_messages import decode_depth
from dsac_ros.sources.encodings import ENCODINGS, find_encoding
from dsac_ros.sources.image_files import fit_depth
from dsac_ros.sources.image_messages import decode_message, stamp_ns
from dsac_ros.sources.source import POSES_ELSEWHERE, LeftOut, Notes, Source, count_one
from dsac_ros.sources.video_messages import VideoImage, decode_video, header_of
from dsac_ros.types import Camera, Frame, PosedFrame

OTHER_CLOCK = (
    'images and poses are stamped by different clocks; --stamps recorded takes images '
    'at the time of their recording, --pose-delay SECONDS moves the poses'
)


class Intrinsics(NamedTuple):
    """A CameraInfo and the stamp from which on it holds."""

    stamp_ns: int
    message: Any


class BagSource(Source):
    """The frames of one camera in a bag, decoded one by one."""

    def __init__(
        self,
        path: Path,
        *,
        image_topic: str | None = None,
        info_topic: str | None = None,
        poses: PoseOptions = PoseOptions(),
        depth: str = 'auto',
        depth_unit_m: float | None = None,
        calibration: Callable[[str], Calibration] | None = None,
        stride: int = 1,
        recorded_time: bool = False,
    ) -> None:
        """Takes the topics and where the poses are; None finds them.

        calibration stands in for the CameraInfo; it is made for the topic of the images.
        """
        super().__init__(path)
        self.kind = 'bag'
        self.bag = BagFile(path)
        self.topics = find_topics(
            self.bag, image_topic, info_topic, depth, need_info=calibration is None
        )
        self.stride = stride
        for text in self.topics.assumptions:
            self.assume(text)
        self._calibration = calibration(self.topics.image) if calibration else None
        self._depth_unit_m = depth_unit_m
        self._recorded_time = recorded_time
        self._pose_options = poses
        self._poses: CameraPoses | None = None
        self._infos: list[Intrinsics] = []
        self._cameras: dict[tuple[int, tuple[int, int]], Camera] = {}
        self._wordings: dict[str, str] = {}

    def __len__(self) -> int:
        """Return the number of images, from the index of the bag."""
        return -(-self.bag.topics[self.topics.image].count // self.stride)

    @property
    def camera_frame(self) -> str:
        """The frame of the camera, from the header of the first image that can be read."""
        reasons: list[str] = []
        messages = self.bag.messages([self.topics.image], lambda _, reason: reasons.append(reason))
        first = next(messages, None)
        if first is None:
            raise SourceError(
                f'{self.path}: no message of {self.topics.image} can be read: '
                f'{reasons[0] if reasons else "there is none"}'
            )
        return header_of(first.content).frame_id.lstrip('/')

    @property
    def map_frame(self) -> str:  # type: ignore[override]  # others know it from the start
        """The frame of the poses: only the messages tell."""
        return self.poses().world

    def poses(self) -> CameraPoses:
        """Poses of the camera; read from the bag when first asked for."""
        if self._poses is None:
            self._poses = find_poses(
                self.bag,
                self.topics.image,
                self.camera_frame,
                self._pose_options,
                self.assumptions,
                self.unread,
            )
        return self._poses

    def _frames(self) -> Iterator[Frame | LeftOut]:
        for found in self._messages():
            yield found if isinstance(found, LeftOut) else self._frame(found)

    def _posed_frames(self) -> Iterator[PosedFrame | LeftOut | str]:
        poses = self.poses()
        for found in self._messages():
            if isinstance(found, LeftOut):
                yield found
                continue
            stamp = self._stamp(found.image)
            pose = poses.at(stamp)
            if isinstance(pose, str):
                yield LeftOut(
                    pose,
                    f'the first image is of {stamp / 1e9:.3f} s, {poses.span}',
                    OTHER_CLOCK if poses.is_far_from(stamp) else POSES_ELSEWHERE,
                )
                continue
            frame = self._frame(found)
            yield frame if isinstance(frame, LeftOut) else PosedFrame(frame, pose)

    def _frame(self, found: ImageMessages) -> Frame | LeftOut:
        """The frame in messages, or why it cannot be read; an encoding nobody knows is fatal."""
        content, stamp = found.image.content, self._stamp(found.image)
        if find_encoding(getattr(content, 'encoding', 'mono8')) is None:
            raise ImageError(
                f'{self.path}, {self.topics.image}: unknown image encoding '
                f'{content.encoding!r}, expected one of {", ".join(ENCODINGS)}'
            )
        try:
            image = (
                content.pixels(self.assume)
                if isinstance(content, VideoImage)
                else decode_message(content, self.assume)
            )
        except ImageError as error:
            return LeftOut(self._worded(f'an image that cannot be decoded: {error}'))
        size_wh = (image.shape[1], image.shape[0])
        camera = self._camera(stamp, image, header_of(content).frame_id)
        depth = self._depth(found.depth, content, size_wh)
        return Frame(image, camera, stamp, str(stamp), depth, self._mask(found.mask, size_wh))

    def _mask(self, message: Message | None, size_wh: tuple[int, int]) -> np.ndarray | None:
        """The mask (H, W) bool of an image; None where there is none of use."""
        if message is None:
            return None
        try:
            pixels = decode_message(message.content, self.assume)
        except ImageError as error:
            count_one(self.missing, self._worded(f'a mask that is of no use: {error}'))
            return None
        if pixels.shape[1::-1] != size_wh:
            reason = (
                f'a mask of {pixels.shape[1]}x{pixels.shape[0]} beside a larger or smaller image'
            )
            count_one(self.missing, self._worded(reason))
            return None
        return np.asarray(pixels.reshape(*pixels.shape[:2], -1).max(2) > 0)

    def _depth(
        self,
        message: Message | None,
        image: Any,
        size_wh: tuple[int, int],
    ) -> np.ndarray | None:
        """Depth (H, W) [m] in the pixels of an image; None where there is none of use."""
        if message is None:
            return None
        topic = self.topics.depth
        try:
            depth = decode_depth(message.content, self._depth_unit_m)
        except ImageError as error:
            count_one(self.missing, self._worded(f'depth that is of no use: {error}'))
            return None
        frames = [header_of(content).frame_id.lstrip('/') for content in (message.content, image)]
        if all(frames) and frames[0] != frames[1]:
            self.assume(
                f'depth {topic} of the frame {frames[0]} is registered to the images of '
                f'{frames[1]}; --depth off leaves it out'
            )
        if depth.shape[::-1] != size_wh:
            self.assume(
                f'depth {topic} of {depth.shape[1]}x{depth.shape[0]} shows what images of '
                f'{size_wh[0]}x{size_wh[1]} show; --depth off leaves it out'
            )
        return fit_depth(depth, size_wh, topic)

    def _worded(self, reason: str) -> str:
        """The first reason with the same words, whatever the numbers: they are counted as one."""
        return self._wordings.setdefault(re.sub(r'\d+', '0', reason), reason)

    def _stamp(self, message: Message) -> int:
        """The stamp of an image or of depth, as the user wants it."""
        if self._recorded_time:
            return message.log_ns
        if not stamp_ns(header_of(message.content).stamp):
            self.assume(
                f'the stamps of {message.topic} are zero, and the times of recording are taken'
            )
        return header_stamp(message)

    def _camera(self, stamp_ns: int, image: np.ndarray, frame_id: str) -> Camera:
        """The camera at a stamp: the CameraInfo that held then, or the calibration given."""
        if not self._infos and self._calibration is None:
            self._infos = read_intrinsics(self.bag, self.topics.info, self.unread)
        index = max(0, sum(info.stamp_ns <= stamp_ns for info in self._infos) - 1)
        image_wh = (image.shape[1], image.shape[0])
        key = (index, image_wh)
        if key not in self._cameras:
            try:
                if self._calibration is not None:
                    camera = camera_of_image(self._calibration(image_wh), image_wh)
                else:
                    camera = self._camera_from_info(index, image_wh, frame_id)
                    check_image_matches(camera, image)
            except CameraError as error:
                where = self.topics.info or self.topics.image
                raise CameraError(f'{self.path}, {where}: {error}') from None
            for text in camera.assumptions:
                self.assume(text)
            self._cameras[key] = camera
        return self._cameras[key]

    def _camera_from_info(self, index: int, image_wh: tuple[int, int], frame_id: str) -> Camera:
        """The camera of a CameraInfo; one of another frame than the images is told."""
        message = self._infos[index].message
        told = frame_difference(message.header.frame_id, frame_id)
        if told:
            self.assume(
                f'{self.topics.info} holds for {self.topics.image}, although {told}; '
                '--camera-info names another'
            )
        return camera_from_message(message, rectified=self.topics.rectified, image_wh=image_wh)

    def _messages(self) -> Iterator[ImageMessages | LeftOut]:
        """Every `stride`-th image with the depth and the mask nearest in time, if near.

        A picture of a video that cannot be decoded is left out before it is counted.
        """
        depth = Beside(self.topics.depth, self._stamp)
        mask = Beside(self.topics.mask, self._stamp)
        topics = [self.topics.image, *filter(None, (depth.topic, mask.topic))]
        broken: list[LeftOut] = []

        def leave_out(topic: str, reason: str) -> None:
            if topic == self.topics.image:
                broken.append(LeftOut(self._worded(f'a message that cannot be read: {reason}')))
            else:
                what = 'depth' if topic == depth.topic else 'a mask'
                count_one(self.missing, self._worded(f'{what} that cannot be read: {reason}'))

        def read() -> Iterator[Message | LeftOut]:
            messages = self.bag.messages(topics, leave_out)
            for message in decode_video(messages, self.topics.image, self.path):
                while broken:
                    yield broken.pop()
                yield message
            yield from broken

        return pair_messages(read(), self.topics.image, depth, mask, self.stride)


def header_stamp(message: Message) -> int:
    """The header's stamp; where a driver left it zero, the time of recording."""
    return stamp_ns(header_of(message.content).stamp) or message.log_ns


def read_intrinsics(bag: BagFile, topic: str, unread: Notes) -> list[Intrinsics]:
    """The CameraInfos of a topic, only where they change, in the order of their stamps.

    What is wrong with those that cannot be read is added to `unread`.
    """
    found: list[Intrinsics] = []
    last = None
    for message in bag.messages(
        [topic], lambda _, reason: unread.add(f'messages of {topic} cannot be read: {reason}')
    ):
        key = _content_key(message.content)
        if key != last:
            found.append(Intrinsics(header_stamp(message), message.content))
            last = key
    if not found:
        raise SourceError(
            f'{bag.path}: {topic} has no CameraInfo that can be read; give a '
            'calibration with --camera-info FILE or --focal'
        )
    return sorted(found, key=lambda info: info.stamp_ns)


def _content_key(info: Any) -> tuple[object, ...]:
    """Return the contents of a CameraInfo, without its header, to compare."""
    arrays = (np.asarray(getattr(info, n, getattr(info, n.upper(), ()))).tobytes() for n in 'kdp')
    roi = info.roi
    return (
        info.width,
        info.height,
        info.distortion_model,
        *arrays,
        info.binning_x,
        info.binning_y,
        roi.x_offset,
        roi.y_offset,
        roi.width,
        roi.height,
    )
