# SPDX-License-Identifier: Apache-2.0
"""A video file as a source of frames, decoded one by one; stamps are its presentation times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.geometry.camera import camera_of_image
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.calibration_files import Calibration, find_calibration
from dsac_ros.sources.poses import missing_pose
from dsac_ros.sources.source import MADE_UP_STEP_NS, MAX_GAP_NS, LeftOut, Source, count_one
from dsac_ros.sources.video_decoding import (
    DECODER_OPTIONS,
    PictureDecoder,
    decode_frame,
    display_matrix,
    load_av,
    turned,
)
from dsac_ros.types import Camera, Frame, PosedFrame

SUFFIXES = (
    '.mp4',
    '.m4v',
    '.mov',
    '.qt',
    '.mkv',
    '.webm',
    '.avi',
    '.mpg',
    '.mpeg',
    '.ts',
    '.mts',
    '.m2ts',
    '.wmv',
    '.asf',
    '.flv',
    '.3gp',
    '.3g2',
    '.ogv',
    '.mxf',
    '.lrv',
    '.h264',
    '.264',
    '.avc',
    '.h265',
    '.265',
    '.hevc',
    '.mjpeg',
    '.mjpg',
    '.ivf',
    '.y4m',
)
NO_TIMESTAMPS = 0x80  # FFmpeg's flag of formats that are a stream of pictures and nothing else
ATTACHED_PICTURE = 0x400  # and its flag of the cover picture of a song
LEAST_MISSING = 2  # frames, where only the duration tells: durations are rounded
SQUARE = 0.005  # relative difference of two sides of a pixel that makes no difference
SECOND = 1_000_000_000


class Decoded(NamedTuple):
    """A decoded frame, its number in the order of presentation, its stamp.

    pixel_aspect is the width of a pixel by its height.
    """

    number: int
    stamp_ns: int
    frame: Any
    pixel_aspect: float


def is_video(path: Path) -> bool:
    """Return True for a file whose name is that of a video."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


