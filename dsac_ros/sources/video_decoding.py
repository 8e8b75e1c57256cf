# SPDX-License-Identifier: Apache-2.0
"""PyAV behind a small interface: decoded video frames as images, damaged ones withheld.

PyAV is an extra; it is imported when a video is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from dsac_ros.errors import ImageError, MissingExtraError
from dsac_ros.sources.h264 import PICTURES, FrameNumbers
from dsac_ros.sources.image_files import Assume, to_eight_bits
from dsac_ros.sources.source import LeftOut

BEFORE_KEY_FRAME = LeftOut(
    'a video frame before the first key frame',
    cure='decoding begins at a key frame: let the encoder send them more often (a shorter GOP), '
    'or begin to record before it starts; a stream that has them is of another format than '
    'it says',
)
DAMAGED = LeftOut('a video frame that is damaged, or predicted from a lost or damaged one')
# Twice the 12k of panoramic cameras; damaged headers say sizes that would fill the memory.
DECODER_OPTIONS = {'max_pixels': str(1 << 27)}
LEAST_PYAV = 16  # before it H.265 shows pictures that were never sent
FIXED_POINT = 65536  # the unit of a display matrix


def load_av(path: Path) -> ModuleType:
    """Import PyAV, which reading the video at `path` needs."""
    try:
        import av
    except ImportError:
        raise MissingExtraError(
            f"PyAV is not installed, and {path} holds video: pip install 'av>={LEAST_PYAV}'"
        ) from None
    if int(av.__version__.partition('.')[0]) < LEAST_PYAV:
        raise MissingExtraError(
            f'PyAV {av.__version__} is too old, and {path} holds video: '
            f"pip install 'av>={LEAST_PYAV}'"
        )
    return av


def decode_frame(frame: Any, assume: Assume | None = None) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of a frame, whatever its pixel format.

    The frame says its bits a channel, chroma subsampling, color matrix and range. `assume` is
    that of `to_eight_bits`.
    """
    from av.error import FFmpegError

    try:
        if not frame.format.name.startswith('gray'):
            return frame.to_ndarray(format='rgb24')
        if frame.format.components[0].bits == 8:
            return frame.to_ndarray(format='gray')
        pixels = frame.to_ndarray(format='gray16le').astype(np.uint16, copy=False)
        return to_eight_bits(pixels, assume)
    except (FFmpegError, ValueError) as error:
        raise ImageError(
            f'{frame.format.name} of {frame.width}x{frame.height} cannot be converted'
            f' to RGB: {error}'
        ) from None


class KeyFrameGate:
    """Withholds frames that were predicted from what is missing, until a key frame comes.

    Decoders conceal a missing reference and go on, with images that no camera saw. Packets are
    numbered in the order of decoding.
    """

    def __init__(self) -> None:
        """Waits for the first key frame."""
        self._waits_as: LeftOut | None = BEFORE_KEY_FRAME
        self._broken_at = -1

    def damage(self, packet: int) -> LeftOut:
        """Note that this packet is lost or cannot be decoded; return why it is left out."""
        if self._waits_as is not BEFORE_KEY_FRAME:
            self._waits_as = DAMAGED
        self._broken_at = packet
        return self._waits_as or DAMAGED

    def left_out(self, frame: Any, packet: int) -> LeftOut | None:
        """Return why the frame of a packet is of no use; None where it may be used."""
        if frame.is_corrupt:
            return self.damage(packet)
        if self._waits_as is DAMAGED and packet < self._broken_at:
            return None  # decoded before the damage, shown after it
        if frame.key_frame and packet > self._broken_at:
            self._waits_as = None
        return self._waits_as


class PictureDecoder:
    """Decodes the packets of one stream in order; pictures come out as the decoder lets them go.

    A picture takes the presentation time of its packet (pts), and by it the packet's number.
    """

    def __init__(
        self, decode: Callable[[Any], list[Any]], video_format: str, extradata: bytes = b''
    ) -> None:
        """Takes PyAV's method that decodes, FFmpeg's name of the format, and its parameters."""
        self.count = 0  # packets so far
        self._decode, self._format = decode, video_format
        self._gate = KeyFrameGate()
        self._waiting: dict[int | None, int] = {}  # pts of packets -> their numbers
        self._first_shown: int | None = None
        self._numbers = FrameNumbers(extradata) if video_format == 'h264' else None

    def decode(self, packet: Any) -> Iterator[tuple[int, Any | LeftOut]]:
        """Decode the next packet: numbers of packets with their picture, or why it is left out."""
        number = self.count
        self.count += 1
        if packet.size == 0:  # which would end the stream
            yield number, self._gate.damage(number)
            return
        self._waiting[packet.pts] = number
        if self._numbers and not self._numbers.follows(bytes(packet)):
            self._gate.damage(number)
        yield from self._pictures(packet, number)

    def finish(self) -> Iterator[tuple[int, Any | LeftOut]]:
        """Return the pictures that the decoder still holds, and what never came out of it."""
        yield from self._pictures(None, self.count)
        if self._format not in PICTURES:
            return  # packets of other formats may be there for later ones alone
        for number in self._waiting.values():
            is_later = self._first_shown is not None and number > self._first_shown
            yield number, DAMAGED if is_later else BEFORE_KEY_FRAME

    def _pictures(self, packet: Any, number: int) -> Iterator[tuple[int, Any | LeftOut]]:
        from av.error import FFmpegError

        try:
            frames = self._decode(packet)
        except FFmpegError as error:
            if packet is not None:
                del self._waiting[packet.pts]
                yield number, replace(self._gate.damage(number), detail=error.strerror or '')
            return
        for frame in frames:
            place = self._waiting.pop(frame.pts, number)
            left_out = self._gate.left_out(frame, place)
            if left_out is None and self._first_shown is None:
                self._first_shown = place
            yield place, left_out or frame


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """The (a, b, c, d) of a frame's display matrix, the identity unless it turns by quarters.

    A pixel (x, y) is shown at (a x + c y, b x + d y), up to a shift.
    """
    data = frame.side_data.get('DISPLAYMATRIX')
    if data is None:
        return (1, 0, 0, 1)
    values = np.frombuffer(bytes(data), np.int32)
    a, b, c, d = (round(int(values[index]) / FIXED_POINT) for index in (0, 1, 3, 4))
    by_quarters = (abs(a), abs(b), abs(c), abs(d)) in ((1, 0, 0, 1), (0, 1, 1, 0))
    return (a, b, c, d) if by_quarters else (1, 0, 0, 1)


def turned(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """The image as a display matrix shows it: turned by quarters, mirrored, or both."""
    a, b, c, d = matrix
    if a:
        return np.ascontiguousarray(image[::d, ::a])
    return np.ascontiguousarray(cv2.transpose(image)[::b, ::c])
