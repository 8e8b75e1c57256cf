# SPDX-License-Identifier: Apache-2.0
"""The topics of a bag that are the image, its intrinsics and its depth."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.errors import SourceError
from dsac_ros.sources.bag_file import BagFile
from dsac_ros.sources.topic_names import RECTIFIED, base_topic, is_rectified
from dsac_ros.sources.video_messages import header_of

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
VIDEO = (
    'foxglove_msgs/msg/CompressedVideo',
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
    'depthai_ros_msgs/msg/FFMPEGPacket',
)
DEPTH_TRANSPORTS = ('', '/compressedDepth', '/compressed')  # without loss first
MASK = 'valid_mask'  # last part of the name of a topic of masks: 0 where a pixel is not used
READ_TRANSPORTS = ('/compressed', '/ffmpeg', '/foxglove')


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera; depth and mask are '' where there is none.

    assumptions say what about them is a guess.
    """

    image: str
    info: str
    depth: str = ''
    assumptions: tuple[str, ...] = ()
    mask: str = ''

    @property
    def rectified(self) -> bool:
        """Return whether the image went through image_proc already, by its name."""
        return is_rectified(self.image)


def find_topics(
    bag: BagFile, image: str | None, info: str | None, depth: str, need_info: bool = True
) -> CameraTopics:
    """The topics named, or the only ones there are; SourceError lists them otherwise."""
    image = _image(bag, image)
    name, assumption = _info(bag, image, info) if need_info else ('', '')
    mask = _mask(bag, image)
    if mask:
        told = f'pixels of {image} that are 0 in {mask} are not used'
        return CameraTopics(
            image, name, _depth(bag, image, depth), (*filter(None, (assumption,)), told), mask
        )
    return CameraTopics(
        image, name, _depth(bag, image, depth), (assumption,) if assumption else ()
    )


def _mask(bag: BagFile, image: str) -> str:
    """The topic of the masks beside an image topic, as `dsac convert` names it; '' for none."""
    names = [t.name for t in bag.of_type(IMAGE)]
    found = f'{base_topic(image).rsplit("/", 1)[0]}/{MASK}'
    return found if found in names and found != image else ''


def _image(bag: BagFile, wanted: str | None) -> str:
    topics = [
        t.name
        for t in bag.of_type(IMAGE, COMPRESSED, *VIDEO)
        if not t.name.endswith(('/compressedDepth', f'/{MASK}'))
    ]
    if not topics:
        held = ', '.join(f'{topic.name} ({topic.type})' for topic in bag.topics.values())
        raise SourceError(
            f'{bag.path} has no topic of images or video that can be read, expected '
            f'one of {", ".join((IMAGE, COMPRESSED, *VIDEO))}; it holds '
            f'{held or "no topics"}'
        )
    listing = ', '.join(topics)
    if wanted is not None:
        # The name without the transport also means a compressed one, if that is all there is.
        for name in (wanted, *(f'{wanted}{suffix}' for suffix in READ_TRANSPORTS)):
            if name in topics:
                return name
        found = f' (it is a {bag.topics[wanted].type})' if wanted in bag.topics else ''
        raise SourceError(
            f'{bag.path} has no image topic {wanted!r}{found}, the image topics in '
            f'it are: {listing}'
        )
    bases = sorted({base_topic(t) for t in topics})
    colour = [b for b in bases if 'depth' not in b] or bases
    if len(colour) != 1:
        raise SourceError(
            f'{bag.path} has {len(colour)} cameras, expected one to be named; its '
            f'image topics are: {listing}'
        )
    return next(t for t in topics if base_topic(t) == colour[0])


def _info(bag: BagFile, image: str, wanted: str | None) -> tuple[str, str]:
    """The CameraInfo topic of the images, and what was assumed if its name does not say so."""
    topics = [t.name for t in bag.of_type(CAMERA_INFO)]
    names = [wanted] if wanted else info_topics_beside(image)
    found = next((name for name in names if name in topics), None)
    if found is not None:
        return found, ''
    frame = _frame_id(bag, image)
    frames = {topic: _frame_id(bag, topic) for topic in topics}
    listing = ', '.join(f'{topic} (frame {frames[topic]!r})' for topic in topics) or 'none'
    if wanted is None:
        same = [topic for topic in topics if frames[topic] == frame] if frame else []
        if len(same) == 1:
            return same[0], (
                f'{same[0]} holds for {image}, since it alone has the frame_id '
                f'{frame!r}; --camera-info names another'
            )
        if len(topics) == 1 and not (frame and frames[topics[0]]):
            return topics[0], (
                f'{topics[0]} holds for {image}, since it is the only CameraInfo; '
                '--camera-info names another'
            )
    usual = next(name for name in names if wanted or name.endswith('/camera_info'))
    raise SourceError(
        f'{bag.path} has no camera_info {usual}, the CameraInfo topics in it '
        f'are: {listing}; the images have the frame {frame!r}: name one with '
        '--camera-info, or give a calibration file'
    )


def info_topics_beside(image: str) -> list[str]:
    """The topics that may be the CameraInfo of an image topic, the preferred one first."""
    base = base_topic(image)
    *above, folder, _ = ['', *base.split('/')]
    beside = base.rsplit('/', 1)[0]
    rectified = is_rectified(image)
    names = [
        f'{beside}/camera_info_{"rect" if rectified else "raw"}',
        f'{beside}/camera_info',
        f'{base}/camera_info',
    ]
    if folder in RECTIFIED:
        names.append(f'{"/".join(above[1:])}/camera_info')
    return names


def _frame_id(bag: BagFile, topic: str) -> str:
    """The frame_id of the first message of a topic that can be read; '' where there is none."""
    first = next(bag.messages([topic], lambda *_: None), None)
    return header_of(first.content).frame_id.lstrip('/') if first else ''


def _depth(bag: BagFile, image: str, wanted: str) -> str:
    """The depth topic: '' for off; 'auto' takes the only one that is registered by its name."""
    topics = [t.name for t in bag.of_type(IMAGE, COMPRESSED)]
    if wanted in ('', 'off'):
        return ''
    if wanted != 'auto':
        for suffix in DEPTH_TRANSPORTS:
            if f'{wanted}{suffix}' in topics:
                return f'{wanted}{suffix}'
        raise SourceError(
            f'{bag.path} has no depth topic {wanted!r}, its image topics are: {", ".join(topics)}'
        )
    registered = [
        t for t in topics if t != image and 'depth' in t and ('aligned' in t or 'registered' in t)
    ]
    if len({base_topic(t) for t in registered}) != 1:
        return ''
    base = base_topic(registered[0])
    return min(
        registered,
        key=lambda t: (
            DEPTH_TRANSPORTS.index(t.removeprefix(base))
            if t.removeprefix(base) in DEPTH_TRANSPORTS
            else len(DEPTH_TRANSPORTS)
        ),
    )
