# SPDX-License-Identifier: Apache-2.0
"""Depth and masks of a bag, joined with the images nearest in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dsac_ros.sources.bag_file import Message
from dsac_ros.sources.source import LeftOut

MAX_OFFSET_NS = 17_000_000  # half a frame at 30 Hz
PENDING = 8  # images that wait for what is beside them, at most


class ImageMessages(NamedTuple):
    """An image and what was recorded beside it; None where there is nothing near enough."""

    image: Message
    depth: Message | None
    mask: Message | None


class Beside:
    """The last messages of a topic that goes with the images; '' is no topic."""

    def __init__(self, topic: str, stamp: Callable[[Message], int]) -> None:
        """Takes the name of the topic and what reads a stamp."""
        self.topic, self._stamp = topic, stamp
        self.messages: deque[Message] = deque(maxlen=2 * PENDING)

    def nearest(self, image: Message) -> Message | None:
        """The message nearest to an image in time, None if none is near enough."""
        stamp = self._stamp(image)
        best = min(self.messages, key=lambda one: abs(self._stamp(one) - stamp), default=None)
        near = best is not None and abs(self._stamp(best) - stamp) <= MAX_OFFSET_NS
        return best if near else None

    def has_passed(self, image: Message) -> bool:
        """Return True if no nearer message will come: the topic has reached an image."""
        if not self.topic:
            return True
        return bool(self.messages) and self._stamp(self.messages[-1]) >= self._stamp(image)


def pair_messages(
    messages: Iterable[Message | LeftOut],
    image: str,
    depth: Beside,
    mask: Beside,
    stride: int,
) -> Iterator[ImageMessages | LeftOut]:
    """Every so-many-th image with its depth and mask; what is left out is passed on."""
    images: deque[Message] = deque()
    topics = {one.topic: one for one in (depth, mask) if one.topic}
    seen = 0
    for message in messages:
        if isinstance(message, LeftOut):
            yield message
            continue
        if message.topic in topics and message.topic != image:
            topics[message.topic].messages.append(message)
        else:
            if seen % stride == 0:
                images.append(message)
            seen += 1
        while images and (
            len(images) > PENDING or (depth.has_passed(images[0]) and mask.has_passed(images[0]))
        ):
            first = images.popleft()
            yield ImageMessages(first, depth.nearest(first), mask.nearest(first))
    for one in images:
        yield ImageMessages(one, depth.nearest(one), mask.nearest(one))
