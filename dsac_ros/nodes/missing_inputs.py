# SPDX-License-Identifier: Apache-2.0
"""Diagnosis of missing inputs from the ROS graph: publishers, alternatives and remedies.

Pure functions from graph data to one sentence for the user.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
#: Last part of the topic on which image_transport publishes CompressedImage.
COMPRESSED = '/compressed'
#: Words in topic names of secondary images, which an input without them rarely means.
SECONDARY_WORDS = ('depth', 'debug', 'disparity', 'mask', 'overlay', 'confidence')
MAX_NAMED_TOPICS = 3
NO_NAME = '_NODE_NAME_UNKNOWN_'


@dataclass(frozen=True)
class Publisher:
    """A publisher on the graph; `node` is its full name, '' if unknown."""

    node: str
    topic: str
    kind: str
    reliable: bool = True
    latched: bool = False


@dataclass(frozen=True)
class Input:
    """A topic that a node subscribes to.

    Attributes:
        what: plural noun for its messages.
        name: name in a remapping (-r name:=...) and of the launch argument.
        topic: full name after remapping.
        kind: type of its messages.
        instead: other accepted types -> the parameter that selects them.
        beside: a topic of the same device.
        reliable: best effort publishers are incompatible.
        latched: volatile publishers are incompatible.
        shared: several publishers are expected.
        launch_name: name of the launch argument, if it differs; None for no argument.
        otherwise: what can take the place of the topic, for reasons.
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
    otherwise: str = ''

    @property
    def kinds(self) -> set[str]:
        """All types that the node accepts, one at a time."""
        return {self.kind, *self.instead}


def explain(wanted: Input, publishers: Iterable[Publisher]) -> str:
    """Return the reason why no message arrives, and the remedy.

    Args:
        wanted: the input.
        publishers: all on the graph, except the node's own and those of its other inputs.
    """
    publishers = list(publishers)
    here = [p for p in publishers if p.topic == wanted.topic]
    right = [p for p in here if p.kind == wanted.kind]
    if right:
        return incompatible(wanted, right) or _silent(wanted, right, publishers)
    if here:
        return _other_type(wanted, here)
    candidates = sorted(
        (
            p
            for p in publishers
            if p.kind in wanted.kinds and not p.topic.endswith('compressedDepth')
        ),
        key=lambda p: _rank(wanted, p),
    )
    if candidates:
        return f'nobody publishes it; {_alternatives(wanted, candidates)}'
    transports = [p for p in publishers if p.topic.startswith(wanted.topic + '/')]
    if transports:
        other = transports[0]
        return (
            f'nobody publishes it; {_node_names([other])} publishes {other.topic} ({other.kind}), '
            'which this node does not read: have it republished as raw (the node republish '
            'of image_transport)'
        )
    domain = os.environ.get('ROS_DOMAIN_ID') or '0'
    return (
        f'nobody publishes it, nor {wanted.what} on any other topic: is its node running, on '
        f'this network and with the same ROS_DOMAIN_ID ({domain})?'
        + (f' {wanted.otherwise[:1].upper()}{wanted.otherwise[1:]}' if wanted.otherwise else '')
    )


def incompatible(wanted: Input, publishers: Iterable[Publisher]) -> str:
    """Return a description of publishers with incompatible QoS; '' for none."""
    for publisher in publishers:
        if publisher.topic != wanted.topic or publisher.kind != wanted.kind:
            continue
        offered = [
            words
            for is_bad, words in (
                (wanted.reliable and not publisher.reliable, ('best effort', 'reliable')),
                (wanted.latched and not publisher.latched, ('volatile', 'transient local')),
            )
            if is_bad
        ]
        if offered:
            was, expected = (' and '.join(words) for words in zip(*offered))
            return (
                f'{_node_names([publisher])} publishes it as {was}, expected {expected}: change '
                'the QoS of its publisher (`ros2 bag play` takes '
                '--qos-profile-overrides-path)'
            )
    return ''


def mixed(wanted: Input, publishers: Iterable[Publisher]) -> str:
    """Return a description of several publishers on a topic meant for one; '' otherwise."""
    here = [p for p in publishers if p.topic == wanted.topic and p.kind == wanted.kind]
    if len(here) < 2:
        return ''
    return (
        f'{len(here)} publishers on {wanted.topic} ({_node_names(here)}): their {wanted.what} are '
        f'mixed up; stop all but one, or remap {wanted.name} to a topic with one'
    )


