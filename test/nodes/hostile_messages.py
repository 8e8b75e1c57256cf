# SPDX-License-Identifier: Apache-2.0
"""Images and camera_info as no camera should send them, but as CDR can carry them."""

from __future__ import annotations

import math
import struct
import zlib

import cv2
import numpy as np
from hypothesis import strategies as st
from robot import camera_info, texture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from dsac_ros.sources.encodings import ENCODINGS

HUGE = 2**32 - 1
SIDES = st.one_of(
    st.sampled_from([0, 1, 2, 3, 64, 96, 127, 128, 2**16, 2**31 - 1, 2**31, HUGE]),
    st.integers(0, HUGE),
)
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), max_size=20),
    st.sampled_from(
        ['h264', 'jpeg', 'png', 'rgb8; jpeg compressed bgr8', '16UC1; compressedDepth']
    ),
)
ENCODING = st.one_of(
    st.sampled_from([*ENCODINGS, '32FC1', '64FC3', '8UC200', '8SC1']),
    st.sampled_from([f'\n{name}\n' for name in ENCODINGS]),
    TEXT,
)
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 63.5, 110.0, 1e-300, 1e308, math.nan, math.inf]),
    st.floats(width=64),
)
MODELS = st.one_of(
    st.sampled_from(
        ['plumb_bob', 'rational_polynomial', 'equidistant', 'kannala\nbrandt', 'thin_prism', '']
    ),
    TEXT,
)


def with_data(message, data: bytes):
    """Fill the data of a message: rclpy's setter copies bytes one by one."""
    message.data.frombytes(data)
    return message


@st.composite
def images(draw):
    """An Image: any header, or one that fits its data but for one field."""
    kind = ENCODINGS.get(encoding := draw(ENCODING))
    bytes_each = kind.channels * int(kind.dtype[1]) if kind else draw(st.integers(1, 8))
    if draw(st.booleans()):
        height, width, step = draw(SIDES), draw(SIDES), draw(SIDES)
        size = draw(st.integers(0, 3000))
    else:
        height, width = draw(st.integers(0, 100)), draw(st.integers(0, 130))
        step = draw(st.sampled_from([0, width * bytes_each, width * bytes_each + 3, width]))
        size = max(0, height * step + draw(st.sampled_from([0, 0, -1, 1, -step, 500])))
    message = Image(
        encoding=encoding,
        height=height,
        width=width,
        step=step,
        is_bigendian=draw(st.sampled_from([0, 1, 255])),
    )
    seed = draw(st.integers(0, 3))
    return with_data(message, np.random.default_rng(seed).bytes(size))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(width: int, height: int, size: int) -> bytes:
    """A black PNG that says a size and holds `size` bytes of pixels, which take hardly any."""
    head = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        chunk(kind, data)
        for kind, data in (
            (b'IHDR', head),
            (b'IDAT', zlib.compress(bytes(size), 9)),
            (b'IEND', b''),
        )
    )


def resized_jpeg(width: int, height: int) -> bytes:
    """A JPEG of 128x96 pixels that says another size."""
    data = cv2.imencode('.jpg', texture(0))[1].tobytes()
    at = data.index(b'\xff\xc0') + 5
    return data[:at] + struct.pack('>HH', height, width) + data[at + 4 :]


ENCODED = {
    'jpeg': cv2.imencode('.jpg', texture(0))[1].tobytes(),
    'png': cv2.imencode('.png', texture(0))[1].tobytes(),
    'webp': cv2.imencode('.webp', texture(0))[1].tobytes(),
    'tiff': cv2.imencode('.tiff', texture(0))[1].tobytes(),
    'png that lies': png(60_000, 60_000, 99),
    'png bomb': png(12_000, 12_000, 12_001 * 12_000),
    'jpeg that lies': resized_jpeg(65_000, 65_000),
    'ppm that lies': b'P6\n30000 30000\n255\n' + bytes(9),
    'gif': b'GIF89a' + struct.pack('<HHBBB', 60_000, 60_000, 0xF0, 0, 0) + bytes(60),
    'nothing': b'',
    'zeros': bytes(500),
}


@st.composite
def compressed_images(draw):
    """A CompressedImage: encoded images, whole, cut or with some bytes changed."""
    data = bytearray(draw(st.sampled_from(list(ENCODED.values()))))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            data[draw(st.integers(0, min(len(data), 400) - 1))] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    return with_data(CompressedImage(format=draw(TEXT)), bytes(data[:end]))


@st.composite
def camera_infos(draw):
    """A CameraInfo: any values, or a good one with some fields changed."""
    any_of = {
        'width': SIDES,
        'height': SIDES,
        'distortion_model': MODELS,
        'd': st.lists(NUMBERS, max_size=20),
        'k': st.lists(NUMBERS, min_size=9, max_size=9),
        'p': st.lists(NUMBERS, min_size=12, max_size=12),
        'r': st.lists(NUMBERS, min_size=9, max_size=9),
        'binning_x': SIDES,
        'binning_y': SIDES,
        'roi': st.builds(
            RegionOfInterest, x_offset=SIDES, y_offset=SIDES, width=SIDES, height=SIDES
        ),
    }
    changed = draw(st.sets(st.sampled_from(list(any_of)), max_size=len(any_of)))
    info = camera_info(**{name: draw(any_of[name]) for name in sorted(changed)})
    assert isinstance(info, CameraInfo)
    return info
