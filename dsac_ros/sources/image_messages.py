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
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.compressed_format import parse_format
from dsac_ros.sources.image_files import decode_image_bytes, to_eight_bits
from dsac_ros.sources.video_format import refuse_video
from dsac_ros.types import Camera

# encoding -> bytes a channel, channels, OpenCV's conversion to RGB (None: gray, or RGB already)
ENCODINGS: dict[str, tuple[int, int, int | None]] = {
    'mono8': (1, 1, None), '8UC1': (1, 1, None), 'mono16': (2, 1, None), '16UC1': (2, 1, None),
    'rgb8': (1, 3, None), 'bgr8': (1, 3, cv2.COLOR_BGR2RGB), '8UC3': (1, 3, cv2.COLOR_BGR2RGB),
    'rgba8': (1, 4, cv2.COLOR_RGBA2RGB), 'bgra8': (1, 4, cv2.COLOR_BGRA2RGB),
    '8UC4': (1, 4, cv2.COLOR_BGRA2RGB),
    'rgb16': (2, 3, None), 'bgr16': (2, 3, cv2.COLOR_BGR2RGB),
    'yuv422': (1, 2, cv2.COLOR_YUV2RGB_UYVY), 'uyvy': (1, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (1, 2, cv2.COLOR_YUV2RGB_YUY2), 'yuyv': (1, 2, cv2.COLOR_YUV2RGB_YUY2),
}
# OpenCV names a Bayer pattern by its second row, ROS by its first.
for _pattern, _code in (('rggb', cv2.COLOR_BayerBG2RGB), ('bggr', cv2.COLOR_BayerRG2RGB),
                        ('gbrg', cv2.COLOR_BayerGR2RGB), ('grbg', cv2.COLOR_BayerGB2RGB)):
    ENCODINGS[f'bayer_{_pattern}8'] = (1, 1, _code)
    ENCODINGS[f'bayer_{_pattern}16'] = (2, 1, _code)


def decode_message(message: Any) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of an Image or a CompressedImage."""
    return decode_compressed(message) if hasattr(message, 'format') else decode_image(message)


def decode_image(message: Any) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of an Image."""
    if message.encoding not in ENCODINGS:
        raise ImageError(f'unknown image encoding {message.encoding!r}, expected one of '
                         f'{", ".join(ENCODINGS)}')
    width, channels, conversion = ENCODINGS[message.encoding]
    pixels = message_pixels(message, f'u{width}', channels)
    if conversion is not None and channels == 2 and message.width % 2:
        raise ImageError(f'{message.encoding} image is {message.width} wide, expected an '
                         'even width')
    pixels = to_eight_bits(pixels)
    return pixels.copy() if conversion is None else cv2.cvtColor(pixels, conversion)


def decode_compressed(message: Any) -> np.ndarray:
    """Gray (H, W) or RGB (H, W, 3) uint8 of a CompressedImage (jpeg or png)."""
    if parse_format(message.format).is_depth:
        raise ImageError(f'compressed image has the format {message.format!r}, which is depth, '
                         'expected jpeg or png of an image')
    refuse_video(message)
    return decode_image_bytes(message_bytes(message.data))


def camera_from_message(message: Any, *, rectified: bool = False,
                        image_wh: tuple[int, int] | None = None) -> Camera:
    """The camera of a CameraInfo (ROS 1 or 2), in the pixels of the image beside it.

    A rectified image is that of P, without distortion. Drivers that send no size mean image_wh.
    """
    k, d, p = (np.asarray(getattr(message, name, getattr(message, name.upper(), ())), np.float64)
               for name in ('k', 'd', 'p'))
    if rectified and p.size == 12 and p[[0, 5]].all():
        k, d = np.zeros(9), np.zeros(0)
    size_wh = (int(message.width), int(message.height))
    if not all(size_wh) and image_wh:
        size_wh = image_wh
    roi = message.roi
    return camera_from_info(size_wh, k, d, p, message.distortion_model,
                            (roi.x_offset, roi.y_offset, roi.width, roi.height),
                            (message.binning_x, message.binning_y))


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a header's stamp, from rosbags or rclpy, ROS 1 or 2."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def message_pixels(message: Any, kind: str, channels: int) -> np.ndarray:
    """The pixels (H, W) or (H, W, channels) as they lie in the rows of an Image."""
    order = '>' if message.is_bigendian else '<'
    dtype = np.dtype(order + kind)
    height, width, step = int(message.height), int(message.width), int(message.step)
    row = width * channels * dtype.itemsize
    step = step or row
    data = message_bytes(message.data)
    if not height or not width:
        raise ImageError(f'{message.encoding} image is {width}x{height}, expected pixels: the '
                         'camera or its driver sends empty images')
    if step < row or data.size < step * (height - 1) + row:
        raise ImageError(f'{message.encoding} image of {width}x{height} has {data.size} bytes in '
                         f'rows of {step}, expected {height} rows of at least {row}')
    if data.size < step * height:  # the padding of the last row may be missing
        data = np.concatenate([data, np.zeros(step * height - data.size, np.uint8)])
    rows = data[:step * height].reshape(height, step)[:, :row]
    pixels = np.ascontiguousarray(rows).view(dtype).astype(dtype.newbyteorder('='), copy=False)
    return pixels.reshape(height, width) if channels == 1 else pixels.reshape(height, width,
                                                                              channels)


def message_bytes(data: Any) -> np.ndarray:
    """The bytes of a message's data as uint8, without a copy where that is possible."""
    try:
        return np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError):
        return np.asarray(data, dtype=np.uint8).reshape(-1)
