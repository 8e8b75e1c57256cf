# SPDX-License-Identifier: Apache-2.0
"""QoS of subscriptions by parameters, as rclpy names them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.qos import HistoryPolicy, ReliabilityPolicy
from robot import LOOSE, texture
from sensor_msgs.msg import Image

from dsac_ros.errors import ConfigError
from dsac_ros.nodes import conversions
from dsac_ros.nodes.camera_subscriber import SENSOR, CameraSubscriber
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.overridable_qos import subscribe, warn_of_unused_overrides

RELIABLE_IMAGE = 'qos_overrides./image.subscription.reliability:=reliable'


@pytest.fixture
def listen(make_node):
    def make(*overrides):
        arguments = ['--ros-args', *(word for one in overrides for word in ('-p', one))]
        return make_node('listener', cli_args=arguments)

    return make


def test_without_overrides_the_profile_is_ours(listen):
    node = listen()
    subscription = subscribe(node, Image, 'image', print, SENSOR)
    assert subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert node.get_parameter('qos_overrides./image.subscription.reliability').value == (
        'best_effort'
    )


def test_history_depth_and_reliability(listen):
    node = listen(RELIABLE_IMAGE, 'qos_overrides./image.subscription.depth:=7')
    for _ in range(2):  # activated twice: the parameters are declared once
        subscription = subscribe(node, Image, 'image', print, SENSOR)
        profile = subscription.qos_profile
        assert (profile.reliability, profile.depth) == (ReliabilityPolicy.RELIABLE, 7)
        assert profile.history == HistoryPolicy.KEEP_LAST
        node.destroy_subscription(subscription)
    assert (SENSOR.reliability, SENSOR.depth) == (ReliabilityPolicy.BEST_EFFORT, 1)


@pytest.mark.parametrize(
    'override',
    [
        'qos_overrides./image.subscription.reliability:=maybe',
        'qos_overrides./image.subscription.reliability:=3',
        'qos_overrides./image.subscription.depth:=many',
        'qos_overrides./image.subscription.depth:=-1',
        'qos_overrides./image.subscription.history:=keep_some',
    ],
)
def test_an_override_that_is_no_policy_is_one_line(listen, override):
    node = listen(override)
    with pytest.raises(ConfigError, match=override.split(':=')[0]) as caught:
        subscribe(node, Image, 'image', print, SENSOR)
    assert '\n' not in str(caught.value)


def test_a_remapped_topic_has_its_own_name(make_node):
    node = make_node(
        'listener',
        cli_args=[
            '--ros-args',
            '-r',
            'image:=/front/image_raw',
            '-p',
            'qos_overrides./front/image_raw.subscription.reliability:=reliable',
        ],
    )
    subscription = subscribe(node, Image, 'image', print, SENSOR)
    assert subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_a_misspelt_override_is_told(listen):
    node = listen('qos_overrides./imgae.subscription.reliability:=reliable', RELIABLE_IMAGE)
    lines = []
    node.get_logger = lambda: SimpleNamespace(warning=lines.append)
    subscribe(node, Image, 'image', print, SENSOR)
    warn_of_unused_overrides(node)
    (line,) = lines
    assert "'qos_overrides./imgae.subscription.reliability' has no effect" in line
    assert 'qos_overrides./image.subscription' in line


def test_best_effort_images_for_a_reliable_reader(make_node, listen, spin_until):
    """They never match; the watch says so instead of nothing."""
    driver = make_node('driver').create_publisher(Image, 'image', LOOSE)
    node = listen(RELIABLE_IMAGE)
    lines = []
    node.get_logger = lambda: SimpleNamespace(warning=lines.append, info=lines.append)
    watch = InputWatch(node, 0.5)
    camera = CameraSubscriber(node, 'raw', watch, lambda _: None)
    image = conversions.image_message(texture(0), conversions.header('camera', 5))
    expected = '/driver publishes it as best effort, expected reliable'
    assert spin_until(lambda: driver.publish(image) or any(expected in line for line in lines)), (
        lines
    )
    watch.close()
    camera.close()
