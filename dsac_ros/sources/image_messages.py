# SPDX-License-Identifier: Apache-2.0
"""Pixels of sensor_msgs Image and CompressedImage, whoever made the message.

The messages are only read by their fields, so those of rosbags, rclpy and the embedded runtime
are all the same here.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from dsac_ros.errors import ImageError
from dsac_ros.sources.compressed_format import parse_format
from dsac_ros.sources.encoded_images import MAX_MESSAGE_PIXELS
from dsac_ros.sources.encodings import ENCODINGS, Chroma, find_encoding
from dsac_ros.sources.image_files import Assume, decode_image_bytes, to_eight_bits
from dsac_ros.sources.video_format import refuse_video


def decode_message(message: Any, assume: Assume | None = None) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of an Image or a CompressedImage.

    Args:
        message: the message, read by its fields.
        assume: is told what was assumed about the pixels.

    Raises:
        ImageError: the image is incomplete, or its encoding is unknown.
    """
    if hasattr(message, 'format'):
        return decode_compressed(message, assume)
    return decode_image(message, assume)


def decode_image(message: Any, assume: Assume | None = None) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of an Image."""
    encoding = find_encoding(message.encoding)
    if encoding is None:
        raise ImageError(
            f'unknown image encoding {message.encoding!r}, expected one of {", ".join(ENCODINGS)}'
        )
    if encoding.chroma is not None:
        return _rgb_from_planes(message, encoding.chroma)
    pixels = message_pixels(message, encoding.dtype, encoding.channels)
    if encoding.to_rgb is not None and encoding.channels == 2 and message.width % 2:
        raise ImageError(
            f'{message.encoding.strip()} image is {message.width} wide, expected an even width'
        )
    rgb = pixels if encoding.to_rgb is None else cv2.cvtColor(pixels, encoding.to_rgb)
    rgb = to_eight_bits(rgb, assume)
    return rgb.copy() if rgb is pixels else rgb


def decode_compressed(message: Any, assume: Assume | None = None) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of a CompressedImage (jpeg or png)."""
    said = parse_format(message.format)
    if said.is_depth:
        raise ImageError(
            f'compressed image has the format {message.format!r}, which is depth, '
            'expected jpeg or png of an image'
        )
    refuse_video(message)
    image = decode_image_bytes(message_bytes(message.data), assume, MAX_MESSAGE_PIXELS)
    # image_transport compresses a Bayer mosaic as if it were gray.
    source = said.encoding.lower()
    mosaic = find_encoding(source) if source.startswith('bayer_') and image.ndim == 2 else None
    if mosaic is None or mosaic.to_rgb is None:
        return image
    return cv2.cvtColor(image, mosaic.to_rgb)


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a header's stamp, from rosbags or rclpy, ROS 1 or 2."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def message_pixels(message: Any, kind: str, channels: int) -> np.ndarray:
    """The pixels (H, W) or (H, W, channels) as they lie in the rows of an Image."""
    order = '>' if message.is_bigendian else '<'
    dtype = np.dtype(order + kind)
    height, width = int(message.height), int(message.width)
    row = width * channels * dtype.itemsize
    rows = _rows(message, height, row, int(message.step) or row)
    pixels = rows.view(dtype).astype(dtype.newbyteorder('='), copy=False)
    return (
        pixels.reshape(height, width) if channels == 1 else pixels.reshape(height, width, channels)
    )


def _rows(message: Any, height: int, row: int, step: int, start: int = 0) -> np.ndarray:
    """The first `row` bytes of `height` rows that lie `step` bytes apart from `start` on."""
    whole = message_bytes(message.data)
    data = whole[start:]
    if not height or not row:
        raise ImageError(
            f'{message.encoding.strip()} image is {message.width}x{message.height}, expected '
            'pixels: the camera or its driver sends empty images'
        )
    if step < row or data.size < step * (height - 1) + row:
        raise ImageError(
            f'{message.encoding.strip()} image of {message.width}x{message.height} has '
            f'{whole.size} bytes in rows of {step}, expected {height} rows of at '
            f'least {row}{f" from byte {start} on" if start else ""}'
        )
    if data.size < step * height:  # the padding of the last row may be missing
        data = np.concatenate([data, np.zeros(step * height - data.size, np.uint8)])
    return np.ascontiguousarray(data[: step * height].reshape(height, step)[:, :row])


def _rgb_from_planes(message: Any, chroma: Chroma) -> np.ndarray:
    """RGB (H, W, 3) of an Image whose colour lies in planes behind the brightness."""
    width, height = int(message.width), int(message.height)
    step = int(message.step) or width
    planes = 1 if chroma.interleaved else 2
    pair = 2 if chroma.interleaved else 1
    if chroma.rows == 2 and height % 3 == 0 and len(message.data) == step * height:
        height = height * 2 // 3  # as OpenCV counts: the rows of colour are rows of the image
    if width % 2 or height % 2:
        raise ImageError(
            f'{message.encoding.strip()} image is {width}x{height}, expected an even width and '
            'height'
        )
    luma = _rows(message, height, width, step)
    rows, row, stride = (
        height // chroma.rows,
        width // chroma.columns * pair,
        step // chroma.columns * pair,
    )
    colour = [
        _rows(message, rows, row, stride, step * height + index * stride * rows)
        for index in range(planes)
    ]
    uv = np.stack(colour, axis=2) if planes == 2 else colour[0].reshape(rows, -1, 2)
    if chroma.v_first:
        uv = uv[..., ::-1]
    uv = cv2.resize(
        np.ascontiguousarray(uv), (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    stacked = np.vstack([luma, uv.reshape(height // 2, width)])
    return cv2.cvtColor(stacked, cv2.COLOR_YUV2RGB_NV12)


def message_bytes(data: Any) -> np.ndarray:
    """The bytes of a message's data as uint8, without a copy where that is possible."""
    try:
        return np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError):
        return np.asarray(data, dtype=np.uint8).reshape(-1)
