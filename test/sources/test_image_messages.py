# SPDX-License-Identifier: Apache-2.0
"""Every encoding a driver sends becomes gray or RGB of 8 bits."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsac_ros.errors import ImageError
from dsac_ros.sources.encodings import ENCODINGS
from dsac_ros.sources.image_messages import (
    decode_compressed,
    decode_image,
    decode_message,
)

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GRAY = RGB[..., 0].copy()
ALPHA = np.full((6, 8, 1), 9, np.uint8)


def message(encoding, pixels, *, padding=0, big=False):
    """An Image whose rows carry `padding` bytes of rubbish."""
    height, width = pixels.shape[:2]
    pixels = pixels.astype(pixels.dtype.newbyteorder('>' if big else '<'))
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, padding), 0xAB, np.uint8)])
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=rows.reshape(-1),
    )


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    'encoding, pixels, expected',
    [
        ('mono8', GRAY, GRAY),
        ('8UC1', GRAY, GRAY),
        ('rgb8', RGB, RGB),
        ('bgr8', RGB[..., ::-1], RGB),
        ('8UC3', RGB[..., ::-1], RGB),
        ('rgba8', np.dstack([RGB, ALPHA]), RGB),
        ('bgra8', np.dstack([RGB[..., ::-1], ALPHA]), RGB),
        ('rgb16', RGB.astype(np.uint16) * 257, RGB),
    ],
)
def test_plain_encodings(encoding, pixels, expected, padding):
    found = decode_image(message(encoding, np.ascontiguousarray(pixels), padding=padding))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8 and found.flags.writeable


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
def test_sixteen_bits_in_both_byte_orders(encoding, big):
    pixels = GRAY.astype(np.uint16) * 257
    found = decode_image(message(encoding, pixels, padding=4, big=big))
    np.testing.assert_array_equal(found, GRAY)


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
def test_sensors_of_fewer_bits_keep_their_contrast(bits):
    pixels = np.linspace(0, 2**bits - 1, 256).astype(np.uint16).reshape(16, 16)
    assert decode_image(message('mono16', pixels)).max() == 255


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits', [8, 16])
def test_bayer_patterns(pattern, bits):
    colour = np.array([200, 120, 40], np.uint8)
    mosaic = np.empty((8, 8), np.uint8)
    for place, letter in zip(((0, 0), (0, 1), (1, 0), (1, 1)), pattern):
        mosaic[place[0] :: 2, place[1] :: 2] = colour['rgb'.index(letter)]
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 257
    found = decode_image(message(f'bayer_{pattern}{bits}', mosaic))
    np.testing.assert_array_equal(found[2:-2, 2:-2], np.broadcast_to(colour, (4, 4, 3)))


@pytest.mark.parametrize(
    'encoding, order',
    [('yuv422', (1, 0)), ('uyvy', (1, 0)), ('yuv422_yuy2', (0, 1)), ('yuyv', (0, 1))],
)
def test_yuv_with_shared_colour(encoding, order):
    luma = np.full((4, 8), 150, np.uint8)
    chroma = np.tile(np.array([90, 170], np.uint8), (4, 4))
    channels = [None, None]
    channels[order[0]], channels[order[1]] = luma, chroma
    found = decode_image(message(encoding, np.dstack(channels)))
    y, u, v = 1.164 * (150 - 16), 90 - 128, 170 - 128
    expected = (y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u)
    np.testing.assert_allclose(found[0, 0], expected, atol=2)


@pytest.mark.parametrize(
    'kind', [bytes, bytearray, memoryview, list, lambda data: array.array('B', data)]
)
def test_whatever_holds_the_bytes(kind):
    one = message('mono8', GRAY)
    one.data = kind(one.data.tobytes())
    np.testing.assert_array_equal(decode_message(one), GRAY)


def test_last_row_without_padding_and_a_step_of_zero():
    one = message('mono8', GRAY, padding=3)
    one.data = one.data[:-3]
    np.testing.assert_array_equal(decode_image(one), GRAY)
    one = message('mono8', GRAY)
    one.step = 0
    np.testing.assert_array_equal(decode_image(one), GRAY)


@pytest.mark.parametrize(
    'change, text',
    [
        ({'encoding': 'purple12'}, "unknown image encoding 'purple12', expected one of mono8"),
        ({'data': np.zeros(10, np.uint8)}, '8x6 has 10 bytes in rows of 8, expected 6 rows of at'),
        ({'step': 4}, 'in rows of 4'),
        ({'width': 0}, '0x6, expected pixels'),
    ],
)
def test_broken_images_say_what_is_wrong(change, text):
    one = message('mono8', GRAY)
    vars(one).update(change)
    with pytest.raises(ImageError, match=text):
        decode_image(one)


@pytest.mark.parametrize('pixels', [RGB, GRAY])
def test_compressed_images(pixels):
    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    png = cv2.imencode('.png', stored)[1].reshape(-1)
    found = decode_message(SimpleNamespace(format='bgr8; png compressed bgr8', data=png))
    np.testing.assert_array_equal(found, pixels)
    flat = np.full((16, 16, 3), (30, 90, 200), np.uint8)
    jpeg = cv2.imencode('.jpg', flat[..., ::-1])[1].tobytes()
    found = decode_compressed(SimpleNamespace(format='jpeg', data=jpeg))
    np.testing.assert_allclose(found, flat, atol=4)


@pytest.mark.parametrize('data', [b'', b'\xff\xd8 cut'])
def test_broken_compressed_images(data):
    with pytest.raises(ImageError, match='not an image that can be decoded'):
        decode_compressed(SimpleNamespace(format='jpeg', data=data))


@pytest.mark.parametrize('name', ['h264', 'hevc', 'libx264', 'H265'])
def test_video_in_a_compressed_image_is_named(name):
    with pytest.raises(ImageError, match=r'holds video, .*`ros2 run image_transport rep'):
        decode_compressed(SimpleNamespace(format=name, data=b'\0\0\1\x65'))


def test_compressed_depth_is_no_image():
    packed = SimpleNamespace(format='16UC1; compressedDepth png', data=b'')
    with pytest.raises(ImageError, match='which is depth'):
        decode_compressed(packed)


def planar(encoding, rgb, padding=0):
    """An Image of an encoding whose colour lies behind the brightness."""
    yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    height, width = rgb.shape[:2]
    luma = yuv[:height]
    u, v = yuv[height:].reshape(2, height // 2, width // 2)
    columns, rows = {
        'nv12': (2, 2),
        'nv21': (2, 2),
        'nv16': (2, 1),
        'nv61': (2, 1),
        'nv24': (1, 1),
        'nv42': (1, 1),
    }.get(encoding.lower(), (2, 2))
    u, v = (np.repeat(np.repeat(plane, 2 // rows, 0), 2 // columns, 1) for plane in (u, v))
    if encoding.lower() in ('nv21', 'nv61', 'nv42', 'yv12'):
        u, v = v, u
    if encoding.lower() in ('i420', 'yv12'):
        planes, pads = [luma, u, v], [padding, padding // 2, padding // 2]
    else:
        uv = np.dstack([u, v]).reshape(u.shape[0], -1)
        planes, pads = [luma, uv], [padding, padding * 2 // columns]
    data = np.concatenate(
        [
            np.pad(plane, ((0, 0), (0, pad)), constant_values=0xAB).reshape(-1)
            for plane, pad in zip(planes, pads)
        ]
    )
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        is_bigendian=0,
        step=width + padding,
        data=data,
    )


@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize(
    'encoding', ['nv12', 'nv21', 'nv16', 'nv61', 'nv24', 'nv42', 'i420', 'yv12', 'NV12']
)
def test_planes_of_brightness_and_colour(encoding, padding):
    rgb = np.zeros((8, 12, 3), np.uint8)
    rgb[:, :6], rgb[:, 6:] = (200, 40, 60), (30, 180, 90)
    found = decode_image(planar(encoding, rgb, padding))
    np.testing.assert_allclose(found.astype(int), rgb, atol=6)


def test_planes_as_opencv_counts_rows():
    rgb = np.full((8, 12, 3), (200, 40, 60), np.uint8)
    one = planar('nv12', rgb)
    one.height = 12
    np.testing.assert_allclose(decode_image(one).astype(int), rgb, atol=6)


@pytest.mark.parametrize(
    'change, text',
    [
        ({'data': np.zeros(100, np.uint8)}, '100 bytes'),
        ({'width': 11}, 'expected an even width'),
        ({'height': 0}, '12x0, expected pixels'),
        ({'step': 3}, 'in rows of 3'),
        ({'data': np.zeros(8 * 12, np.uint8)}, 'bytes in rows of 12'),
    ],
)
def test_broken_planes_say_what_is_wrong(change, text):
    one = planar('nv12', np.zeros((8, 12, 3), np.uint8))
    vars(one).update(change)
    with pytest.raises(ImageError, match=text):
        decode_image(one)


@pytest.mark.parametrize(
    'encoding, pixels',
    [
        ('RGB8', RGB),
        ('bgra16', np.dstack([RGB[..., ::-1], ALPHA]).astype(np.uint16) * 257),
        ('rgba16', np.dstack([RGB, ALPHA]).astype(np.uint16) * 257),
        ('16UC3', RGB[..., ::-1].astype(np.uint16) * 257),
    ],
)
def test_more_names_of_channels(encoding, pixels):
    np.testing.assert_array_equal(
        decode_image(message(encoding, np.ascontiguousarray(pixels))), RGB
    )


@pytest.mark.parametrize('offset, contrast', [(30000, 400), (7500, 300), (500, 200), (60000, 900)])
def test_a_thermal_image_keeps_its_contrast(offset, contrast):
    scene = np.clip(np.random.default_rng(0).normal(0.5, 0.2, (48, 64)), 0, 1)
    pixels = (offset + contrast * scene).astype(np.uint16)
    pixels[0, 0], pixels[0, 1] = 0, 65535  # dead pixels
    told = []
    found = decode_image(message('mono16', pixels), told.append)
    low, high = np.percentile(found, (1, 99))
    assert 100 <= high - low <= 160 and len(told) == 1
    assert np.corrcoef(found[1:].reshape(-1), scene[1:].reshape(-1))[0, 1] > 0.99


def test_sixteen_bits_do_not_jump_between_images():
    scene = np.linspace(0, 1, 4096).reshape(64, 64)
    before = None
    for contrast in np.linspace(8000, 65000, 400):
        pixels = np.rint(500 + contrast * scene).astype(np.uint16)
        pixels[0, 0] = 65535
        found = decode_image(message('mono16', pixels)).astype(int)
        assert before is None or np.abs(found - before)[1:].max() <= 3
        before = found


def test_eight_bits_in_sixteen_stay_what_they_are():
    told = []
    found = decode_image(message('mono16', GRAY.astype(np.uint16)), told.append)
    np.testing.assert_array_equal(found, GRAY)
    assert decode_image(message('mono16', np.zeros((4, 4), np.uint16))).max() == 0
    flat = decode_image(message('mono16', np.full((4, 4), 30000, np.uint16)))
    assert flat.min() == flat.max()
    assert len(told) == 1
    decode_image(message('mono8', GRAY), told.append)
    assert len(told) == 1


def test_a_compressed_mosaic_is_no_gray_image():
    mosaic = np.empty((8, 8), np.uint8)
    for place, value in zip(((0, 0), (0, 1), (1, 0), (1, 1)), (200, 120, 120, 40)):
        mosaic[place[0] :: 2, place[1] :: 2] = value
    png = cv2.imencode('.png', mosaic)[1].tobytes()
    found = decode_message(SimpleNamespace(format='bayer_rggb8; png compressed ', data=png))
    np.testing.assert_array_equal(found[2:-2, 2:-2], np.broadcast_to((200, 120, 40), (4, 4, 3)))
    colour = cv2.imencode('.png', RGB)[1].tobytes()
    sent = SimpleNamespace(format='bayer_rggb8; png compressed bgr8', data=colour)
    np.testing.assert_array_equal(decode_message(sent), RGB[..., ::-1])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(ENCODINGS)),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 60),
    st.integers(0, 400),
    st.booleans(),
)
def test_whatever_an_image_holds_is_one_line(encoding, width, height, step, size, big):
    one = SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=int(big),
        data=bytes(range(256)) * 2,
    )
    one.data = one.data[:size]
    try:
        found = decode_image(one)
    except ImageError as error:
        assert '\n' not in str(error)
    else:
        assert found.dtype == np.uint8 and found.shape[1] == width
