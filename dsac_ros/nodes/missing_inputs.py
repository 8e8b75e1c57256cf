# SPDX-License-Identifier: Apache-2.0
"""Why a topic brings nothing: who publishes it, or what else is published and how to get that.

Values of the ROS graph in, one sentence for a person out.
"""
from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
#: Last part of the topic on which image_transport publishes CompressedImage.
COMPRESSED = '/compressed'
#: Parts of the names of image topics that are seldom meant by an input without them.
UNUSUAL = ('depth', 'debug', 'disparity', 'mask', 'overlay', 'confidence')
MOST_CANDIDATES = 3
NO_NAME = '_NODE_NAME_UNKNOWN_'


@dataclass(frozen=True)
class Publisher:
    """A publisher on the graph; node is its full name, '' where the graph does not say it."""

    node: str
    topic: str
    kind: str
    reliable: bool = True
    latched: bool = False


@dataclass(frozen=True)
class Input:
    """A topic that a node listens to.

    Attributes:
        what: the plural of what it brings.
        name: the name that a remapping (-r name:=...) and the launch file's argument give it.
        topic: its full name after remapping.
        kind: the type of its messages.
        instead: other types that the node can take -> the parameter that asks for them.
        beside: a topic that comes from the same device.
        reliable: whether best effort publishers are not heard.
        latched: whether volatile publishers are not heard.
        shared: whether many publishers are as it should be.
        launch_name: the launch file's argument, where it has another name; None for no argument.
    """

    what: str
    name: str
    topic: str
    kind: str
    instead: Mapping[str, str] = field(default_factory=dict)
    beside: str = ''
    reliable: bool = False
    latched: bool = False
    shared: bool = False
    launch_name: str | None = ''

    @property
    def kinds(self) -> set[str]:
        """All types that the node can take, one at a time."""
        return {self.kind, *self.instead}


def explain(wanted: Input, publishers: Iterable[Publisher]) -> str:
    """The reason that nothing arrives and what to do about it.

    Args:
        wanted: the input.
        publishers: those of the graph, but not the node's own nor those of its other inputs.
    """
    publishers = list(publishers)
    here = [p for p in publishers if p.topic == wanted.topic]
    right = [p for p in here if p.kind == wanted.kind]
    if right:
        return incompatible(wanted, right) or _silent(wanted, right, publishers)
    if here:
        return _other_type(wanted, here)
    candidates = sorted((p for p in publishers if p.kind in wanted.kinds
                         and not p.topic.endswith('compressedDepth')),
                        key=lambda p: _rank(wanted, p))
    if candidates:
        return f'nobody publishes it; {_choice(wanted, candidates)}'
    transports = [p for p in publishers if p.topic.startswith(wanted.topic + '/')]
    if transports:
        other = transports[0]
        return (f'nobody publishes it; {_named([other])} publishes {other.topic} ({other.kind}), '
                'which this node does not read: have it republished as raw (the node republish '
                'of image_transport)')
    domain = os.environ.get('ROS_DOMAIN_ID') or '0'
    return (f'nobody publishes it, nor {wanted.what} on any other topic: is its node running, on '
            f'this network and with the same ROS_DOMAIN_ID ({domain})?')


def incompatible(wanted: Input, publishers: Iterable[Publisher]) -> str:
    """The publishers of the topic that cannot be heard because of their QoS; '' for none."""
    for publisher in publishers:
        if publisher.topic != wanted.topic or publisher.kind != wanted.kind:
            continue
        offered = [words for is_bad, words in (
            (wanted.reliable and not publisher.reliable, ('best effort', 'reliable')),
            (wanted.latched and not publisher.latched, ('volatile', 'transient local'))) if is_bad]
        if offered:
            was, expected = (' and '.join(words) for words in zip(*offered))
            return (f'{_named([publisher])} publishes it as {was}, expected {expected}: change '
                    'the QoS of its publisher (`ros2 bag play` takes '
                    '--qos-profile-overrides-path)')
    return ''


