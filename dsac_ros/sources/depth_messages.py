# SPDX-License-Identifier: Apache-2.0
"""Measured depth of sensor_msgs Image and CompressedImage, whoever made the message."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from dsac_ros.errors import ImageError
from dsac_ros.sources.compressed_format import parse_format
from dsac_ros.sources.encoded_images import MAX_MESSAGE_PIXELS, decode_encoded
from dsac_ros.sources.image_messages import message_bytes, message_pixels
from dsac_ros.sources.rvl import decode_rvl

# encoding -> type of a pixel; integers are millimetres and floats metres (REP 118)
DEPTH_ENCODINGS = {'16UC1': 'u2', 'mono16': 'u2', '16SC1': 'i2', '32FC1': 'f4', '64FC1': 'f8'}
# What compressed_depth_image_transport puts before the image: an enum and two parameters.
CONFIG = struct.Struct('<iff')
SIZE = struct.Struct('<ii')  # what it puts before RVL: columns and rows
CODECS = {b'\x89PNG': 'png', b'II*\0': 'tiff', b'MM\0*': 'tiff'}
MAX_PIXELS = 1 << 26
PLAUSIBLE_M = (0.02, 200.0)  # where half of the depth lies, if its unit is right
# Sensors of that many bits mark what they could not measure by their largest number (Kinect 11).
MARK_BITS = range(11, 17)
LEAST_MARKED = 0.01  # of the pixels; fewer may just be that far away


def decode_depth(message: Any, unit_m: float | None = None) -> np.ndarray:
    """Depth of an Image or a CompressedImage in metres.

    Args:
        message: read by its fields only, so that it may come from any library.
        unit_m: size of the unit that the numbers are in; None is a millimetre for integers and a
            metre for floats, which is then checked by the depth that comes out.

    Returns:
        Depth (H, W) float32 [m], 0 where there is none.
    """
    if hasattr(message, 'format'):
        raw = _decompress(message)
    elif message.encoding in DEPTH_ENCODINGS:
        raw = message_pixels(message, DEPTH_ENCODINGS[message.encoding], 1)
        _check_byte_order(raw)
    else:
        raise ImageError(
            f'unknown depth encoding {message.encoding!r}, expected one of '
            f'{", ".join(DEPTH_ENCODINGS)}'
        )
    default_m = 1e-3 if raw.dtype.kind in 'iu' else 1.0
    with np.errstate(over='ignore', invalid='ignore'):
        depth = _unmarked(raw).astype(np.float32) * np.float32(unit_m or default_m)
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))
    if unit_m is None:
        _check_unit(depth)
    return depth


def _decompress(message: Any) -> np.ndarray:
    """The numbers (H, W) in a CompressedImage: integers, or metres as floats."""
    said = parse_format(message.format)
    data = message_bytes(message.data)
    if not said.is_depth:
        return _read_image(data, message.format)
    # Some drivers name the transport and leave its header out.
    bare = bytes(data[:4]) in CODECS
    if bare and said.encoding == '32FC1':
        raise ImageError(
            f'compressed depth of the format {message.format!r} lacks the header '
            'that says how it was quantised'
        )
    body = data if bare else data[CONFIG.size :]
    if bytes(body[:4]) in CODECS:
        quantised = _read_image(body, message.format)
    elif said.codec == 'rvl':
        quantised = _read_rvl(body)
    else:
        raise ImageError(
            f'compressed depth has the format {message.format!r} and is neither png nor RVL'
        )
    if said.encoding != '32FC1':
        return quantised
    _, a, b = CONFIG.unpack(data[: CONFIG.size].tobytes())
    if not (np.isfinite((a, b)).all() and a > 0):
        raise ImageError(
            f'compressed depth is quantised by {a:g} and {b:g}, expected finite '
            'numbers, the first one positive'
        )
    with np.errstate(divide='ignore'):
        return np.where(quantised > 0, np.float32(a) / (quantised - np.float32(b)), np.float32(0))


def _read_rvl(body: np.ndarray) -> np.ndarray:
    if body.size < SIZE.size:
        raise ImageError('RVL depth ends early: the message was cut short')
    width, height = SIZE.unpack(body[: SIZE.size].tobytes())
    if width <= 0 or height <= 0 or width * height > MAX_PIXELS:
        raise ImageError(f'RVL depth has the size {width}x{height}: the message is broken')
    return decode_rvl(body[SIZE.size :], (width, height))


def _read_image(data: np.ndarray, told: str) -> np.ndarray:
    """One channel of 16 bits or of floats, from png or tiff."""
    try:
        raw = decode_encoded(data, cv2.IMREAD_UNCHANGED, MAX_MESSAGE_PIXELS)
    except ImageError as error:
        raise ImageError(
            f'compressed depth of the format {told!r} cannot be decoded: {error}'
        ) from None
    if raw.ndim != 2 or raw.dtype.itemsize == 1:
        raise ImageError(
            f'compressed depth of the format {told!r} holds {raw.dtype.name} in '
            f'{raw.size // (raw.shape[0] * raw.shape[1])} channels, which is a '
            'picture of depth; expected one channel of 16 bits'
        )
    return raw


def _unmarked(raw: np.ndarray) -> np.ndarray:
    """The numbers with 0 in place of the sensor's mark for no depth."""
    if raw.dtype != np.uint16:
        return raw
    top = int(raw.max())
    if top not in [2**bits - 1 for bits in MARK_BITS]:
        return raw
    marked = raw == top
    sure = top == 2**16 - 1 or marked.mean() >= LEAST_MARKED
    return np.where(marked, np.uint16(0), raw) if sure else raw


def _check_byte_order(raw: np.ndarray) -> None:
    """Depth is smooth, and noise where its two bytes are exchanged."""
    if raw.dtype.itemsize != 2:
        return
    both = (raw[:, 1:] != 0) & (raw[:, :-1] != 0)
    if np.count_nonzero(both) < 100:
        return
    told, swapped = (
        float(np.median(np.abs(np.diff(order.astype(np.int32))[both])))
        for order in (raw, raw.byteswap())
    )
    if told > 256 and told > 8 * swapped:
        raise ImageError('depth whose bytes are in the other order than is_bigendian says')


def _check_unit(depth: np.ndarray) -> None:
    valid = depth[depth > 0]
    median = float(np.median(valid)) if valid.size else PLAUSIBLE_M[0]
    if not PLAUSIBLE_M[0] <= median <= PLAUSIBLE_M[1]:
        raise ImageError(
            f'a median depth of {median:.3g} m, expected {PLAUSIBLE_M[0]:g} to '
            f'{PLAUSIBLE_M[1]:g} m: its numbers have another unit (--depth-unit)'
        )
