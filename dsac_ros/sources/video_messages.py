# SPDX-License-Identifier: Apache-2.0
"""Video in messages: one encoded picture each, decoded in order, stamped as it was sent."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsac_ros.sources.bag_file import Message
from dsac_ros.sources.h264 import PICTURES, FrameNumbers, byte_stream, has_picture
from dsac_ros.sources.image_files import Assume
from dsac_ros.sources.source import LeftOut
from dsac_ros.sources.video_decoding import (
    BEFORE_KEY_FRAME,
    DAMAGED,
    DECODER_OPTIONS,
    KeyFrameGate,
    decode_frame,
    load_av,
)
from dsac_ros.sources.video_format import video_format

# FFmpeg's own decoder of AV1 needs special hardware; the first one that is there is taken.
DECODERS = {'av1': ('libdav1d', 'libaom-av1', 'av1')}


class Header(NamedTuple):
    """A stamp and a frame, as std_msgs/Header holds them."""

    stamp: Any
    frame_id: str


@dataclass(frozen=True)
class VideoImage:
    """The content of a message whose picture is decoded."""

    header: Any
    frame: Any

    def pixels(self, assume: Assume | None = None) -> np.ndarray:
        """Gray (H, W) or RGB (H, W, 3) uint8; `assume` as in `to_eight_bits`."""
        return decode_frame(self.frame, assume)


def header_of(content: Any) -> Any:
    """The header of an image or a video message; those of Foxglove have its fields alone."""
    return content.header if hasattr(content, 'header') else Header(content.timestamp,
                                                                    content.frame_id)


def decode_video(messages: Iterable[Message], topic: str,
                 path: Path) -> Iterator[Message | LeftOut]:
    """The same messages with the video of `topic` decoded, or why a picture is left out.

    Args:
        messages: messages in the order of recording, those of other topics among them.
        topic: the image topic; images on it pass as they are.
        path: the bag, for errors.
    """
    decoder: VideoDecoder | None = None
    for message in messages:
        found = video_format(message.content) if message.topic == topic else ''
        if not found:
            yield message
            continue
        if decoder is None or decoder.format != found:
            yield from decoder.flush() if decoder else ()
            decoder = VideoDecoder(found, path)
        yield from decoder.decode(message)
    yield from decoder.flush() if decoder else ()


class VideoDecoder:
    """Decodes the packets of one stream; a picture comes out when its decoder lets it go."""

    def __init__(self, name: str, path: Path) -> None:
        """Takes FFmpeg's name of the format, and the bag for errors."""
        self.format = name
        self._av = load_av(path)
        self._context = self._av.CodecContext.create(self._decoder(), 'r')
        self._context.options = dict(DECODER_OPTIONS)
        self._gate = KeyFrameGate()
        self._waiting: dict[int, Message] = {}  # packets by number, without their data
        self._count = 0
        self._first_shown: int | None = None
        self._parameters = b''
        self._numbers = FrameNumbers() if name == 'h264' else None

    def decode(self, message: Message) -> Iterator[Message | LeftOut]:
        """Decode the next packet and return the pictures that are ready."""
        data = bytes(memoryview(message.content.data))
        if self.format in PICTURES:
            data = byte_stream(data)
        if data and not has_picture(self.format, data):
            self._parameters += data  # a decoder wants them together with a picture
            return
        data, self._parameters = self._parameters + data, b''
        packet = self._av.Packet(data)
        packet.pts = self._count
        self._waiting[self._count] = message._replace(content=header_of(message.content))
        self._count += 1
        if not data:  # which would end the stream
            yield self._lose(packet.pts)
            return
        if self._numbers and not self._numbers.follows(data):
            self._gate.damage(packet.pts)
        yield from self._decoded(packet)

    def flush(self) -> Iterator[Message | LeftOut]:
        """Return the pictures that the decoder still holds, and what never came out of it."""
        yield from self._decoded(None)
        for number in self._waiting:
            shown = self._first_shown is not None and number > self._first_shown
            yield DAMAGED if shown else BEFORE_KEY_FRAME

    def _decoded(self, packet: Any) -> Iterator[Message | LeftOut]:
        try:
            frames = self._context.decode(packet)
        except self._av.error.FFmpegError as error:
            if packet is not None:
                yield replace(self._lose(packet.pts), detail=error.strerror)
            return
        for frame in frames:
            message = self._waiting.pop(frame.pts, None)
            if message is None:
                continue  # the second picture of one packet
            left_out = self._gate.left_out(frame, frame.pts)
            if left_out is None:
                self._first_shown = frame.pts if self._first_shown is None else self._first_shown
            yield left_out or message._replace(content=VideoImage(message.content, frame))

    def _lose(self, number: int) -> LeftOut:
        del self._waiting[number]
        return self._gate.damage(number)

    def _decoder(self) -> str:
        for name in DECODERS.get(self.format, ()):
            try:
                return self._av.codec.Codec(name, 'r').name
            except ValueError:
                continue
        return self.format