def mixed(wanted: Input, publishers: Iterable[Publisher]) -> str:
    """Several publishers on a topic that should come from one; '' otherwise."""
    here = [p for p in publishers if p.topic == wanted.topic and p.kind == wanted.kind]
    if len(here) < 2:
        return ''
    return (f'{len(here)} publishers on {wanted.topic} ({_named(here)}): their {wanted.what} are '
            f'mixed up; stop all but one, or remap {wanted.name} to a topic with one')


def _silent(wanted: Input, here: Sequence[Publisher], publishers: Sequence[Publisher]) -> str:
    """Publishers that could be heard and say nothing."""
    advice = f'check with `ros2 topic hz {wanted.topic}`'
    compressed = wanted.instead.get(COMPRESSED_IMAGE)
    if compressed and any(p.topic == wanted.topic + COMPRESSED for p in publishers):
        advice += f'; large images get lost on networks, {compressed} needs less'
    return f'{_named(here)} publishes it but sends nothing: {advice}'


def _other_type(wanted: Input, here: Sequence[Publisher]) -> str:
    """A topic that carries something else."""
    found = here[0]
    said = f'{_named(here)} publishes it as {found.kind}, expected {wanted.kind}'
    if found.kind in wanted.kinds:
        return f'{said}: {_start_with(wanted, found)}'
    return f'{said}: remap {wanted.name} to a topic of that type'


def _choice(wanted: Input, candidates: Sequence[Publisher]) -> str:
    """Describe what is published instead, likeliest first, and how to listen to the first."""
    topics = list(dict.fromkeys(p.topic for p in candidates))
    named = [f'{topic} (by {_named([p for p in candidates if p.topic == topic])})'
             for topic in topics[:MOST_CANDIDATES]]
    more = len(topics) - len(named)
    return (f'{wanted.what} found on {", ".join(named)}{f" and {more} more" if more else ""}: '
            f'{_start_with(wanted, candidates[0])}')


def _start_with(wanted: Input, publisher: Publisher) -> str:
    """The arguments that make the node listen to a publisher."""
    settings = [] if publisher.kind == wanted.kind else [wanted.instead[publisher.kind]]
    base, name, launch_name = base_of(publisher.topic, publisher.kind), wanted.name, (
        wanted.name if wanted.launch_name == '' else wanted.launch_name)
    if publisher.kind == COMPRESSED_IMAGE and base == publisher.topic:
        name, launch_name = wanted.name + COMPRESSED, None
    is_remapped = name == wanted.name and base == base_of(wanted.topic, wanted.kind)
    remaps = [] if is_remapped else [base]
    said = ' '.join(['start with', *(f'-r {name}:={one}' for one in remaps),
                     *(f'-p {one}' for one in settings)])
    if launch_name is None:
        return said
    launch = [*(f'{launch_name}:={one}' for one in remaps), *settings]
    return f'{said} (ros2 launch: {" ".join(launch)})'


def base_of(topic: str, kind: str) -> str:
    """The name to which `image` is remapped for a topic; the node appends /compressed itself."""
    return topic.removesuffix(COMPRESSED) if kind == COMPRESSED_IMAGE else topic


def _rank(wanted: Input, publisher: Publisher) -> tuple:
    """Sort key: what is most likely meant comes first."""
    base, own = (topic.removesuffix(COMPRESSED) for topic in (publisher.topic, wanted.topic))
    return (base != own, -_common(reversed(own.split('/')), reversed(base.split('/'))),
            -_common(wanted.beside.split('/'), base.split('/')),
            any((word in base.lower()) != (word in wanted.name) for word in UNUSUAL),
            publisher.kind != wanted.kind,
            publisher.topic)


def _common(a: Iterable[str], b: Iterable[str]) -> int:
    """The number of equal parts at the beginning of two names."""
    count = 0
    for one, other in zip(a, b):
        if one != other:
            break
        count += 1
    return count


def _named(publishers: Iterable[Publisher]) -> str:
    """The nodes of some publishers."""
    return ', '.join(dict.fromkeys(
        'an unnamed node' if not p.node or NO_NAME in p.node else p.node for p in publishers))
