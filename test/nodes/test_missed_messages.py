# SPDX-License-Identifier: Apache-2.0
"""Images that never reach a callback are counted by their numbers."""

from __future__ import annotations

import time

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from dsac_ros.nodes.missed_messages import HAS_MESSAGE_INFO, MAX_GAP, MissedMessages


def counted(numbers, name='publication_sequence_number'):
    missed = MissedMessages()
    for number in numbers:
        missed.add({name: number})
    return missed.count


@pytest.mark.parametrize(
    ('numbers', 'count'),
    [
        ([7, 8, 9], 0),
        ([7, 9, 12], 3),
        ([500, 1, 2, 4], 1),  # the publisher was started again
        ([900, 10, 901, 11, 903, 13], 2),  # two publishers
        ([1, 2, 3 + MAX_GAP, 5 + MAX_GAP], 1),
        ([5, 5, 4, 6], 0),  # nothing that a middleware should do
        ([None, None], 0),
    ],
)
def test_gaps(numbers, count):
    assert counted(numbers) == count
    assert counted(numbers, 'reception_sequence_number') == count


def test_the_number_of_the_publisher_goes_first():
    missed = MissedMessages()
    for published, received in ((1, 1), (4, 2), (5, 9)):
        missed.add(
            {
                'publication_sequence_number': published,
                'reception_sequence_number': received,
            }
        )
    assert missed.count == 2


def test_nothing_is_known_without_numbers():
    missed = MissedMessages()
    missed.add({'source_timestamp': 1})
    assert missed.count == 0


@pytest.mark.skipif(not HAS_MESSAGE_INFO, reason='Humble tells a callback the message alone')
def test_what_a_reader_replaces_is_counted(make_node, spin_until):
    """Delivered and missed are what was published, where the middleware numbers messages."""
    node, got, missed, infos = make_node('a'), [], MissedMessages(), []
    profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(String, 'x', profile)
    count = missed.counting(got.append)
    node.create_subscription(
        String, 'x', lambda message, info: (infos.append(info), count(message, info)), profile
    )
    assert spin_until(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(String(data='first'))
    assert spin_until(lambda: got)
    for i in range(30):
        publisher.publish(String(data=str(i)))
        time.sleep(0.005)
        if i % 10 == 9:
            assert spin_until(lambda last=str(i): got[-1].data == last)
    numbers = (infos[0]['publication_sequence_number'], infos[0]['reception_sequence_number'])
    if any(number is not None for number in numbers):
        assert len(got) < 31 and len(got) + missed.count == 31
