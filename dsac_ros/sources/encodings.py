# SPDX-License-Identifier: Apache-2.0
"""The encodings of sensor_msgs/Image that are read, and how their pixels lie in memory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2


@dataclass(frozen=True)
class Chroma:
    """Colour that lies behind a plane of brightness.

    A value of U and V serves columns x rows pixels; interleaved: one plane of pairs, else two
    planes; v_first: V before U.
    """

    columns: int
    rows: int
    interleaved: bool = True
    v_first: bool = False


@dataclass(frozen=True)
class Encoding:
    """The memory layout of pixels.

    dtype: numpy's letters for one channel without the byte order, u1 or u2.
    to_rgb: OpenCV's conversion from the stored channels; None for gray, or RGB already.
    chroma: where the colour lies, of planar encodings.
    """

    dtype: str
    channels: int = 1
    to_rgb: int | None = None
    chroma: Chroma | None = None


ENCODINGS: dict[str, Encoding] = {
    'mono8': Encoding('u1'),
    '8UC1': Encoding('u1'),
    'mono16': Encoding('u2'),
    '16UC1': Encoding('u2'),
    'rgb8': Encoding('u1', 3),
    'rgb16': Encoding('u2', 3),
    'bgr8': Encoding('u1', 3, cv2.COLOR_BGR2RGB),
    '8UC3': Encoding('u1', 3, cv2.COLOR_BGR2RGB),
    'bgr16': Encoding('u2', 3, cv2.COLOR_BGR2RGB),
    '16UC3': Encoding('u2', 3, cv2.COLOR_BGR2RGB),
    'rgba8': Encoding('u1', 4, cv2.COLOR_RGBA2RGB),
    'rgba16': Encoding('u2', 4, cv2.COLOR_RGBA2RGB),
    'bgra8': Encoding('u1', 4, cv2.COLOR_BGRA2RGB),
    'bgra16': Encoding('u2', 4, cv2.COLOR_BGRA2RGB),
    '8UC4': Encoding('u1', 4, cv2.COLOR_BGRA2RGB),
    '16UC4': Encoding('u2', 4, cv2.COLOR_BGRA2RGB),
    'yuv422': Encoding('u1', 2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': Encoding('u1', 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': Encoding('u1', 2, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': Encoding('u1', 2, cv2.COLOR_YUV2RGB_YUY2),
    'yvyu': Encoding('u1', 2, cv2.COLOR_YUV2RGB_YVYU),
    'nv12': Encoding('u1', chroma=Chroma(2, 2)),
    'nv21': Encoding('u1', chroma=Chroma(2, 2, v_first=True)),
    'nv16': Encoding('u1', chroma=Chroma(2, 1)),
    'nv61': Encoding('u1', chroma=Chroma(2, 1, v_first=True)),
    'nv24': Encoding('u1', chroma=Chroma(1, 1)),
    'nv42': Encoding('u1', chroma=Chroma(1, 1, v_first=True)),
    'i420': Encoding('u1', chroma=Chroma(2, 2, interleaved=False)),
    'yv12': Encoding('u1', chroma=Chroma(2, 2, interleaved=False, v_first=True)),
}
# OpenCV names a Bayer pattern by its second row, ROS by its first.
for _pattern, _code in (
    ('rggb', cv2.COLOR_BayerBG2RGB),
    ('bggr', cv2.COLOR_BayerRG2RGB),
    ('gbrg', cv2.COLOR_BayerGR2RGB),
    ('grbg', cv2.COLOR_BayerGB2RGB),
):
    ENCODINGS[f'bayer_{_pattern}8'] = Encoding('u1', 1, _code)
    ENCODINGS[f'bayer_{_pattern}16'] = Encoding('u2', 1, _code)
_BY_LOWER_NAME = {name.lower(): encoding for name, encoding in ENCODINGS.items()}


def find_encoding(name: str) -> Encoding | None:
    """The encoding of a name, in whatever case drivers write it; None where it is unknown."""
    return _BY_LOWER_NAME.get(name.strip().lower())
