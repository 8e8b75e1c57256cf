# SPDX-License-Identifier: Apache-2.0
"""A node that hears nothing says what it waits for; over DDS, within one process."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import rclpy
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from robot import LATCHED, LOOSE, camera_info, texture
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_ros.nodes import conversions
from dsac_ros.nodes.camera_subscriber import CameraSubscriber, image_topic
from dsac_ros.nodes.input_watch import InputWatch, publishers_of
from dsac_ros.nodes.missing_inputs import IMAGE, Input, Publisher

TIMEOUT_S = 0.5


class Listener:
    """An intake under watch, and what its node logs."""

    def __init__(self, node, spin_until, transport='raw'):
        self.node, self._spin_until = node, spin_until
        self.lines = []
        logger = SimpleNamespace(warning=self.lines.append, info=self.lines.append)
        node.get_logger = lambda: logger
        self.images = []
        self.watch = InputWatch(node, TIMEOUT_S)
        self.camera_subscriber = CameraSubscriber(node, transport, self.watch, self.images.append)

    def waits_for(self, text, timeout=10.0):
        assert self._spin_until(lambda: any(text in line for line in self.lines), timeout), (
            f'no {text!r} in {self.lines}'
        )


@pytest.fixture
def listen(make_node, spin_until):
    def make(transport='raw', **options):
        listeners.append(Listener(make_node('listener', **options), spin_until, transport))
        return listeners[-1]

    listeners = []
    yield make
    for listener in listeners:
        listener.watch.close()
        listener.camera_subscriber.close()


def test_camera_info_sent_once_before_the_node(make_node, listen, spin_until):
    driver = make_node('driver')
    infos = driver.create_publisher(CameraInfo, 'camera_info', LATCHED)
    images = driver.create_publisher(Image, 'image', LOOSE)
    infos.publish(camera_info(width=128))
    listener = listen()
    assert spin_until(lambda: images.get_subscription_count())
    head = conversions.header('camera', 5)

    def heard():
        images.publish(conversions.image_message(texture(0), head))
        return listener.images and listener.images[-1].info is not None

    assert spin_until(heard)
    assert listener.images[-1].info.width == 128
    infos.publish(camera_info(width=640))
    assert spin_until(lambda: heard() and listener.images[-1].info.width == 640)


def test_a_driver_without_history_gets_one_reader(make_node, listen, spin_until):
    driver = make_node('driver')
    infos = driver.create_publisher(CameraInfo, 'camera_info', LOOSE)
    listener = listen()
    assert spin_until(lambda: infos.get_subscription_count())
    spin_until(lambda: False, 0.7)
    assert len(listener.node.get_subscriptions_info_by_topic('/camera_info')) == 1
    driver.create_publisher(CameraInfo, 'camera_info', LATCHED)
    assert spin_until(
        lambda: len(listener.node.get_subscriptions_info_by_topic('/camera_info')) == 2
    )


def test_only_compressed_images_are_published(make_node, listen, spin_until):
    make_node('driver').create_publisher(CompressedImage, 'image/compressed', LOOSE)
    listener = listen()
    listener.waits_for('no images on /image for')
    (line,) = [line for line in listener.lines if 'no images' in line]
    assert '/image/compressed (by /driver)' in line and 'image_transport:=compressed' in line
    assert line in listener.watch.reason


def test_it_says_so_once_and_again_while_it_lasts(listen, spin_until, monkeypatch):
    monkeypatch.setattr('dsac_ros.nodes.input_watch.REPEAT', 3)
    listener = listen()
    begin = time.monotonic()
    assert spin_until(lambda: len([line for line in listener.lines if 'no images' in line]) == 2)
    assert time.monotonic() - begin > 3.5 * TIMEOUT_S


def test_images_that_stop_and_come_back(make_node, listen, spin_until):
    images = make_node('driver').create_publisher(Image, 'image', LOOSE)
    listener = listen()
    assert spin_until(lambda: images.get_subscription_count())
    image = conversions.image_message(texture(0), conversions.header('camera', 5))
    images.publish(image)
    listener.waits_for('/driver publishes it but sends nothing')
    assert spin_until(lambda: images.publish(image) or not listener.watch.reason.count('images'))
    listener.waits_for('images arrive on /image')
    assert listener.images[-1].no_info.startswith('no camera_info on /camera_info')


def test_camera_info_in_another_namespace(make_node, listen):
    driver = make_node('driver', namespace='robot')
    driver.create_publisher(CameraInfo, 'camera_info', LOOSE)
    listener = listen()
    listener.waits_for(
        'camera_info found on /robot/camera_info (by /robot/driver): start with '
        '-r camera_info:=/robot/camera_info'
    )


def test_an_image_topic_of_another_type(listen, domain_id):
    context = Context()  # a participant has one type for each topic
    rclpy.init(args=[], context=context, domain_id=domain_id)
    driver = Node('driver', context=context)
    try:
        driver.create_publisher(Odometry, 'image', 10)
        listen().waits_for('/driver publishes it as nav_msgs/msg/Odometry')
    finally:
        driver.destroy_node()
        context.try_shutdown()


def test_two_nodes_publish_one_image_topic(make_node, listen, spin_until):
    publishers = [
        make_node(name).create_publisher(Image, 'image', LOOSE) for name in ('left', 'right')
    ]
    listener = listen()
    image = conversions.image_message(texture(0), conversions.header('camera', 5))
    assert spin_until(
        lambda: (
            [p.publish(image) for p in publishers]
            and any('2 publishers on /image (/left, /right)' in line for line in listener.lines)
        )
    )


def test_another_input_of_the_node_is_not_offered(make_node, listen):
    make_node('driver').create_publisher(Image, 'depth/image', LOOSE)
    listener = listen()
    listener.watch.expect(Input('depth images', 'depth/image', '/depth/image', IMAGE))
    listener.waits_for('no images on /image for')
    (line,) = [line for line in listener.lines if 'no images' in line]
    assert 'nor images on any other topic' in line


def test_names_that_are_not_of_ros_do_not_matter(make_node):
    (found,) = publishers_of(make_node('listener'), '/a-b/c', ['sensor_msgs/msg/Image'])
    assert found == Publisher('', '/a-b/c', 'sensor_msgs/msg/Image')


def test_a_node_does_not_offer_its_own_topics(listen):
    listener = listen()
    listener.node.create_publisher(Image, 'debug/image', LOOSE)
    listener.waits_for('nor images on any other topic')


@pytest.mark.parametrize('has_publisher', [True, False])
def test_simulated_time_that_never_begins(make_node, listen, has_publisher):
    if has_publisher:
        make_node('simulator').create_publisher(Clock, '/clock', 10)
    listener = listen(parameter_overrides=[Parameter('use_sim_time', value=True)])
    listener.waits_for(
        'use_sim_time is true and there is no time on /clock: '
        + ('its publisher sends nothing' if has_publisher else 'start the simulation')
    )
    assert listener.watch.reason.startswith('use_sim_time')


def test_simulated_time_that_begins(make_node, listen, spin_until):
    clock = make_node('simulator').create_publisher(Clock, '/clock', 10)
    listener = listen(parameter_overrides=[Parameter('use_sim_time', value=True)])
    listener.waits_for('no time on /clock')
    message = Clock(clock=conversions.time_message(5))
    assert spin_until(
        lambda: clock.publish(message) or any('time has begun' in line for line in listener.lines)
    )


def test_without_a_timeout_it_is_silent(make_node, spin_until):
    watch = InputWatch(make_node('listener'), 0.0)
    assert watch.reason == ''
    watch.close()


def test_best_effort_and_reliable_cameras_are_heard(make_node, listen, spin_until):
    qos = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    images = make_node('driver').create_publisher(Image, 'image', qos)
    listener = listen()
    image = conversions.image_message(texture(0), conversions.header('camera', 5))
    assert spin_until(lambda: images.publish(image) or listener.images)


@pytest.mark.parametrize(
    ('transport', 'rules', 'expected'),
    [
        ('raw', (), '/image'),
        ('compressed', (), '/image/compressed'),
        ('compressed', ('image:=/cam/image_raw',), '/cam/image_raw/compressed'),
        ('compressed', ('image:=/cam/image_raw/compressed',), '/cam/image_raw/compressed'),
        ('compressed', ('image/compressed:=/jpeg', 'image:=/other'), '/jpeg'),
        ('raw', ('image:=/cam/image_raw', 'image/compressed:=/jpeg'), '/cam/image_raw'),
    ],
)
def test_a_remapped_image_takes_compressed_along(make_node, transport, rules, expected):
    arguments = ['--ros-args', *(word for rule in rules for word in ('-r', rule))]
    assert image_topic(make_node('listener', cli_args=arguments), transport) == expected
