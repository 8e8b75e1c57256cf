# SPDX-License-Identifier: Apache-2.0
"""Encoded images whose bytes are not what they say."""

from __future__ import annotations

import resource
import struct
import zlib

import cv2
import numpy as np
import pytest

from dsac_ros.errors import ImageError
from dsac_ros.sources.encoded_images import decode_encoded, encoded_size, jpeg_size
from dsac_ros.sources.image_files import read_depth, read_image

IMAGE = cv2.resize(np.arange(72, dtype=np.uint8).reshape(4, 6, 3), (96, 64))
JPEG = cv2.imencode('.jpg', IMAGE)[1].tobytes()


def resized(jpeg, width, height):
    at = jpeg.index(b'\xff\xc0') + 5
    return jpeg[:at] + struct.pack('>HH', height, width) + jpeg[at + 4 :]


def png(width, height):
    """A png of this size whose pixels end after the first few."""
    chunks = (
        (b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)),
        (b'IDAT', zlib.compress(bytes(99))),
        (b'IEND', b''),
    )
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize(
    'data',
    [
        resized(JPEG, 30000, 30000),
        resized(JPEG, 65000, 65000),
        png(30000, 30000),
        png(100_000, 100_000),
        b'P6 30000 30000 255\nabc',
        b'',
        b'GIF89a',
        JPEG[:300],
    ],
    ids=['jpeg', 'large jpeg', 'png', 'large png', 'ppm', 'empty', 'gif', 'cut'],
)
def test_a_size_that_lies_takes_no_memory(tmp_path, data):
    (tmp_path / 'a.png').write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_image, lambda path: read_depth(path, (96, 64))):
        with pytest.raises(
            ImageError,
            match=rf'a\.png cannot be read as .*: ({len(data)} bytes are not a|the encoded image '
            r'is \d+x\d+, expected at most)',
        ) as caught:
            read(tmp_path / 'a.png')
        assert '\n' not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_the_size_of_a_jpeg_is_that_of_its_frame():
    fill = JPEG[:2] + b'\xff\xff' + JPEG[2:]
    thumbnail = JPEG[:2] + b'\xff\xe1' + struct.pack('>H', 2 + len(JPEG)) + JPEG + JPEG[2:]
    for data in (JPEG, fill, thumbnail):
        assert jpeg_size(np.frombuffer(data, np.uint8)) == (96, 64)
        assert decode_encoded(data, cv2.IMREAD_COLOR).shape == IMAGE.shape
    assert jpeg_size(np.frombuffer(png(96, 64), np.uint8)) == (0, 0)


def test_a_plain_jpeg_is_large_enough_for_its_bytes():
    for flags in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]):
        data = cv2.imencode(
            '.jpg', np.zeros((3000, 4000), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 1, *flags]
        )[1]
        assert decode_encoded(data, cv2.IMREAD_GRAYSCALE).shape == (3000, 4000)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tiff'])
@pytest.mark.parametrize('shape', [(48, 64), (33, 17, 3)])
def test_the_size_is_read_before_the_image(suffix, shape):
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    data = cv2.imencode(suffix, image)[1]
    assert encoded_size(data) == shape[1::-1]
    for length in range(0, 40):  # cut anywhere it is one size, or none
        assert encoded_size(data[:length]) in {(0, 0), shape[1::-1]}


@pytest.mark.parametrize(
    ('flags', 'name'), [([cv2.IMWRITE_WEBP_QUALITY, 101], 'lossless'), ([], 'lossy')]
)
def test_the_size_of_a_webp(flags, name):
    image = np.random.default_rng(0).integers(0, 255, (20, 31, 3), dtype=np.uint8)
    assert encoded_size(cv2.imencode('.webp', image, flags)[1]) == (31, 20)


def test_an_image_that_is_too_large_takes_no_memory():
    data = cv2.imencode('.png', np.zeros((300, 400), np.uint8))[1]
    assert decode_encoded(data, cv2.IMREAD_GRAYSCALE, 120_000).shape == (300, 400)
    with pytest.raises(ImageError, match='the encoded image is 400x300, expected at most 119999'):
        decode_encoded(data, cv2.IMREAD_GRAYSCALE, 119_999)
