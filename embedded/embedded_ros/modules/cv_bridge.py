# SPDX-License-Identifier: Apache-2.0
"""Images of messages as arrays for OpenCV, and back."""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

__all__ = ['CvBridge', 'CvBridgeError']


class CvBridgeError(TypeError):
    """An encoding that is unknown or cannot be converted into the one wanted."""


class Encoding(NamedTuple):
    """Type of the elements, channels of the raw data, and the colour space ('' has none)."""

    dtype: np.dtype
    channels: int
    space: str


U8, U16 = np.dtype(np.uint8), np.dtype(np.uint16)
DEPTHS = {'8U': 'u1', '8S': 'i1', '16U': 'u2', '16S': 'i2', '32S': 'i4', '32F': 'f4', '64F': 'f8'}
NAMES = {np.dtype(code): name for name, code in DEPTHS.items()}
CHANNELS = {'GRAY': 1, 'BGR': 3, 'RGB': 3, 'BGRA': 4, 'RGBA': 4}
# Colour space in OpenCV's names, per encoding of sensor_msgs/image_encodings.
ENCODINGS = {
    'mono8': Encoding(U8, 1, 'GRAY'),
    'mono16': Encoding(U16, 1, 'GRAY'),
    **{
        f'{s.lower()}{bits}': Encoding(U8 if bits == 8 else U16, CHANNELS[s], s)
        for s in ('BGR', 'RGB', 'BGRA', 'RGBA')
        for bits in (8, 16)
    },
    **{
        f'bayer_{p}{bits}': Encoding(U8 if bits == 8 else U16, 1, f'Bayer{p.upper()}')
        for p in ('rggb', 'bggr', 'gbrg', 'grbg')
        for bits in (8, 16)
    },
    'yuv422': Encoding(U8, 2, 'YUV_UYVY'),
    'uyvy': Encoding(U8, 2, 'YUV_UYVY'),
    'yuv422_yuy2': Encoding(U8, 2, 'YUV_YUY2'),
    'yuyv': Encoding(U8, 2, 'YUV_YUY2'),
}


def encoding_of(name: str) -> Encoding:
    """Return the meaning of an encoding's name; CvBridgeError when it is unknown."""
    if name in ENCODINGS:
        return ENCODINGS[name]
    match = re.fullmatch(r'(8U|8S|16U|16S|32S|32F|64F)(?:C(\d+))?', name)
    if not match:
        raise CvBridgeError(f'Unrecognized image encoding [{name}]')
    return Encoding(np.dtype(DEPTHS[match[1]]), int(match[2] or 1), '')


class CvBridge:
    """Converts between messages and arrays."""

    def imgmsg_to_cv2(self, img_msg: Any, desired_encoding: str = 'passthrough') -> np.ndarray:
        """Return the image as (H, W) or (H, W, C); an array of its own, rows without padding."""
        source = encoding_of(img_msg.encoding)
        row_bytes = img_msg.width * source.channels * source.dtype.itemsize
        rows = img_msg.height
        if len(img_msg.data) < rows * img_msg.step or img_msg.step < row_bytes:
            raise CvBridgeError(
                f'Image is wrongly formed: {img_msg.width}x{img_msg.height} {img_msg.encoding} '
                f'with step {img_msg.step} and {len(img_msg.data)} bytes'
            )
        order = '>' if img_msg.is_bigendian else '<'
        data = np.frombuffer(img_msg.data, np.uint8, rows * img_msg.step)
        image = np.ascontiguousarray(data.reshape(rows, img_msg.step)[:, :row_bytes])
        image = image.view(source.dtype.newbyteorder(order)).astype(source.dtype, copy=True)
        if source.channels > 1:
            image = image.reshape(rows, img_msg.width, source.channels)
        return _converted(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = 'passthrough', header: Any = None
    ) -> Any:
        """Return a sensor_msgs/Image of an array (H, W) or (H, W, C)."""
        if not isinstance(cvim, np.ndarray):
            raise TypeError('Your input type is not a numpy array')
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        native = cvim.dtype.newbyteorder('=')
        if native not in NAMES:
            raise CvBridgeError(f'no encoding for an array of {cvim.dtype}')
        name = f'{NAMES[native]}C{channels}'
        if encoding != 'passthrough':
            wanted = encoding_of(encoding)
            if (wanted.dtype, wanted.channels) != (native, channels):
                raise CvBridgeError(
                    f'encoding specified as {encoding}, but image has incompatible type {name}'
                )
            name = encoding
        message = Image(
            height=cvim.shape[0],
            width=cvim.shape[1],
            encoding=name,
            step=cvim.shape[1] * channels * cvim.dtype.itemsize,
        )
        big = cvim.dtype.byteorder == '>' or (
            cvim.dtype.byteorder == '=' and sys.byteorder == 'big'
        )
        message.is_bigendian = int(big)
        if header is not None:
            message.header = header
        message.data.frombytes(np.ascontiguousarray(cvim).tobytes())
        return message

    def cv2_to_compressed_imgmsg(self, cvim: np.ndarray, dst_format: str = 'jpg') -> Any:
        """Return a sensor_msgs/CompressedImage of a BGR or gray array."""
        if not isinstance(cvim, np.ndarray):
            raise TypeError('Your input type is not a numpy array')
        done, data = cv2.imencode('.' + dst_format, cvim)
        if not done:
            raise CvBridgeError(f'cannot encode {cvim.dtype} {cvim.shape} as {dst_format}')
        message = CompressedImage(format=dst_format)
        message.data.frombytes(data.tobytes())
        return message


def _converted(image: np.ndarray, source_name: str, target_name: str) -> np.ndarray:
    if target_name in ('passthrough', source_name):
        return image
    source, target = encoding_of(source_name), encoding_of(target_name)
    if (
        bool(source.space) != bool(target.space)
        or (not source.space and source.channels != target.channels)
        or (target.space and target.space not in CHANNELS)
    ):
        raise CvBridgeError(f'[{source_name}] cannot be converted into [{target_name}]')
    image = _recoloured(image, source.space, target.space)
    if image.dtype == target.dtype:
        return image
    if source.space and {source.dtype, target.dtype} == {U8, U16}:
        scale = np.iinfo(target.dtype).max / np.iinfo(source.dtype).max
        return np.rint(image * scale).astype(target.dtype)
    return image.astype(target.dtype)


def _recoloured(image: np.ndarray, source: str, target: str) -> np.ndarray:
    if source == target:
        return image
    if source.startswith(('Bayer', 'YUV')):
        middle = source.replace('YUV_', '')
        code = f'COLOR_YUV2BGR_{middle}' if source.startswith('YUV') else f'COLOR_{source}2BGR'
        return _recoloured(cv2.cvtColor(image, getattr(cv2, code)), 'BGR', target)
    return cv2.cvtColor(image, getattr(cv2, f'COLOR_{source}2{target}'))
