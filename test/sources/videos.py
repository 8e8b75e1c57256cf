# SPDX-License-Identifier: Apache-2.0
"""Tiny videos whose images tell their number by their brightness."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

SIZE_WH = (64, 48)
RATE = 10
CODECS = {
    'h264': 'libx264',
    'hevc': 'libx265',
    'vp9': 'libvpx-vp9',
    'mjpeg': 'mjpeg',
    'mpeg4': 'mpeg4',
}
# Key frames where they are asked for, and nothing on stderr.
STEADY = {
    'h264': {'sc_threshold': '0'},
    'hevc': {'x265-params': 'log-level=none:bframes=2:scenecut=0'},
}


class Packet(NamedTuple):
    """One encoded picture, in the order of decoding; number is its place in that of showing."""

    number: int
    data: bytes
    is_key: bool


def image(number: int, size_wh: tuple[int, int] = SIZE_WH) -> np.ndarray:
    """A gray image of brightness 20 + 5 number, with a white quarter at its top left."""
    pixels = np.full((size_wh[1], size_wh[0], 3), 20 + 5 * number, np.uint8)
    pixels[: size_wh[1] // 2, : size_wh[0] // 2] = 250
    return pixels


def number_of(pixels: np.ndarray) -> int:
    """The number of an image, from its darkest quarter."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    quarters = [
        pixels[rows, columns].mean()
        for rows in (slice(height), slice(height, None))
        for columns in (slice(width), slice(width, None))
    ]
    return round((min(quarters) - 20) / 5)


def encode(context: av.CodecContext, count: int, times: list[int] | None = None) -> list:
    """The packets of `count` images at these times [of the time base]."""
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(
            image(number, (context.width, context.height)), format='rgb24'
        )
        frame.pts = times[number] if times else number
        frame.time_base = context.time_base
        packets += context.encode(frame)
    return packets + context.encode(None)


def packets(codec: str = 'h264', count: int = 12, gop: int = 6, **options: str) -> list[Packet]:
    """Encoded images without a container, as bags hold them."""
    context = av.CodecContext.create(CODECS[codec], 'w')
    context.width, context.height = SIZE_WH
    context.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
    context.time_base, context.framerate = Fraction(1, RATE), Fraction(RATE)
    context.gop_size = gop
    context.options = {**STEADY.get(codec, {}), **options}
    return [
        Packet(packet.pts, bytes(packet), packet.is_keyframe) for packet in encode(context, count)
    ]


def write_video(
    path: Path,
    count: int = 12,
    *,
    codec: str = 'h264',
    size_wh: tuple = SIZE_WH,
    times_ms: list[int] | None = None,
    rotation: int = 0,
    streams: int = 1,
    container: dict | None = None,
    pixel_aspect: Fraction | None = None,
    pix_fmt: str = '',
    gop: int = 6,
    **options: str,
) -> Path:
    """A video of `count` images at 10 Hz, or at times_ms."""
    with av.open(str(path), 'w', options=container or {}) as file:
        for _ in range(streams):
            stream = file.add_stream(CODECS[codec], rate=RATE)
            stream.width, stream.height = size_wh
            stream.pix_fmt = pix_fmt or ('yuvj420p' if codec == 'mjpeg' else 'yuv420p')
            context = stream.codec_context
            context.time_base, context.gop_size = Fraction(1, 1000 if times_ms else RATE), gop
            context.options = {**STEADY.get(codec, {}), **options}
            if pixel_aspect:
                context.sample_aspect_ratio = pixel_aspect
        for stream in file.streams.video:
            for packet in encode(stream.codec_context, count, times_ms):
                packet.stream = stream
                file.mux(packet)
    if rotation:
        turn(path, rotation)
    return path


def turn(path: Path, degrees: int) -> None:
    """Write the display matrix of a turn to the right into the track header of an mp4."""
    matrix = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0), -1: (-1, 0, 0, 1)}
    a, b, c, d = matrix[degrees]
    data = path.read_bytes()
    start = data.index(b'tkhd') + 44
    values = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], '>i4')
    path.write_bytes(data[:start] + values.tobytes() + data[start + 36 :])
