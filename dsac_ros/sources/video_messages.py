# SPDX-License-Identifier: Apache-2.0
"""Video in messages: one encoded picture each, decoded in order, stamped as it was sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsac_ros.errors import ImageError
from dsac_ros.sources.bag_file import Message
from dsac_ros.sources.h264 import PICTURES, byte_stream, has_picture
from dsac_ros.sources.image_files import Assume
from dsac_ros.sources.source import LeftOut
from dsac_ros.sources.video_decoding import (
    DECODER_OPTIONS,
    PictureDecoder,
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
    return (
        content.header
        if hasattr(content, 'header')
        else Header(content.timestamp, content.frame_id)
    )


def decode_video(
    messages: Iterable[Message], topic: str, path: Path
) -> Iterator[Message | LeftOut]:
    """The same messages with the video of `topic` decoded, or why a picture is left out.

    Args:
        messages: messages in the order of recording, those of other topics among them.
        topic: the image topic; images on it pass as they are.
        path: the bag, for errors.
    """
    decoder: VideoDecoder | None = None
    for message in messages:
        try:
            found = video_format(message.content) if message.topic == topic else ''
        except ImageError as error:
            raise ImageError(f'{path}, {topic}: {error}') from None
        if not found:
            yield message
            continue
        if decoder is None or decoder.format != found:
            yield from decoder.flush() if decoder else ()
            decoder = VideoDecoder(found, path)
        yield from decoder.decode(message)
    yield from decoder.flush() if decoder else ()


class VideoDecoder:
    """Decodes the video messages of one stream."""

    def __init__(self, name: str, path: Path) -> None:
        """Takes FFmpeg's name of the format, and the bag for errors."""
        self.format = name
        self._av = load_av(path)
        context = self._av.CodecContext.create(self._decoder(), 'r')
        context.options = dict(DECODER_OPTIONS)
        self._pictures = PictureDecoder(context.decode, name)
        self._waiting: dict[int, Message] = {}  # messages by number, without their data
        self._parameters = b''
        self._without_picture = 0  # messages in a row

    def decode(self, message: Message) -> Iterator[Message | LeftOut]:
        """Decode the next message and return the pictures that are ready."""
        data = bytes(memoryview(message.content.data))
        if self.format in PICTURES:
            data = byte_stream(data)
        if data and not has_picture(self.format, data):
            self._parameters += data  # a decoder wants them together with a picture
            self._without_picture += 1
            return
        packet = self._av.Packet(self._parameters + data)
        self._parameters, self._without_picture = b'', 0
        packet.pts = self._pictures.count
        self._waiting[packet.pts] = message._replace(content=header_of(message.content))
        yield from self._messages(self._pictures.decode(packet))

    def flush(self) -> Iterator[Message | LeftOut]:
        """Return the pictures that the decoder still holds, and what never came out of it."""
        yield from self._messages(self._pictures.finish())
        if not self._pictures.count:
            yield from [
                LeftOut(
                    'a video message without a picture',
                    f'not one is {self.format}, which its format says',
                )
            ] * self._without_picture

    def _messages(
        self,
        pictures: Iterable[tuple[int, Any | LeftOut]],
    ) -> Iterator[Message | LeftOut]:
        for number, picture in pictures:
            message = self._waiting.pop(number, None)
            if isinstance(picture, LeftOut):
                yield picture
            elif message is not None:  # else it is the second picture of one message
                yield message._replace(content=VideoImage(message.content, picture))

    def _decoder(self) -> str:
        for name in DECODERS.get(self.format, ()):
            try:
                return self._av.codec.Codec(name, 'r').name
            except ValueError:
                continue
        return self.format
