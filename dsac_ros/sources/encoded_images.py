# SPDX-License-Identifier: Apache-2.0
"""Encoded images (png, jpeg, tiff ...) to pixels, whatever their bytes are."""

from __future__ import annotations

import math
import struct

import cv2
import numpy as np

from dsac_ros.errors import ImageError

START, SEGMENT, START_OF_SCAN = b'\xff\xd8', 0xFF, 0xDA
NO_LENGTH = frozenset((0x00, 0x01, *range(0xD0, 0xDA), 0xFF))  # fill bytes and bare markers
FRAME_SIZE = struct.Struct('>HH')
# Start-of-frame markers, which hold the size: C0 to CF but for tables and arithmetic coding.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# A JPEG has a bit or more for each block of 64 pixels. libjpeg fills what is missing with gray.
MAX_PIXELS_PER_BYTE = 1024


def decode_encoded(data: bytes | np.ndarray, flags: int) -> np.ndarray:
    """Decode an image as OpenCV does, with its flags.

    Raises:
        ImageError: the bytes are no image, or of another size than they say.
    """
    buffer = np.frombuffer(data, np.uint8)
    width, height = jpeg_size(buffer)
    if width * height > MAX_PIXELS_PER_BYTE * buffer.size:
        raise ImageError(
            f'{buffer.size} bytes are not a jpeg of {width}x{height} pixels, as it '
            'says: it is cut short or damaged'
        )
    try:
        image = cv2.imdecode(buffer, flags) if buffer.size else None
    except cv2.error as error:
        raise ImageError(
            f'{buffer.size} bytes are not an image that can be decoded '
            f'({" ".join(str(error.err).split())})'
        ) from None
    if image is None:
        raise ImageError(
            f'{buffer.size} bytes are not an image that can be decoded, expected jpeg or png'
        )
    return image


def jpeg_size(data: np.ndarray) -> tuple[int, int]:
    """The largest width and height that a JPEG says it has; zeros for anything else.

    All segments up to the first scan are looked at, fill bytes and stray ones as libjpeg does.
    """
    size, at = (0, 0), 2
    if data[:2].tobytes() != START:
        return size
    while at + 9 <= len(data):
        head = data[at : at + 9].tobytes()
        if head[0] != SEGMENT or head[1] in NO_LENGTH:
            at += 1
            continue
        if head[1] == START_OF_SCAN:
            break
        if head[1] in START_OF_FRAME:
            height, width = FRAME_SIZE.unpack_from(head, 5)
            size = max(size, (width, height), key=math.prod)
        at += 2 + int.from_bytes(head[2:4], 'big')
    return size
