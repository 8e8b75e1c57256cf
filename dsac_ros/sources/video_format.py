# SPDX-License-Identifier: Apache-2.0
"""Names of video formats in messages, as drivers and encoders write them."""

from __future__ import annotations

from typing import Any

from dsac_ros.errors import ImageError

# The names of formats in messages -> FFmpeg's of the format.
FORMATS = {
    'h264': 'h264',
    'avc': 'h264',
    'h265': 'hevc',
    'hevc': 'hevc',
    'vp8': 'vp8',
    'vp9': 'vp9',
    'av1': 'av1',
    'mpeg4': 'mpeg4',
}
# Encoders whose names do not begin with the format, as older ffmpeg_image_transports send them.
ENCODERS = {
    'libx264': 'h264',
    'libx264rgb': 'h264',
    'libopenh264': 'h264',
    'libx265': 'hevc',
    'libvpx': 'vp8',
    'libvpx-vp9': 'vp9',
    'libaom-av1': 'av1',
    'libsvtav1': 'av1',
    'librav1e': 'av1',
}


def video_format(content: Any) -> str:
    """FFmpeg's name of the video format in a message, '' for an image.

    Besides video messages, drivers put H.264 into Image and CompressedImage.
    """
    text = content.format if hasattr(content, 'format') else getattr(content, 'encoding', '')
    name = text.partition(';')[0].strip().lower()
    found = FORMATS.get(name) or ENCODERS.get(name) or FORMATS.get(name.partition('_')[0], '')
    if not found and (hasattr(content, 'pts') or hasattr(content, 'timestamp')):
        raise ImageError(
            f'video has the format {text!r}, expected one of {", ".join((*FORMATS, *ENCODERS))}'
        )
    return found


def refuse_video(content: Any) -> None:
    """Raise ImageError for a message with video, which one image alone does not decode."""
    if video_format(content):
        raise ImageError(
            'the message holds video, which is not decoded live: have it decoded into'
            ' images, such as by `ros2 run image_transport republish`'
        )