def _silent(wanted: Input, here: Sequence[Publisher], publishers: Sequence[Publisher]) -> str:
    """Return a description of compatible publishers that send nothing."""
    advice = f'check with `ros2 topic hz {wanted.topic}`'
    compressed = wanted.instead.get(COMPRESSED_IMAGE)
    if compressed and any(p.topic == wanted.topic + COMPRESSED for p in publishers):
        advice += f'; large images get lost on networks, {compressed} needs less'
    return f'{_node_names(here)} publishes it but sends nothing: {advice}'


def _other_type(wanted: Input, here: Sequence[Publisher]) -> str:
    """Return a description of a topic of another type."""
    found = here[0]
    reason = f'{_node_names(here)} publishes it as {found.kind}, expected {wanted.kind}'
    if found.kind in wanted.kinds:
        return f'{reason}: {_arguments_for(wanted, found)}'
    return f'{reason}: remap {wanted.name} to a topic of that type'


def _alternatives(wanted: Input, candidates: Sequence[Publisher]) -> str:
    """Return a description of other topics, most likely first, and how to select the first."""
    topics = list(dict.fromkeys(p.topic for p in candidates))
    named = [
        f'{topic} (by {_node_names([p for p in candidates if p.topic == topic])})'
        for topic in topics[:MAX_NAMED_TOPICS]
    ]
    more = len(topics) - len(named)
    return (
        f'{wanted.what} found on {", ".join(named)}{f" and {more} more" if more else ""}: '
        f'{_arguments_for(wanted, candidates[0])}'
    )


def _arguments_for(wanted: Input, publisher: Publisher) -> str:
    """Return the command line arguments that select a publisher."""
    settings = [] if publisher.kind == wanted.kind else [wanted.instead[publisher.kind]]
    base, name, launch_name = (
        remapping_of(publisher.topic, publisher.kind),
        wanted.name,
        (wanted.name if wanted.launch_name == '' else wanted.launch_name),
    )
    if publisher.kind == COMPRESSED_IMAGE and base == publisher.topic:
        name, launch_name = wanted.name + COMPRESSED, None
    is_remapped = name == wanted.name and base == remapping_of(wanted.topic, wanted.kind)
    remaps = [] if is_remapped else [base]
    reason = ' '.join(
        [
            'start with',
            *(f'-r {name}:={one}' for one in remaps),
            *(f'-p {one}' for one in settings),
        ]
    )
    if launch_name is None:
        return reason
    launch = [*(f'{launch_name}:={one}' for one in remaps), *settings]
    return f'{reason} (ros2 launch: {" ".join(launch)})'


def remapping_of(topic: str, kind: str) -> str:
    """Return the name to remap `image` to for a topic; the node appends /compressed itself."""
    return topic.removesuffix(COMPRESSED) if kind == COMPRESSED_IMAGE else topic


def _rank(wanted: Input, publisher: Publisher) -> tuple[bool, int, int, bool, bool, str]:
    """Return a sort key that puts the most likely topic first."""
    base, own = (topic.removesuffix(COMPRESSED) for topic in (publisher.topic, wanted.topic))
    return (
        base != own,
        -_common_prefix_length(reversed(own.split('/')), reversed(base.split('/'))),
        -_common_prefix_length(wanted.beside.split('/'), base.split('/')),
        any((word in base.lower()) != (word in wanted.name) for word in SECONDARY_WORDS),
        publisher.kind != wanted.kind,
        publisher.topic,
    )


def _common_prefix_length(a: Iterable[str], b: Iterable[str]) -> int:
    """Return the number of equal parts at the beginning of two names."""
    count = 0
    for one, other in zip(a, b):
        if one != other:
            break
        count += 1
    return count


def _node_names(publishers: Iterable[Publisher]) -> str:
    """Return the names of the nodes of some publishers."""
    return ', '.join(
        dict.fromkeys(
            'an unnamed node' if not p.node or NO_NAME in p.node else p.node for p in publishers
        )
    )
