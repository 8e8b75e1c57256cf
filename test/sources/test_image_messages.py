# SPDX-License-Identifier: Apache-2.0
"""Every encoding a driver sends becomes gray or RGB of 8 bits."""
from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dsac_ros.errors import ImageError
from dsac_ros.sources.image_messages import (
    camera_from_message,
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
    return SimpleNamespace(encoding=encoding, height=height, width=width, is_bigendian=int(big),
                           step=rows.shape[1], data=rows.reshape(-1))


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding, pixels, expected', [
    ('mono8', GRAY, GRAY), ('8UC1', GRAY, GRAY), ('rgb8', RGB, RGB), ('bgr8', RGB[..., ::-1], RGB),
    ('8UC3', RGB[..., ::-1], RGB), ('rgba8', np.dstack([RGB, ALPHA]), RGB),
    ('bgra8', np.dstack([RGB[..., ::-1], ALPHA]), RGB),
    ('rgb16', RGB.astype(np.uint16) * 257, RGB)])
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
    pixels = np.linspace(0, 2 ** bits - 1, 256).astype(np.uint16).reshape(16, 16)
    assert decode_image(message('mono16', pixels)).max() == 255


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits', [8, 16])
def test_bayer_patterns(pattern, bits):
    colour = np.array([200, 120, 40], np.uint8)
    mosaic = np.empty((8, 8), np.uint8)
    for place, letter in zip(((0, 0), (0, 1), (1, 0), (1, 1)), pattern):
        mosaic[place[0]::2, place[1]::2] = colour['rgb'.index(letter)]
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 257
    found = decode_image(message(f'bayer_{pattern}{bits}', mosaic))
    np.testing.assert_array_equal(found[2:-2, 2:-2], np.broadcast_to(colour, (4, 4, 3)))


@pytest.mark.parametrize('encoding, order', [('yuv422', (1, 0)), ('uyvy', (1, 0)),
                                             ('yuv422_yuy2', (0, 1)), ('yuyv', (0, 1))])
def test_yuv_with_shared_colour(encoding, order):
    luma = np.full((4, 8), 150, np.uint8)
    chroma = np.tile(np.array([90, 170], np.uint8), (4, 4))
    channels = [None, None]
    channels[order[0]], channels[order[1]] = luma, chroma
    found = decode_image(message(encoding, np.dstack(channels)))
    y, u, v = 1.164 * (150 - 16), 90 - 128, 170 - 128
    expected = (y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u)
    np.testing.assert_allclose(found[0, 0], expected, atol=2)


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, list,
                                  lambda data: array.array('B', data)])
def test_whatever_holds_the_bytes(kind):
    one = message('mono8', GRAY)
    one.data = kind(one.data.tobytes())
    np.testing.assert_array_equal(decode_message(one), GRAY)


def test_missing_padding_of_the_last_row_and_a_step_of_zero():
    one = message('mono8', GRAY, padding=3)
    one.data = one.data[:-3]
    np.testing.assert_array_equal(decode_image(one), GRAY)
    one = message('mono8', GRAY)
    one.step = 0
    np.testing.assert_array_equal(decode_image(one), GRAY)


@pytest.mark.parametrize('change, text', [
    ({'encoding': 'nv24'}, "unknown image encoding 'nv24', expected one of mono8"),
    ({'data': np.zeros(10, np.uint8)}, '8x6 has 10 bytes in rows of 8, expected 6 rows of at'),
    ({'step': 4}, 'in rows of 4'), ({'width': 0}, 'image of 0x6')])
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


def info(**change):
    k = [50.0, 0, 15, 0, 50, 11, 0, 0, 1]
    p = [45.0, 0, 16, -4, 0, 45, 12, 0, 0, 0, 1, 0]
    values = {'width': 32, 'height': 24, 'distortion_model': 'plumb_bob', 'd': [-0.1, 0, 0, 0, 0],
              'k': k, 'p': p, 'binning_x': 0, 'binning_y': 0,
              'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)}
    return SimpleNamespace(**{**values, **change})


def test_camera_info_of_raw_and_rectified_images():
    raw = camera_from_message(info())
    assert raw.model == 'plumb_bob' and raw.matrix[0, 0] == 50
    rectified = camera_from_message(info(), rectified=True)
    assert rectified.model == 'pinhole'
    np.testing.assert_array_equal(rectified.matrix, [[45, 0, 16], [0, 45, 12], [0, 0, 1]])


def test_camera_info_of_ros_1_and_of_drivers_that_send_no_size():
    old = info()
    for name in ('k', 'd', 'p'):
        setattr(old, name.upper(), vars(old).pop(name))
    assert camera_from_message(old).matrix[0, 0] == 50
    assert camera_from_message(info(width=0, height=0), image_wh=(32, 24)).size_wh == (32, 24)
