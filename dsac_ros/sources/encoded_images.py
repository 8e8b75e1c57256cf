# SPDX-License-Identifier: Apache-2.0
"""Encoded images (png, jpeg, tiff ...) to pixels, whatever their bytes are."""

from __future__ import annotations

import math
import re
import struct

import cv2
import numpy as np

from dsac_ros.errors import ImageError

START, SEGMENT, START_OF_SCAN = b'\xff\xd8', 0xFF, 0xDA
NO_LENGTH = frozenset((0x00, 0x01, *range(0xD0, 0xDA), 0xFF))  # fill bytes and bare markers
PNG = b'\x89PNG\r\n\x1a\n'
TIFF_WIDTH, TIFF_HEIGHT, TIFF_SHORT, TIFF_LONG = 256, 257, 3, 4  # tags, and types of their values
MAX_TIFF_TAGS = 100  # of a directory, which is sorted and begins with the size
FRAME_SIZE = struct.Struct('>HH')
# Start-of-frame markers, which hold the size: C0 to CF but for tables and arithmetic coding.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# A JPEG has a bit or more for each block of 64 pixels. libjpeg fills what is missing with gray.
MAX_PIXELS_PER_BYTE = 1024
# Of a message, whose few bytes could take gigabytes: 200 MB of RGB, and more than any camera
# streams.
MAX_MESSAGE_PIXELS = 1 << 26
# Of a file: the largest sensors of cameras and phones have 200 million.
MAX_FILE_PIXELS = 1 << 28
PNM = re.compile(rb'P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})')
PNM_BYTES = 1 << 10  # in which the size is looked for


def decode_encoded(
    data: bytes | np.ndarray, flags: int, max_pixels: int = MAX_FILE_PIXELS
) -> np.ndarray:
    """Decode an image as OpenCV does, with its flags.

    Args:
        data: the encoded image.
        flags: of cv2.imread.
        max_pixels: largest size; what the image says it has is checked before memory is taken
            for it. A few kilobytes can say, and hold, a gigapixel.

    Raises:
        ImageError: the bytes are no image, or of another size than they say, or too large.
    """
    buffer = np.frombuffer(data, np.uint8)
    width, height = encoded_size(buffer)
    if width * height > max_pixels:
        raise ImageError(
            f'the encoded image is {width}x{height}, expected at most {max_pixels} pixels'
        )
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


def encoded_size(data: np.ndarray) -> tuple[int, int]:
    """The width and height that an encoded image says it has; zeros for an unknown format.

    Known are JPEG, PNG, WebP, TIFF, BMP, GIF and the formats of Netpbm.
    """
    head = data[:30].tobytes()
    if head.startswith(PNG) and len(head) >= 24:
        width, height = struct.unpack_from('>II', head, 16)
        return width, height
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP' and len(head) == 30:
        return _webp_size(head)
    if head[:4] in (b'II*\0', b'MM\0*'):
        return _tiff_size(data)
    if head[:2] == b'BM' and len(head) >= 26:
        return _bmp_size(head)
    if head[:4] == b'GIF8' and len(head) >= 10:
        width, height = struct.unpack_from('<HH', head, 6)
        return width, height
    if found := PNM.match(data[:PNM_BYTES].tobytes()):
        return int(found[1]), int(found[2])
    return jpeg_size(data)


def _bmp_size(head: bytes) -> tuple[int, int]:
    """The size in the first 26 bytes of a BMP; a negative height counts the rows from above."""
    is_os2 = struct.unpack_from('<I', head, 14)[0] == 12
    width, height = struct.unpack_from('<HH' if is_os2 else '<ii', head, 18)
    return abs(width), abs(height)


def _webp_size(head: bytes) -> tuple[int, int]:
    """The size in the first 30 bytes of a WebP: lossy, lossless or extended."""
    if head[12:16] == b'VP8 ':
        width, height = struct.unpack_from('<HH', head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if head[12:16] == b'VP8L':
        (bits,) = struct.unpack_from('<I', head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[24:27], 'little') + 1, int.from_bytes(head[27:30], 'little') + 1


def _tiff_size(data: np.ndarray) -> tuple[int, int]:
    """The size in the first directory of a TIFF."""
    order = '<' if data[0] == ord('I') else '>'
    (start,) = struct.unpack_from(f'{order}I', data[4:8].tobytes().ljust(4, b'\0'))
    directory = data[start : start + 2 + 12 * MAX_TIFF_TAGS].tobytes()
    size = {TIFF_WIDTH: 0, TIFF_HEIGHT: 0}
    for at in range(2, len(directory) - 11, 12):
        tag, kind = struct.unpack_from(f'{order}HH', directory, at)
        if tag in size and kind in (TIFF_SHORT, TIFF_LONG):
            form = f'{order}{"H" if kind == TIFF_SHORT else "I"}'
            (size[tag],) = struct.unpack_from(form, directory, at + 8)
    return size[TIFF_WIDTH], size[TIFF_HEIGHT]
