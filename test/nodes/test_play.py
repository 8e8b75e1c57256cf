# SPDX-License-Identifier: Apache-2.0
import sys

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from dsac_ros.nodes.runtime import offer_runtime

STEP_NS = 100_000_000
START_NS = 1_000 * 10**9
TYPES = get_typestore(Stores.ROS2_JAZZY)
FOREIGN = 'strange_msgs/msg/Foreign'
TYPES.register(get_types_from_msg('string words\nstd_msgs/Header header\n', FOREIGN))


def offered(reliable, latched):
    none = QosTime(0, 0)
    return [
        Qos(
            QosHistory.KEEP_LAST,
            5,
            QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
            QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
            none,
            none,
            QosLiveliness.AUTOMATIC,
            none,
            False,
        )
    ]


@pytest.fixture
def bag(tmp_path):
    """Ten images over one second, two latched transforms at its start, and foreign messages."""
    path = tmp_path / 'drive'
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        image, tf, foreign = (
            writer.add_connection(topic, kind, typestore=TYPES, offered_qos_profiles=qos)
            for topic, kind, qos in (
                ('/image', 'sensor_msgs/msg/Image', offered(False, False)),
                ('/tf_static', 'tf2_msgs/msg/TFMessage', ()),
                ('/foreign', FOREIGN, offered(True, False)),
            )
        )
        for child in ('camera', 'laser'):
            transform = TransformStamped(child_frame_id=child)
            transform.header.frame_id = 'base'
            writer.write(tf, START_NS, serialize_message(TFMessage(transforms=[transform])))
        header = TYPES.types['std_msgs/msg/Header'](
            TYPES.types['builtin_interfaces/msg/Time'](1, 2), 'f'
        )
        words = TYPES.types[FOREIGN]('hello', header)
        writer.write(foreign, START_NS, TYPES.serialize_cdr(words, FOREIGN))
        for i in range(10):
            message = Image(
                height=4,
                width=4,
                step=4,
                encoding='mono8',
                data=np.full(16, i, np.uint8).tobytes(),
            )
            writer.write(image, START_NS + i * STEP_NS, serialize_message(message))
    return path


def dsac(*words):
    return [sys.executable, '-m', 'dsac_ros.cli.main', 'play', *map(str, words)]


def test_a_bag_is_replayed_in_order_and_at_its_pace(bag, make_node, spin_until, run_process):
    node, images, transforms, ticks = make_node('listener'), [], [], []
    node.create_subscription(
        Image,
        '/image',
        lambda m: images.append((m.data[0], node.get_clock().now().nanoseconds)),
        qos_profile_sensor_data,
    )
    process = run_process(dsac(bag, '--clock', '50', '--wait-for', '/image', '--rate', '2'))
    from rosgraph_msgs.msg import Clock

    node.create_subscription(Clock, '/clock', ticks.append, 10)
    assert spin_until(lambda: len(images) == 10, 40.0)
    assert [number for number, _ in images] == list(range(10))
    seconds = (images[-1][1] - images[0][1]) / 1e9
    assert 0.3 < seconds < 2.0  # 0.9 s of bag at twice the speed
    assert len(ticks) > 10
    assert ticks[0].clock.sec == START_NS // 10**9
    # Latched transforms reach who comes late, all of them.
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(TFMessage, '/tf_static', transforms.append, latched)
    spin_until(lambda: len(transforms) == 2, 2.0)
    assert process.wait() == 0
    # A type that nobody here knows is played by the embedded runtime only.
    expected = '13 messages of 3 topics' if offer_runtime() else '12 messages of 2 topics'
    assert f'{expected} played' in process.output


def test_start_topics_and_loop(bag, make_node, spin_until, run_process):
    node, images = make_node('listener'), []
    node.create_subscription(
        Image, '/image', lambda m: images.append(m.data[0]), qos_profile_sensor_data
    )
    process = run_process(
        dsac(
            bag,
            '--start',
            '0.75',
            '--loop',
            '--topics',
            '/image',
            '--rate',
            '4',
            '--wait-for',
            '/image',
            '--progress',
            'off',
        )
    )
    assert spin_until(lambda: len(images) >= 5, 40.0)
    assert images[:5] == [8, 9, 8, 9, 8]
    assert '/tf_static' not in dict(node.get_topic_names_and_types())
    assert process.stop() == 130


def test_topics_under_other_names(bag, make_node, spin_until, run_process):
    node, transforms = make_node('listener'), []
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(TFMessage, '/tf_static_bag', transforms.append, latched)
    process = run_process(
        dsac(bag, '--remap', '/tf_static:=/tf_static_bag', '--wait-for', '/tf_static')
    )
    assert spin_until(lambda: len(transforms) == 2, 40.0)
    assert process.wait() == 0
    assert '/tf_static' not in dict(node.get_topic_names_and_types())


def test_a_node_on_simulated_time_follows_the_bag(bag, make_node, spin_until, run_process):
    node = make_node('sim', parameter_overrides=[Parameter('use_sim_time', value=True)])
    run_process(dsac(bag, '--clock', '--delay', '0.5', '--loop'))
    assert spin_until(lambda: node.get_clock().now().nanoseconds >= START_NS, 40.0)
    assert node.get_clock().now().nanoseconds <= START_NS + 2 * 10**9


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        (['nowhere'], 'nowhere does not exist'),
        (['BAG', '--topics', '/nope'], 'no topic /nope; it has /foreign, /image, /tf_static'),
        (['BAG', '--start', '99', '--delay', '0'], 'is 0.9 s long'),
        (['BAG', '--wait-for', '/nope'], '--wait-for /nope: not played'),
        (['BAG', '--remap', '/nope:=/a'], '--remap /nope: not played'),
        (['BROKEN'], 'cannot be read as a bag'),
        (
            ['PACKED'],
            '.mcap.zstd cannot be played, expected a rosbag2 folder, .mcap or .db3; `dsac',
        ),
    ],
)
def test_bad_wishes_get_one_line(bag, words, reason, domain_id, capsys):
    from dsac_ros.cli.main import main

    broken = bag.parent / 'broken.mcap'
    broken.write_bytes(b'\x89MCAP0\r\n' + b'nonsense' * 10)
    packed = bag.parent / 'bag.mcap.zstd'
    packed.write_bytes(b'\x28\xb5\x2f\xfd')
    names = {'BAG': str(bag), 'BROKEN': str(broken), 'PACKED': str(packed)}
    assert main(['play', *(names.get(word, word) for word in words)]) == 1
    shown = capsys.readouterr().err.strip()
    assert reason in shown
    assert len([line for line in shown.splitlines() if line.startswith('dsac: error')]) == 1
