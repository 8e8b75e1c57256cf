# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are the image, its intrinsics and its depth."""
from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.errors import SourceError
from dsac_ros.sources.bag_file import BagFile

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
VIDEO = ('foxglove_msgs/msg/CompressedVideo', 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
         'depthai_ros_msgs/msg/FFMPEGPacket')
TRANSPORTS = ('/compressed', '/compressedDepth', '/theora', '/zstd', '/ffmpeg', '/foxglove')
READ_TRANSPORTS = ('/compressed', '/ffmpeg', '/foxglove')


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera; depth is '' where there is none."""

    image: str
    info: str
    depth: str = ''

    @property
    def rectified(self) -> bool:
        """Whether the image went through image_proc already, by its name."""
        return 'rect' in base_topic(self.image).rsplit('/', 1)[-1]


def base_topic(topic: str) -> str:
    """A topic without the suffix of image_transport."""
    return next((topic.removesuffix(s) for s in TRANSPORTS if topic.endswith(s)), topic)


def find_topics(bag: BagFile, image: str | None, info: str | None, depth: str,
                need_info: bool = True) -> CameraTopics:
    """The topics named, or the only ones there are; SourceError lists them otherwise."""
    image = _image(bag, image)
    return CameraTopics(image, _info(bag, image, info) if need_info else '',
                        _depth(bag, image, depth))


def _image(bag: BagFile, wanted: str | None) -> str:
    topics = [t.name for t in bag.of_type(IMAGE, COMPRESSED, *VIDEO)
              if not t.name.endswith('/compressedDepth')]
    listing = ', '.join(topics) or 'none'
    if wanted is not None:
        # The name without the transport also means a compressed one, if that is all there is.
        for name in (wanted, *(f'{wanted}{suffix}' for suffix in READ_TRANSPORTS)):
            if name in topics:
                return name
        raise SourceError(f'{bag.path} has no image topic {wanted!r}, the image topics in it are: '
                          f'{listing}')
    bases = sorted({base_topic(t) for t in topics})
    colour = [b for b in bases if 'depth' not in b] or bases
    if len(colour) != 1:
        raise SourceError(f'{bag.path} has {len(colour)} cameras, expected one to be named; its '
                          f'image topics are: {listing}')
    return next(t for t in topics if base_topic(t) == colour[0])


def _info(bag: BagFile, image: str, wanted: str | None) -> str:
    topics = [t.name for t in bag.of_type(CAMERA_INFO)]
    beside = base_topic(image).rsplit('/', 1)[0] + '/camera_info'
    name = wanted or beside
    if name in topics:
        return name
    if wanted is None and len(topics) == 1:
        return topics[0]
    raise SourceError(f'{bag.path} has no camera_info {name}, the CameraInfo topics in it are: '
                      f'{", ".join(topics) or "none"}; name one, or give a calibration file')


def _depth(bag: BagFile, image: str, wanted: str) -> str:
    """The depth topic: '' for off; 'auto' takes the only one that is registered by its name."""
    topics = [t.name for t in bag.of_type(IMAGE, COMPRESSED)]
    if wanted in ('', 'off'):
        return ''
    if wanted != 'auto':
        if wanted not in topics:
            raise SourceError(f'{bag.path} has no depth topic {wanted!r}, its image topics are: '
                              f'{", ".join(topics)}')
        return wanted
    registered = [t for t in topics if t != image and 'depth' in t
                  and ('aligned' in t or 'registered' in t)]
    bases = {base_topic(t) for t in registered}
    return registered[0] if len(bases) == 1 else ''
