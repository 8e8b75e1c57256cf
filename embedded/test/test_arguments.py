# SPDX-License-Identifier: Apache-2.0
import pytest
import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.exceptions import InvalidTopicNameException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from std_msgs.msg import String
from std_srvs.srv import Trigger

PARAMETERS = """
/**:
  ros__parameters:
    everywhere: 1
    winner: general
/robot/dsac_relocalizer:
  ros__parameters:
    winner: special
    map: /maps/kitchen.map
    accept: {min_inliers: 20, min_spread: 1e-3}
    cameras: []
robot:
  other:
    ros__parameters:
      map: wrong
"""


@pytest.fixture
def node_from(domain_id):
    contexts = []

    def make(*arguments, name='dsac_relocalizer', **options):
        context = rclpy.Context()
        contexts.append(context)
        rclpy.init(args=['program', *arguments], context=context, domain_id=domain_id)
        return rclpy.create_node(name, context=context, **options)

    yield make
    for context in contexts:
        context.try_shutdown()


def test_names_and_topics_are_remapped(node_from):
    node = node_from(
        '--ros-args',
        '-r',
        '__node:=eye',
        '-r',
        '__ns:=/robot',
        '-r',
        'image:=/camera/image_raw',
        '-r',
        '~/pose:=where',
        '-r',
        '/tf:=tf',
        '-r',
        'other_node:pose:=/never',
        '--',
    )
    assert node.get_fully_qualified_name() == '/robot/eye'
    assert node.resolve_topic_name('image') == '/camera/image_raw'
    assert node.resolve_topic_name('~/pose') == '/robot/where'
    assert node.resolve_topic_name('/tf') == '/robot/tf'
    assert node.resolve_topic_name('pose') == '/robot/pose'
    assert node.resolve_topic_name('image', only_expand=True) == '/robot/image'
    assert node.create_publisher(String, '~/pose', 10).topic_name == '/robot/where'
    assert node.create_service(Trigger, '~/go', print).service_name == '/robot/eye/go'


def test_parameters_from_a_file_and_from_the_line(node_from, tmp_path):
    file = tmp_path / 'p.yaml'
    file.write_text(PARAMETERS)
    node = node_from(
        '--ros-args', '--params-file', str(file), '-p', 'rate:=2.5', '-r', '__ns:=/robot'
    )
    assert node.declare_parameter('everywhere', 0).value == 1
    assert node.declare_parameter('winner', '').value == 'special'
    assert node.declare_parameter('map', '').value == '/maps/kitchen.map'
    assert node.declare_parameter('accept.min_inliers', 0).value == 20
    assert node.declare_parameter('accept.min_spread', 0.0).value == 1e-3
    # An empty list says nothing of its type: ROS takes it as not set.
    assert node.declare_parameter('cameras', ['a']).value is None
    assert node.declare_parameter('rate', 1.0).value == 2.5


def test_parameters_for_one_node_of_the_process(node_from):
    node = node_from('--ros-args', '-p', 'dsac_relocalizer:name:=x', '-p', 'other:name:=y')
    assert node.declare_parameter('name', '').value == 'x'


@pytest.mark.parametrize(
    'words',
    [
        ['-r', 'image'],
        ['-p', 'rate'],
        ['--params-file', '/nowhere.yaml'],
        ['-p', 'a:=[1, b]'],
        ['-r'],
    ],
)
def test_bad_arguments_are_refused(node_from, words):
    with pytest.raises(RCLError):
        node_from('--ros-args', *words)


def test_a_log_level_from_the_line(node_from, capfd):
    node = node_from('--ros-args', '--log-level', 'dsac_relocalizer:=debug')
    node.get_logger().debug('seen')
    assert '[DEBUG]' in (shown := capfd.readouterr().err)
    assert '[dsac_relocalizer]: seen' in shown


@pytest.mark.parametrize('name', ['', 'a//b', '1a', 'a b', 'a/', '/'])
def test_bad_topic_names_are_refused(make_node, name):
    with pytest.raises(InvalidTopicNameException):
        make_node('a').create_publisher(String, name, 10)


def test_qos_is_overridden_by_parameters(node_from):
    name = 'qos_overrides./image.subscription.reliability'
    node = node_from('--ros-args', '-p', f'{name}:=best_effort')
    subscription = node.create_subscription(
        String,
        'image',
        lambda message: None,
        QoSProfile(depth=5),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )
    assert subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert subscription.qos_profile.depth == 5
    assert node.get_parameter('qos_overrides./image.subscription.depth').value == 5


def test_a_profile_needs_depth_or_history():
    from rclpy.qos import InvalidQoSProfileException

    with pytest.raises(InvalidQoSProfileException, match='required'):
        QoSProfile()
    assert QoSProfile(depth=3) == QoSProfile(depth=3, reliability=ReliabilityPolicy.RELIABLE)
