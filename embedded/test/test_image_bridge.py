# SPDX-License-Identifier: Apache-2.0

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import Image
from std_msgs.msg import Header

BRIDGE = CvBridge()
RNG = np.random.default_rng(0)
COLOUR = cv2.GaussianBlur(RNG.integers(0, 255, (48, 64, 3), np.uint8), (0, 0), 4)


@pytest.mark.parametrize(
    ('shape', 'dtype', 'encoding'),
    [
        ((6, 8, 3), np.uint8, 'bgr8'),
        ((6, 8, 4), np.uint8, 'rgba8'),
        ((6, 8), np.uint8, 'mono8'),
        ((6, 8), np.uint16, 'mono16'),
        ((6, 8), np.uint16, '16UC1'),
        ((6, 8), np.float32, '32FC1'),
        ((6, 8), np.uint8, 'bayer_rggb8'),
        ((6, 8, 2), np.uint8, 'yuv422'),
    ],
)
def test_there_and_back(shape, dtype, encoding):
    image = RNG.integers(0, 200, shape).astype(dtype)
    message = BRIDGE.cv2_to_imgmsg(image, encoding, header=Header(frame_id='c'))
    assert (message.encoding, message.header.frame_id) == (encoding, 'c')
    assert message.step == 8 * image[0, 0].nbytes
    back = BRIDGE.imgmsg_to_cv2(message)
    assert back.dtype == dtype
    assert (back == image).all()
    back[:] = 0  # an array of its own


def test_passthrough_names_the_type():
    assert BRIDGE.cv2_to_imgmsg(np.zeros((2, 2, 3), np.uint8)).encoding == '8UC3'
    assert BRIDGE.cv2_to_imgmsg(np.zeros((2, 2), np.float32)).encoding == '32FC1'


@pytest.mark.parametrize(
    ('source', 'code'),
    [('rgb8', cv2.COLOR_BGR2RGB), ('mono8', cv2.COLOR_BGR2GRAY), ('bgra8', cv2.COLOR_BGR2BGRA)],
)
def test_colours_are_converted(source, code):
    message = BRIDGE.cv2_to_imgmsg(cv2.cvtColor(COLOUR, code), source)
    assert (
        BRIDGE.imgmsg_to_cv2(message, 'mono8') == cv2.cvtColor(COLOUR, cv2.COLOR_BGR2GRAY)
    ).mean() > 0.99
    if source != 'mono8':
        assert (BRIDGE.imgmsg_to_cv2(message, 'bgr8') == COLOUR).all()


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_mosaics_follow_the_order_of_their_name(pattern):
    mosaic = np.zeros((48, 64), np.uint8)
    for k, letter in enumerate(pattern):
        mosaic[k // 2 :: 2, k % 2 :: 2] = COLOUR[k // 2 :: 2, k % 2 :: 2, 'bgr'.index(letter)]
    message = BRIDGE.cv2_to_imgmsg(mosaic, f'bayer_{pattern}8')
    difference = BRIDGE.imgmsg_to_cv2(message, 'bgr8').astype(int) - COLOUR
    assert np.abs(difference[4:-4, 4:-4]).mean() < 4


def test_yuv_is_converted():
    grey = np.zeros((4, 8, 2), np.uint8)
    grey[..., 0], grey[..., 1] = 128, 150  # U and V without colour, then brightness
    for encoding, image in (('yuv422', grey), ('yuv422_yuy2', grey[..., ::-1])):
        message = BRIDGE.cv2_to_imgmsg(np.ascontiguousarray(image), encoding)
        colours = BRIDGE.imgmsg_to_cv2(message, 'bgr8')
        assert np.ptp(colours) <= 2 and abs(int(colours.mean()) - 156) <= 2


def test_rows_may_be_padded_and_bytes_swapped():
    values = np.arange(12, dtype=np.uint16).reshape(3, 4)
    padded = np.zeros((3, 6), '>u2')
    padded[:, :4] = values
    message = Image(
        height=3, width=4, step=12, encoding='mono16', is_bigendian=1, data=padded.tobytes()
    )
    assert (BRIDGE.imgmsg_to_cv2(message) == values).all()
    assert BRIDGE.imgmsg_to_cv2(message, 'mono8').dtype == np.uint8


def test_sixteen_bits_become_eight_by_scale():
    message = BRIDGE.cv2_to_imgmsg(np.full((2, 2), 65535, np.uint16), 'mono16')
    assert (BRIDGE.imgmsg_to_cv2(message, 'mono8') == 255).all()


@pytest.mark.parametrize(
    ('encoding', 'desired', 'named'),
    [
        ('nonsense', 'passthrough', 'nonsense'),
        ('mono8', 'nonsense', 'nonsense'),
        ('8UC1', 'bgr8', 'bgr8'),
        ('mono8', 'bayer_rggb8', 'bayer_rggb8'),
    ],
)
def test_encodings_that_do_not_go(encoding, desired, named):
    message = Image(height=1, width=1, step=1, encoding=encoding, data=b'a')
    with pytest.raises(CvBridgeError, match=named):
        BRIDGE.imgmsg_to_cv2(message, desired)


def test_an_image_with_too_few_bytes_is_refused():
    message = Image(height=2, width=2, step=6, encoding='rgb8', data=b'abc')
    with pytest.raises(TypeError):
        BRIDGE.imgmsg_to_cv2(message)


def test_compressed_images():
    message = BRIDGE.cv2_to_compressed_imgmsg(COLOUR, 'png')
    assert message.format == 'png'
    assert (cv2.imdecode(np.asarray(message.data), cv2.IMREAD_UNCHANGED) == COLOUR).all()