class VideoSource(Source):
    """The frames of a video file, whose clock is at 0 where the video begins."""

    kind = 'video'

    def __init__(
        self,
        path: Path,
        *,
        calibration: Calibration | None = None,
        stride: int = 1,
        trajectory: Trajectory | None = None,
        max_gap_ns: int = MAX_GAP_NS,
        pose_delay_ns: int = 0,
    ) -> None:
        """Takes the calibration of the images as players show them, and poses by stamp."""
        super().__init__(path)
        self.stride = stride
        self._calibration = calibration or calibration_beside(path)
        self._trajectory = trajectory.earlier(pose_delay_ns) if trajectory is not None else None
        self._max_gap_ns = max_gap_ns
        self._count: int | None = None
        with self._open() as stream:
            self.has_stamps = not stream.container.format.flags & NO_TIMESTAMPS
            if self._trajectory is not None:
                self._check_times(stream, self._trajectory, pose_delay_ns)

    def __len__(self) -> int:
        """The number of images that the file announces; else its packets are counted."""
        if self._count is None:
            with self._open() as stream:
                self._count = announced_frames(stream) or sum(1 for _ in self._packets(stream))
        return -(-self._count // self.stride)

    def _frames(self) -> Iterator[Frame | LeftOut]:
        for decoded in self._decoded():
            yield decoded if isinstance(decoded, LeftOut) else self._frame(decoded)

    def _posed_frames(self) -> Iterator[PosedFrame | LeftOut | str]:
        for decoded in self._decoded():
            if isinstance(decoded, LeftOut):
                yield decoded
            elif self._trajectory is None:
                yield 'no pose: videos hold none'
            else:
                pose = self._trajectory.at(decoded.stamp_ns, self._max_gap_ns)
                if pose is None:
                    yield missing_pose(
                        self._trajectory, decoded.stamp_ns, self._max_gap_ns, 'the trajectory'
                    )
                    continue
                frame = self._frame(decoded)
                yield frame if isinstance(frame, LeftOut) else PosedFrame(frame, pose)

    def _frame(self, decoded: Decoded) -> Frame | LeftOut:
        matrix = display_matrix(decoded.frame)
        try:
            image = turned(decode_frame(decoded.frame, self.assume), matrix)
        except ImageError as error:
            return LeftOut('an image that cannot be decoded', str(error))
        if matrix != (1, 0, 0, 1):
            self.assume(
                f'the images of {self.path} are turned as its metadata says, to '
                f'{image.shape[1]}x{image.shape[0]}, and the calibration is that of the '
                'turned images'
            )
        camera = self._calibration((image.shape[1], image.shape[0]))
        self._check_pixel_aspect(
            camera, decoded.pixel_aspect if matrix[0] else 1 / decoded.pixel_aspect
        )
        camera = camera_of_image(camera, (image.shape[1], image.shape[0]))
        for text in camera.assumptions:
            self.assume(text)
        if decoded.frame.interlaced_frame:
            count_one(self.missing, 'one time for all rows: the video is interlaced')
        return Frame(image, camera, decoded.stamp_ns, f'{decoded.number:06d}')

    def _check_pixel_aspect(self, camera: Camera, aspect: float) -> None:
        """Refuse a calibration with square pixels where those of the images are not."""
        focal_ratio = camera.matrix[0, 0] / camera.matrix[1, 1]
        if abs(aspect - 1) > SQUARE >= abs(focal_ratio - 1):
            raise CameraError(
                f'{self.path}: a pixel is {aspect:.4g} times as wide as high and '
                f'the calibration has fx = fy, expected fx = {1 / aspect:.4g} fy: '
                'give a 3x3 matrix with --camera-info, or make pixels square by '
                "`ffmpeg -i IN -vf 'scale=iw*sar:ih,setsar=1' OUT`"
            )

    def _check_times(self, stream: Any, trajectory: Trajectory, delay_ns: int) -> None:
        """Refuse a trajectory, taken earlier by a delay, on which no frame can lie."""
        if not self.has_stamps:
            raise SourceError(
                f'{self.path} has no stamps, so that its images have no poses in a '
                'TUM file: put it into a container that has stamps, such as by '
                f'`ffmpeg -framerate FPS -i {self.path.name} -c copy OUT.mp4`'
            )
        duration_us = stream.container.duration
        if duration_us is None or not len(trajectory):
            return
        first, last = (int(stamp) / SECOND for stamp in trajectory.stamps_ns[[0, -1]])
        if first > duration_us / 1e6 or last < 0:
            raise SourceError(
                f'the clock of {self.path} runs from 0 to {duration_us / 1e6:.3f} s,'
                f' the trajectory from {first:.3f} to {last:.3f} s, so no image has '
                'a pose: expected stamps that count from the beginning of the video;'
                f' if both begin together, use --pose-delay '
                f'{first + delay_ns / SECOND:.3f}'
            )

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The video stream of the file, from its beginning."""
        av = load_av(self.path)
        try:
            # The prefix, since FFmpeg takes what stands before a colon for a protocol.
            container = av.open(
                f'file:{self.path}',
                options={'protocol_whitelist': 'file'},
                metadata_errors='replace',
            )
        except av.error.FFmpegError as error:
            raise SourceError(
                f'{self.path} ({self.path.stat().st_size} bytes) cannot be read as '
                f'a video ({error.strerror}); an mp4 or mov that was cut short has '
                'lost its index, which `untrunc` may rebuild'
            ) from None
        with container:
            yield self._choose(container)

    def _choose(self, container: Any) -> Any:
        """The first stream that is a video and not a cover picture."""
        videos = [
            stream
            for stream in container.streams.video
            if not stream.disposition.value & ATTACHED_PICTURE
        ]
        if not videos:
            kinds = ', '.join(sorted({stream.type for stream in container.streams}))
            raise SourceError(f'{self.path} holds {kinds or "no streams"}, expected a video')
        if len(videos) > 1:
            self.unread.add(
                f'{self.path}: {len(videos) - 1} more of its videos; `ffmpeg -i IN '
                '-map 0:v:1 -c copy OUT` takes out the second one'
            )
        if videos[0].codec_context is None:
            raise SourceError(
                f'{self.path} is in a format that the installed PyAV cannot decode:'
                ' convert it, such as by `ffmpeg -i IN -c:v libx264 OUT.mp4`'
            )
        return videos[0]

    def _packets(self, stream: Any) -> Iterator[Any]:
        """The packets of a stream, up to where the file cannot be read any further."""
        av = load_av(self.path)
        packets = stream.container.demux(stream)
        try:
            for packet in packets:
                if packet.size:  # the last, empty one flushes the decoder
                    yield packet
        except (av.error.FFmpegError, IndexError):
            return  # PyAV does not know streams that begin late, and stumbles over them at the end

    def _decoded(self) -> Iterator[Decoded | LeftOut]:
        """Every `stride`-th frame in the order of presentation, or why one is left out."""
        for decoded in self._all_decoded():
            if isinstance(decoded, LeftOut) or decoded.number % self.stride == 0:
                yield decoded

    def _all_decoded(self) -> Iterator[Decoded | LeftOut]:
        with self._open() as stream:
            progress, number = Progress(stream), 0
            aspect = float(stream.sample_aspect_ratio or 1)
            for picture in self._pictures(stream, progress):
                if isinstance(picture, LeftOut):
                    yield picture
                    continue
                stamp = (
                    number * MADE_UP_STEP_NS
                    if not self.has_stamps or picture.pts is None
                    else progress.nanoseconds(picture.pts)
                )
                yield Decoded(number, stamp, picture, aspect)
                number += 1
            missing = progress.missing_frames()
        if missing:
            self.unread.add(
                f'{self.path}: its last {missing} frames, which are announced and '
                'missing: the file is cut short'
            )

    def _pictures(self, stream: Any, progress: Progress) -> Iterator[Any | LeftOut]:
        context = stream.codec_context
        context.options = dict(DECODER_OPTIONS)
        decoder = PictureDecoder(
            stream.decode, context.codec.canonical_name, bytes(context.extradata or b'')
        )
        for packet in self._packets(stream):
            if not self.has_stamps:
                packet.pts = decoder.count  # to know its picture again
            progress.add(packet)
            yield from (picture for _, picture in decoder.decode(packet))
        yield from (picture for _, picture in decoder.finish())


class Progress:
    """Progress through a stream, from its first packet on."""

    def __init__(self, stream: Any) -> None:
        """Takes a stream of which nothing was read."""
        self.packets = 0
        self._stream = stream
        self._start_pts: int | None = stream.start_time
        self._last_pts = 0

    def add(self, packet: Any) -> None:
        """Count a packet that was read."""
        self.packets += 1
        if packet.pts is not None:
            self._start_pts = packet.pts if self._start_pts is None else self._start_pts
            self._last_pts = max(self._last_pts, packet.pts)

    def nanoseconds(self, pts: int) -> int:
        """Convert a presentation time to nanoseconds since the beginning of the video."""
        return round((pts - (self._start_pts or 0)) * self._stream.time_base * SECOND)

    def missing_frames(self) -> int:
        """The number of frames that the file announces beyond the packets that were read.

        Where only a duration is announced, the mean time between frames tells how many it lacks.
        """
        announced = announced_frames(self._stream)
        if announced:
            return max(0, announced - self.packets)
        start, duration = self._start_pts or 0, announced_duration(self._stream)
        if not duration or self.packets < 2 or self._last_pts <= start:
            return 0
        step = (self._last_pts - start) / (self.packets - 1)
        end = duration + (self._stream.start_time or 0)
        missing = round((end - self._last_pts) / step) - 1
        return missing if missing >= LEAST_MISSING else 0


def calibration_beside(path: Path) -> Calibration:
    """The calibration that lies beside a video."""
    found = find_calibration(path.parent, path.stem)
    if found is None:
        raise SourceError(
            f'{path} has no calibration beside it: give a calibration file (focal '
            'length, 3x3 matrix, or camera_info YAML) with --camera-info, or a focal'
            ' length with --focal'
        )
    return found


def announced_frames(stream: Any) -> int:
    """The number of frames in the index of an mp4; 0 for formats that count something else."""
    return stream.frames if 'mp4' in stream.container.format.name.split(',') else 0


def announced_duration(stream: Any) -> float:
    """The duration of a stream in its time base: by its header, or by a tag of Matroska.

    FFmpeg shortens the duration of an AVI that was cut; the number of its frames stays.
    """
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate / stream.time_base)
    if stream.duration:
        return stream.duration
    try:
        hours, minutes, seconds = (
            float(part) for part in stream.metadata.get('DURATION', '').split(':')
        )
    except ValueError:
        return 0
    return ((hours * 60 + minutes) * 60 + seconds) / float(stream.time_base)
