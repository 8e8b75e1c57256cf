# SPDX-License-Identifier: Apache-2.0
"""Fast DDS readers hang on the rest of a message in fragments that its writer has given up."""

from types import SimpleNamespace
from uuid import UUID

import pytest
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image

pytestmark = pytest.mark.embedded
SMALL, LARGE = 500, 200_000
FAST, CYCLONE = (
    UUID('010f78fd-5b0d-50bd-0000-000000001404'),
    UUID('01107e7e-bb79-e44e-4a98-08e800001303'),
)


class Writer:
    """A DDS writer whose readers have got `arrived` of what was sent."""

    _ref = 1

    def __init__(self, guid, reliable=True):
        from cyclonedds.core import Policy, Qos

        kind = Policy.Reliability.Reliable(0) if reliable else Policy.Reliability.BestEffort
        self.reader = SimpleNamespace(key=guid, qos=Qos(kind))
        self.all_arrived, self.waited, self.described = False, [], 0

    def get_matched_subscriptions(self):
        return [7]

    def get_matched_subscription_data(self, handle):
        self.described += 1
        return self.reader

    def _wait_for_acks(self, reference, patience):
        self.waited.append(patience)
        return 0 if self.all_arrived else -10


def window(writer, depth=3, is_latched=False):
    from embedded_ros.dds.send_window import SendWindow

    return SendWindow(writer, depth, is_latched)


def test_history_keeps_messages_until_they_arrive():
    writer = Writer(FAST)
    ours = window(writer)
    assert [ours.admits(LARGE) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not ours.admits(SMALL), 'a small one pushes as well'
    writer.all_arrived = True
    assert [ours.admits(LARGE) for _ in range(5)] == [True] * 5
    assert set(writer.waited) == {0} and writer.described == 1


def test_a_history_of_one_sends_one_at_a_time():
    ours = window(Writer(FAST), depth=1)
    assert [ours.admits(LARGE), ours.admits(LARGE)] == [True, False]


@pytest.mark.parametrize(
    ('guid', 'reliable', 'size'),
    [(CYCLONE, True, LARGE), (FAST, False, LARGE), (FAST, True, SMALL)],
)
def test_others_get_everything(guid, reliable, size):
    writer = Writer(guid, reliable)
    ours = window(writer, depth=1)
    assert all(ours.admits(size) for _ in range(9)) and not writer.waited


def test_a_latched_message_is_waited_with():
    writer = Writer(FAST)
    ours = window(writer, depth=5, is_latched=True)
    assert not ours.admits(LARGE), 'who joined late is still at the history'
    writer.all_arrived = True
    assert ours.admits(LARGE) and ours.admits(SMALL)
    assert all(patience > 0 for patience in writer.waited)


def test_a_reader_that_just_left_is_no_reader():
    """The reader left while it was asked about."""
    writer = Writer(FAST)
    writer.reader = None
    assert all(window(writer, depth=1).admits(LARGE) for _ in range(3))


def test_endpoints_of_ours_are_told_by_their_guid(make_node, spin_until):
    from embedded_ros.dds.send_window import CYCLONE as VENDOR

    node = make_node('a')
    publisher = node.create_publisher(Image, '/image', 1)
    node.create_subscription(Image, '/image', print, 1)
    assert spin_until(lambda: publisher.get_subscription_count() == 1)
    (handle,) = publisher._writer.get_matched_subscriptions()
    reader = publisher._writer.get_matched_subscription_data(handle)
    assert reader.key.bytes[:2] == VENDOR


def test_what_is_not_sent_is_told(make_node, spin_until, monkeypatch, capfd):
    node, images = make_node('camera'), []
    publisher = node.create_publisher(Image, '/image', 5)
    node.create_subscription(Image, '/image', images.append, 5)
    assert spin_until(lambda: publisher.get_subscription_count() == 1)
    monkeypatch.setattr(publisher._window, 'admits', lambda size: size < LARGE)
    publisher.publish(Image(data=bytes(LARGE)))
    publisher.publish(Image(data=bytes(SMALL)))
    assert spin_until(lambda: images)
    assert [len(image.data) for image in images] == [SMALL]
    assert 'bytes on /image is not sent: a reliable subscriber with' in capfd.readouterr().err


@pytest.mark.parametrize(
    ('profile', 'has_window'),
    [
        (QoSProfile(depth=4), True),
        (qos_profile_sensor_data, False),
        (QoSProfile(depth=4, durability=DurabilityPolicy.TRANSIENT_LOCAL), True),
        (QoSProfile(history=HistoryPolicy.KEEP_ALL), False),
    ],
)
def test_a_writer_that_gives_nothing_up_has_no_window(make_node, profile, has_window):
    publisher = make_node('camera').create_publisher(Image, '/image', profile)
    assert (publisher._window is not None) is has_window
