# SPDX-License-Identifier: Apache-2.0
"""Names of image topics: the transport, and the mark of rectified images."""

from __future__ import annotations

TRANSPORTS = ('/compressed', '/compressedDepth', '/theora', '/zstd', '/ffmpeg', '/foxglove')
RECTIFIED = ('rect', 'rectified', 'undistorted')


def base_topic(topic: str) -> str:
    """A topic without the suffix of image_transport."""
    return next((topic.removesuffix(s) for s in TRANSPORTS if topic.endswith(s)), topic)


def is_rectified(topic: str) -> bool:
    """Return whether an image went through rectification by its name.

    That is a word of the last part (image_rect, image_rect_color) or the whole part before it
    (rect/image); image_direct or a camera named direct are none.
    """
    *_, folder, name = ['', *base_topic(topic).lower().split('/')]
    return folder in RECTIFIED or any(word in RECTIFIED for word in name.split('_'))
