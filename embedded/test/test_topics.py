# SPDX-License-Identifier: Apache-2.0
import sys
import time

import numpy as np
import pytest
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

LOOSE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

TALKER = """
import sys
from embedded_ros import install
install()
import numpy as np, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node('talker', namespace='/far')
images = node.create_publisher(Image, '/image', qos_profile_sensor_data)
texts = node.create_publisher(String, '/text', 10)
pixels = np.arange(480 * 640 * 3, dtype=np.uint32).astype(np.uint8).tobytes()
image = Image(height=480, width=640, step=1920, encoding='rgb8', data=pixels)
def tick():
    images.publish(image)
    texts.publish(String(data='hello'))
node.create_timer(0.03, tick)
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    print('interrupted')
rclpy.try_shutdown()
"""


def test_images_and_texts_from_another_process(make_node, spin_until, run_process):
    process = run_process([sys.executable, '-c', TALKER])
    node, images, texts = make_node('listener'), [], []
    node.create_subscription(Image, 'image', images.append, qos_profile_sensor_data)
    node.create_subscription(String, 'text', texts.append, 10)
    assert spin_until(lambda: len(images) > 5 and len(texts) > 5, 20.0)
    expected = np.arange(480 * 640 * 3, dtype=np.uint32).astype(np.uint8)
    assert (np.frombuffer(images[-1].data, np.uint8) == expected).all()
    assert texts[-1].data == 'hello'
    assert ('talker', '/far') in node.get_node_names_and_namespaces()
    assert node.count_publishers('/image') == 1
    (info,) = node.get_publishers_info_by_topic('/image')
    assert (info.node_name, info.node_namespace) == ('talker', '/far')
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert info.topic_type == 'sensor_msgs/msg/Image'
    assert process.stop() == 0
    assert 'interrupted' in process.output
    assert spin_until(lambda: node.count_publishers('/image') == 0)
    assert ('talker', '/far') not in node.get_node_names_and_namespaces()


def test_reliable_subscriber_gets_no_best_effort_data(make_node, spin_until):
    node, got, wrong = make_node('a'), [], []
    publisher = node.create_publisher(String, 'x', qos_profile_sensor_data)
    node.create_subscription(String, 'x', wrong.append, 10)
    node.create_subscription(String, 'x', got.append, qos_profile_sensor_data)
    assert spin_until(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(String(data='1'))
    assert spin_until(lambda: got)
    assert not wrong


def test_qos_that_does_not_match_is_told_on_both_sides(make_node, spin_until, capfd):
    from rclpy.event_handler import SubscriptionEventCallbacks

    node, told = make_node('a'), []
    node.create_publisher(String, 'x', qos_profile_sensor_data)
    node.create_subscription(
        String,
        'x',
        lambda message: None,
        10,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=told.append),
    )
    assert spin_until(lambda: told)
    assert (told[0].total_count, told[0].last_policy_kind) == (1, QoSPolicyKind.RELIABILITY)
    shown = []
    assert spin_until(
        lambda: shown.append(capfd.readouterr().err) or 'incompatible QoS' in ''.join(shown)
    )
    assert 'New subscription discovered on topic' in ''.join(shown)


def test_a_late_subscriber_gets_what_is_latched(make_node, spin_until):
    node, got = make_node('a'), []
    node.create_publisher(String, 'latched', LATCHED).publish(String(data='kept'))
    node.create_subscription(String, 'latched', got.append, LATCHED)
    assert spin_until(lambda: got)
    assert got[0].data == 'kept'


def test_a_queue_of_one_keeps_the_newest(make_node, spin_until):
    node, got = make_node('a'), []
    publisher = node.create_publisher(String, 'x', 10)
    node.create_subscription(String, 'x', got.append, 1)
    assert spin_until(lambda: publisher.get_subscription_count() == 1)
    for i in range(5):
        publisher.publish(String(data=str(i)))
    time.sleep(0.3)  # all five arrive before the callback runs for the first time
    assert spin_until(lambda: got)
    assert [m.data for m in got] == ['4']


def test_a_callback_may_take_the_message_info(make_node, spin_until):
    """Gaps in the numbers tell of messages that newer ones replaced while they waited."""
    node, got = make_node('a'), []
    publisher = node.create_publisher(String, 'x', qos_profile_sensor_data)
    subscription = node.create_subscription(
        String, 'x', lambda message, info: got.append((message.data, info)), LOOSE
    )
    assert spin_until(lambda: publisher.get_subscription_count() == 1)
    assert subscription.topic_name == '/x'
    publisher.publish(String(data='first'))
    assert spin_until(lambda: got)
    for i in range(20):
        publisher.publish(String(data=str(i)))
        time.sleep(0.005)
    time.sleep(0.3)
    publisher.publish(String(data='last'))
    assert spin_until(lambda: got[-1][0] == 'last')
    (_, first), (_, last) = got[0], got[-1]
    assert set(first) == {
        'source_timestamp',
        'received_timestamp',
        'publication_sequence_number',
        'reception_sequence_number',
    }
    assert 0 < first['received_timestamp'] - first['source_timestamp'] < 5e9
    for number in ('reception_sequence_number', 'publication_sequence_number'):
        if first[number] is not None:  # a vendor counts on either side, or on none
            assert last[number] - first[number] == 21


def test_keep_all_keeps_all(make_node, spin_until):
    node, got = make_node('a'), []
    profile = QoSProfile(history=HistoryPolicy.KEEP_ALL)
    publisher = node.create_publisher(String, 'x', profile)
    node.create_subscription(String, 'x', got.append, profile)
    assert spin_until(lambda: publisher.get_subscription_count() == 1)
    for i in range(50):
        publisher.publish(String(data=str(i)))
    assert spin_until(lambda: len(got) == 50)
    assert [m.data for m in got] == [str(i) for i in range(50)]


def test_a_message_of_another_type_is_refused(make_node):
    publisher = make_node('a').create_publisher(String, 'x', 10)
    with pytest.raises(TypeError, match='Expected'):
        publisher.publish(Header())


def test_destroyed_endpoints_leave_the_graph(make_node, spin_until):
    node, other = make_node('a'), make_node('b')
    publisher = node.create_publisher(String, 'x', 10)
    subscription = node.create_subscription(String, 'x', lambda _: None, 10)
    assert spin_until(lambda: other.count_publishers('x') and other.count_subscribers('x'))
    assert ('/x', ['std_msgs/msg/String']) in other.get_topic_names_and_types()
    node.destroy_publisher(publisher)
    node.destroy_subscription(subscription)
    assert spin_until(lambda: not other.count_publishers('x') and not other.count_subscribers('x'))


@pytest.mark.embedded
def test_the_graph_is_queried_only_for_changes(make_node, spin_until, monkeypatch):
    node = make_node('one')
    participant, read = node.context.participant, []
    take_all = participant.take_all

    def take(reader):
        found = take_all(reader)
        read.extend(found)
        return found

    monkeypatch.setattr(participant, 'take_all', take)
    node.create_publisher(String, 'x', 1)
    assert spin_until(lambda: node.count_publishers('x') == 1)
    assert read
    read.clear()
    (info,) = node.get_publishers_info_by_topic('x')
    assert info.node_name == 'one' and not read


def test_a_node_knows_its_subscriptions(make_node):
    node = make_node('listener')
    before = {one.topic_name for one in node.subscriptions}
    subscription = node.create_subscription(String, 'text', print, 10)
    assert {one.topic_name for one in node.subscriptions} == before | {'/text'}
    node.destroy_subscription(subscription)
    assert {one.topic_name for one in node.subscriptions} == before
