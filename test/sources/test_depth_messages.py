# SPDX-License-Identifier: Apache-2.0
"""Depth, as drivers and compressed_depth_image_transport send it, becomes metres."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from test_image_messages import RGB, message

from dsac_ros.errors import ImageError
from dsac_ros.sources.depth_messages import decode_depth

# A slanted wall with a hole, 0.5 to 8 m.
METRES = np.linspace(0.5, 8.0, 24 * 32).reshape(24, 32).astype(np.float32)
METRES[5:9, 5:9] = 0
MM = np.round(METRES * 1000).astype(np.uint16)


def packed(form, body, a=0.0, b=0.0):
    return SimpleNamespace(format=form, data=struct.pack('<iff', 0, a, b) + body)


def png(pixels, suffix='.png'):
    return cv2.imencode(suffix, pixels)[1].tobytes()


def rvl(values):
    """RVL, written from the paper one number at a time."""
    nibbles = []

    def put(number):
        while True:
            number, group = number >> 3, number & 7
            nibbles.append(group | (8 if number else 0))
            if not number:
                return

    flat, at, before = [int(v) for v in values.reshape(-1)], 0, 0
    while at < len(flat):
        for wanted in (False, True):
            run = at
            while run < len(flat) and bool(flat[run]) == wanted:
                run += 1
            put(run - at)
            if not wanted:
                at = run
        for value in flat[at:run]:
            change, before = value - before, value
            put(2 * change if change >= 0 else -2 * change - 1)
        at = run
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        int(''.join(f'{n:x}' for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)
    ]
    height, width = values.shape
    return struct.pack('<ii', width, height) + struct.pack(f'<{len(words)}I', *words)


def quantised(metres, furthest=10.0, quantum=100.0):
    """Inverse depth in 16 bits, and its two parameters."""
    a = quantum * (quantum + 1)
    b = 1 - a / furthest
    levels = np.zeros(metres.shape, np.uint16)
    levels[metres > 0] = a / metres[metres > 0] + b
    return levels, a, b


@pytest.mark.parametrize(
    'encoding, raw',
    [
        ('16UC1', MM),
        ('mono16', MM),
        ('16SC1', MM.astype(np.int16)),
        ('32FC1', METRES),
        ('64FC1', METRES.astype(np.float64)),
    ],
)
@pytest.mark.parametrize('big', [False, True])
def test_plain_depth(encoding, raw, big):
    found = decode_depth(message(encoding, raw, padding=4, big=big))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, METRES, atol=6e-4)


@pytest.mark.parametrize('nothing', [np.nan, np.inf, -np.inf, -1.0])
def test_what_is_no_depth_is_zero(nothing):
    raw = np.where(METRES > 0, METRES, np.float32(nothing))
    np.testing.assert_array_equal(decode_depth(message('32FC1', raw)), METRES)


@pytest.mark.parametrize(
    'form, body',
    [
        ('16UC1; compressedDepth', png(MM)),
        ('16UC1; compressedDepth png', png(MM)),
        ('16UC1; compressedDepth rvl', rvl(MM)),
        ('mono16; compressedDepth png', png(MM)),
        ('; compressedDepth png', png(MM)),
    ],
)
def test_compressed_depth_in_millimetres(form, body):
    np.testing.assert_allclose(decode_depth(packed(form, body)), METRES, atol=6e-4)


@pytest.mark.parametrize(
    'form, code',
    [
        ('32FC1; compressedDepth', png),
        ('32FC1; compressedDepth png', png),
        ('32FC1; compressedDepth rvl', rvl),
    ],
)
def test_compressed_depth_of_floats_is_inverse(form, code):
    levels, a, b = quantised(METRES)
    found = decode_depth(packed(form, code(levels), a, b))
    np.testing.assert_allclose(found, METRES, rtol=0.01)
    np.testing.assert_array_equal(found == 0, METRES == 0)


@pytest.mark.parametrize(
    'form, data',
    [
        ('16UC1; png compressed ', png(MM)),
        ('png', png(MM)),
        ('32FC1; tiff compressed ', png(METRES, '.tiff')),
        ('16UC1; compressedDepth png', png(MM)),
    ],
)
def test_depth_without_the_header_of_the_transport(form, data):
    found = decode_depth(SimpleNamespace(format=form, data=data))
    np.testing.assert_allclose(found, METRES, atol=6e-4)


def test_rvl_of_noise_and_of_nothing():
    noise = np.random.default_rng(1).integers(0, 60000, (37, 41)).astype(np.uint16)
    noise[noise < 20000] = 0
    found = decode_depth(packed('16UC1; compressedDepth rvl', rvl(noise)), unit_m=1.0)
    np.testing.assert_array_equal(found, noise)
    nothing = np.zeros((4, 5), np.uint16)
    assert not decode_depth(packed('16UC1; compressedDepth rvl', rvl(nothing))).any()


@pytest.mark.parametrize(
    'body',
    [
        b'',
        struct.pack('<ii', 640, 480),
        struct.pack('<ii', 640, 480) + b'\x12\x34' * 500,
        struct.pack('<ii', -1, 4) + b'\0' * 8,
        struct.pack('<ii', 2**30, 2**30) + b'\0' * 8,
        struct.pack('<ii', 8, 8) + b'\xff' * 64,
        struct.pack('<ii', 8, 8) + b'\0' * 64,
        rvl(MM)[:-400],
    ],
)
def test_broken_rvl_says_so(body):
    with pytest.raises(ImageError, match='RVL depth'):
        decode_depth(packed('16UC1; compressedDepth rvl', body))


@pytest.mark.parametrize(
    'one, text',
    [
        (message('rgb8', RGB), "depth encoding 'rgb8'"),
        (message('mono8', RGB[..., 0]), "depth encoding 'mono8', expected one of 16UC1"),
        (
            packed('16UC1; compressedDepth png', png(RGB)),
            'uint8 in 3 channels, which is a picture',
        ),
        (SimpleNamespace(format='jpeg', data=png(RGB[..., 0], '.jpg')), 'uint8 in 1 channels'),
        (packed('16UC1; compressedDepth png', png(MM)[:60]), 'cannot be decoded'),
        (packed('16UC1; compressedDepth zstd', b'abcdef'), 'neither png nor RVL'),
        (SimpleNamespace(format='16UC1; compressedDepth', data=b''), 'neither png nor RVL'),
        (SimpleNamespace(format='32FC1; compressedDepth', data=png(MM)), 'lacks the header'),
        (packed('32FC1; compressedDepth png', png(MM), 0.0, 0.0), 'quantised by 0 and 0'),
    ],
)
def test_what_is_no_depth_says_why(one, text):
    with pytest.raises(ImageError, match=text):
        decode_depth(one)


@pytest.mark.parametrize(
    'encoding, raw', [('32FC1', METRES * 1000), ('16UC1', np.round(METRES).astype(np.uint16))]
)
def test_depth_in_another_unit_needs_its_name(encoding, raw):
    with pytest.raises(ImageError, match=r'a median depth of .* m, expected 0\.02 to 200 m'):
        decode_depth(message(encoding, raw))
    unit_m = 0.001 if encoding == '32FC1' else 1.0
    np.testing.assert_allclose(decode_depth(message(encoding, raw), unit_m), METRES, atol=0.51)


@pytest.mark.parametrize('mark', [2047, 4095, 65535])
def test_the_mark_of_a_sensor_is_no_depth(mark):
    raw = np.where(MM > 0, np.minimum(MM, 2000), mark).astype(np.uint16)
    found = decode_depth(message('16UC1', raw))
    np.testing.assert_array_equal(found == 0, METRES == 0)


def test_a_wall_that_is_as_far_as_a_mark_stays():
    raw = np.full((40, 40), 2047, np.uint16)
    raw[:, :39] = 2060
    raw[:3, :3] = 4095
    assert (decode_depth(message('16UC1', raw)) > 0).all()


def test_bytes_in_the_other_order_than_told():
    one = message('16UC1', MM, big=True)
    one.is_bigendian = 0
    with pytest.raises(ImageError, match='other order than is_bigendian says'):
        decode_depth(one)
