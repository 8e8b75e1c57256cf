# SPDX-License-Identifier: Apache-2.0
"""Choice of the camera topics of a graph, as a user would for a relocalizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsac_ros.nodes.missing_inputs import (
    COMPRESSED,
    COMPRESSED_IMAGE,
    IMAGE,
    SECONDARY_WORDS,
    Publisher,
)
from dsac_ros.sources.bag_topics import CAMERA_INFO, info_topics_beside


@dataclass(frozen=True)
class Camera:
    """Topics of a camera, and the type of its images."""

    image: str
    kind: str
    info: str


def choose_camera(
    publishers: Sequence[Publisher], image: str | None, info: str | None, default: tuple[str, str]
) -> Camera:
    """Return the topics that are named, else the default if it is published, else the likeliest.

    Args:
        publishers: of images and camera_info on the graph.
        image: image topic that was named, with or without /compressed; None for none.
        info: camera_info topic that was named; None for none.
        default: image topic of a relocalizer that runs or would run, and its type.
    """
    found = [p for p in publishers if p.kind in (IMAGE, COMPRESSED_IMAGE)]
    topic, kind = default
    if image is not None:
        topic, kind = _named(found, image)
    elif not any(p.topic == topic for p in found):
        likely = [p for p in found if not p.topic.endswith('compressedDepth')]
        if likely:
            best = min(likely, key=_rank)
            topic, kind = best.topic, best.kind
    return Camera(topic, kind, info or _info(publishers, topic))


def _named(found: Sequence[Publisher], image: str) -> tuple[str, str]:
    image = image if image.startswith('/') else f'/{image}'
    for name in (image, image + COMPRESSED):
        for publisher in found:
            if publisher.topic == name:
                return name, publisher.kind
    return image, COMPRESSED_IMAGE if image.endswith(COMPRESSED) else IMAGE


def _rank(publisher: Publisher) -> tuple[bool, bool, str]:
    """Return a sort key that puts the likeliest camera first."""
    topic = publisher.topic.lower()
    secondary = any(word in topic for word in SECONDARY_WORDS)
    return secondary, publisher.kind != IMAGE, publisher.topic


def _info(publishers: Sequence[Publisher], image: str) -> str:
    topics = sorted({p.topic for p in publishers if p.kind == CAMERA_INFO})
    beside = info_topics_beside(image)
    for name in beside:
        if name in topics:
            return name
    if len(topics) == 1:
        return topics[0]
    return next(name for name in beside if name.endswith('/camera_info'))
