# SPDX-License-Identifier: Apache-2.0
"""Checks of a bag: what the nodes, or `dsac map`, would find in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from dsac_ros.errors import DsacError, SourceError
from dsac_ros.nodes.doctor.camera import CameraRecord, camera_findings, focal_finding
from dsac_ros.nodes.doctor.finding import Finding, fail, ok, warn
from dsac_ros.nodes.doctor.tf import Frames, TfRecord, tf_findings
from dsac_ros.nodes.tf_edges import STATIC_AFTER_S, TfEdges
from dsac_ros.sources.bag_file import BagFile, Message
from dsac_ros.sources.bag_topics import CAMERA_INFO, VIDEO, CameraTopics, find_topics
from dsac_ros.sources.image_messages import decode_message, stamp_ns

#: Images that are looked at: enough for their rate, few enough for a long bag.
MAX_IMAGES = 200
#: Clocks that are further apart were not set by each other [s].
SAME_CLOCK_S = 60.0
TF_TOPICS = ('/tf', '/tf_static')
FOREVER_S = 1e9


def bag_findings(
    path: Path,
    image: str | None,
    info: str | None,
    frames: Frames,
    header: dict[str, Any] | None = None,
) -> list[Finding]:
    """Check a bag.

    Args:
        path: of the bag.
        image: image topic; None: the only one there is.
        info: camera_info topic; None: that of the images.
        frames: names of the frames; an empty camera is that of the images.
        header: of a map, to compare the camera with; None or {} for none.
    """
    try:
        bag = BagFile(path)
        topics = topics_of(bag, image, info)
        found = [bag_finding(bag)]
        if bag.topics[topics.image].type in VIDEO:
            return [*found, video_finding(topics.image)]
        record = camera_record(bag, topics)
    except (DsacError, OSError) as error:
        return [fail('bag', str(error))]
    camera_found, camera = camera_findings(record, decode_message)
    found += camera_found
    if header and camera is not None:
        found.append(focal_finding(camera, header))
    if record.image is not None and not frames.camera:
        frames = replace(frames, camera=record.image.header.frame_id)
    try:
        return found + tf_of_bag(bag, frames, record.stamps)
    except SourceError as error:
        return [*found, fail('TF', str(error))]


def topics_of(bag: BagFile, image: str | None, info: str | None) -> CameraTopics:
    """Return the topics of the camera; without camera_info those of the images alone."""
    if info is None and not bag.of_type(CAMERA_INFO):
        return find_topics(bag, image, None, '', need_info=False)
    return find_topics(bag, image, info, '')


def bag_finding(bag: BagFile) -> Finding:
    """Tell what the bag holds."""
    counts = sum(topic.count for topic in bag.topics.values())
    return ok('bag', f'{bag.path}, {counts} messages of {len(bag.topics)} topics')


def video_finding(topic: str) -> Finding:
    """Tell that video cannot be played to a node."""
    return warn(
        'images',
        f'{topic} is video, which `dsac map` and `dsac evaluate` read and the nodes do not: '
        '`dsac convert` makes images of it',
    )


def camera_record(bag: BagFile, topics: CameraTopics) -> CameraRecord:
    """Read the first images of a bag, and a camera_info."""
    record = CameraRecord(
        topics.image,
        topics.info,
        missing_images=f'{topics.image} holds no image that can be read',
        missing_info='the bag holds no camera_info: record it, or give `dsac map` a calibration '
        'with --camera-info FILE',
    )
    if topics.info:
        record.info = next((m.content for m in readable(bag, topics.info)), None)
    for message in islice(readable(bag, topics.image), MAX_IMAGES):
        record.image = message.content
        record.stamps.append(stamp_ns(message.content.header.stamp))
    return record


def readable(bag: BagFile, *topics: str) -> Iterator[Message]:
    """Yield the messages of topics that can be deserialized."""
    return bag.messages(topics, lambda *_: None)


def tf_of_bag(bag: BagFile, frames: Frames, image_stamps: list[int]) -> list[Finding]:
    """Check the transforms of a bag, and that they are of the time of the images."""
    topics = [topic for topic in TF_TOPICS if topic in bag.topics]
    if not topics:
        return [
            warn(
                'TF',
                'the bag holds no transforms: record /tf and /tf_static, or give poses to '
                '`dsac map` with --poses',
            )
        ]
    edges = TfEdges(FOREVER_S)
    newest = 0
    for message in readable(bag, *topics):
        for one in message.content.transforms:
            stamp = stamp_ns(one.header.stamp)
            is_static = message.topic == '/tf_static'
            edges.add(one.header.frame_id, one.child_frame_id, stamp, is_static, 0.0)
            newest = newest if is_static else max(newest, stamp)
    stamp = image_stamps[-1] if image_stamps else newest
    record = TfRecord(edges, stamp, now_s=STATIC_AFTER_S + 1.0)
    found = tf_findings(record, frames)
    apart = (newest - stamp) / 1e9
    if newest and image_stamps and apart < -SAME_CLOCK_S:
        found.append(
            fail(
                'clock',
                f'the newest transform is {-apart:.0f} s older than the images: were both stamped '
                'with the same clock (use_sim_time)?',
            )
        )
    return found
