# SPDX-License-Identifier: Apache-2.0
"""Pose and TF messages of any content: a pose, a reason, or nothing, and never an exception."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseStamped,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from rclpy.serialization import serialize_message
from robot import ACCEPT_ALL, Robot, camera_info, texture, untrained_map
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster

from dsac_ros.msg import MappingStatus
from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.mapper_parameters import MapperParameters
from dsac_ros.nodes.pose_source import PoseSource, PoseUnavailable
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.tf_output import TfOutput
from dsac_ros.nodes.transforms import Transforms, TransformUnavailable

KINDS = {
    'pose': PoseStamped,
    'pose_with_covariance': PoseWithCovarianceStamped,
    'odometry': Odometry,
}
numbers = st.one_of(
    st.floats(),
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf]),
)
frames = st.one_of(
    st.sampled_from(
        ['', '/', '//map', 'map', 'odom', 'base_link', 'camera', 'camera_optical_frame']
    ),
    st.text(st.characters(exclude_characters='\0', exclude_categories=['Cs']), max_size=20),
    st.sampled_from(['a\nb', 'x' * 5000, '\x1b[31m']),
)
stamps = st.builds(
    Time,
    sec=st.one_of(st.integers(-3, 3), st.integers(-(2**31), 2**31 - 1)),
    nanosec=st.one_of(st.integers(0, 999_999_999), st.integers(0, 2**32 - 1)),
)
headers = st.builds(Header, stamp=stamps, frame_id=frames)
quaternions = st.one_of(
    st.builds(Quaternion), st.builds(Quaternion, x=numbers, y=numbers, z=numbers, w=numbers)
)
poses = st.builds(
    Pose, position=st.builds(Point, x=numbers, y=numbers, z=numbers), orientation=quaternions
)
transforms = st.builds(
    TransformStamped,
    header=headers,
    child_frame_id=frames,
    transform=st.builds(
        Transform,
        translation=st.builds(Vector3, x=numbers, y=numbers, z=numbers),
        rotation=quaternions,
    ),
)
tf_messages = st.builds(TFMessage, transforms=st.lists(transforms, max_size=6))
image_stamps = st.one_of(st.integers(-3, 3 * 10**9), st.integers(-(2**63), 2**62))
anything = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def pose_message(kind, header, pose, child='', covariance=()):
    """A message of any of the three kinds."""
    message = kind(header=header)
    if kind is PoseStamped:
        message.pose = pose
        return message
    message.pose.pose = pose
    if covariance:
        message.pose.covariance = list(covariance)
    if kind is Odometry:
        message.child_frame_id = child
    return message


def is_pose(matrix):
    return matrix.shape == (4, 4) and np.isfinite(matrix).all()


@pytest.fixture
def listener(make_node):
    listener = Transforms(make_node('a'), {'map': 'map_frame'})
    yield listener
    listener.close()


@pytest.mark.filterwarnings('ignore:overflow encountered')
def test_any_tf_is_a_transform_or_a_reason(listener):
    @anything
    @given(tf_messages, st.booleans(), frames, frames, image_stamps)
    def check(message, is_static, target, source, stamp):
        callback = listener._listener.static_callback if is_static else listener._listener.callback
        callback(message)
        for one in message.transforms:
            frame = one.child_frame_id
            pairs = ((target, source), (one.header.frame_id, frame), (target, frame))
            for pair in pairs:
                try:
                    assert is_pose(listener.lookup(*pair, stamp, Limits(0.0)))
                except TransformUnavailable as error:
                    assert str(error)
        for given_frame in ('', target):
            try:
                listener.optical_frame(source, given_frame)
            except TransformUnavailable as error:
                assert str(error)

    check()


@pytest.mark.filterwarnings('ignore:overflow encountered')
@pytest.mark.parametrize('source', KINDS)
def test_any_pose_is_a_pose_or_a_reason(listener, make_node, source):
    node = make_node('b')
    watch = InputWatch(node, 0.0)
    values = MapperParameters(
        pose_source=source, pose_timeout=0.0, pose_max_gap=60.0, pose_frame='camera'
    )
    poses_at = PoseSource(node, values, listener, watch)

    @anything
    @given(
        st.lists(st.tuples(headers, poses, frames), max_size=4),
        st.lists(numbers, min_size=36, max_size=36),
        frames,
        image_stamps,
    )
    def check(messages, covariance, frame, stamp):
        for header, pose, child in messages:
            poses_at._on_pose(pose_message(KINDS[source], header, pose, child, covariance))
        for when in (stamp, *(m[0].stamp.sec * 10**9 + m[0].stamp.nanosec for m in messages)):
            for image_frame in (frame, 'camera'):
                try:
                    assert is_pose(poses_at.at(when, image_frame))
                except PoseUnavailable as error:
                    assert str(error)

    check()
    poses_at.close()
    watch.close()


def test_any_tf_is_a_rival_or_none(listener, make_node):
    node = make_node('b')
    for mode in ('auto', 'map_odom', 'map_base'):
        output = TfOutput(
            node, RelocalizerParameters(tf_mode=mode), listener, TransformBroadcaster(node)
        )
        anything(given(tf_messages, st.booleans())(output._on_tf))()
        output.close()


def no_utf8(message, text):
    """The bytes of a message in which a text is replaced by bytes that are none."""
    data = serialize_message(message)
    assert text.encode() in data
    return data.replace(text.encode(), b'\xff' * len(text))


def hostile_poses():
    """Header and pose of messages, good and bad parts mixed."""
    good, zero = Quaternion(), Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)
    times = [Time(), Time(sec=-5), Time(sec=2**31 - 1, nanosec=2**32 - 1), Time(sec=5)]
    for frame in ('map', '', '/', 'x' * 100_000, 'a\nb', '\N{SNOWMAN}'):
        for stamp in times:
            yield Header(frame_id=frame, stamp=stamp), Pose()
    for value in (math.nan, math.inf, 1e308, -1e308):
        for rotation in (good, zero, Quaternion(x=value, y=value, z=value, w=value)):
            position = Point(x=value, y=value, z=value)
            yield Header(frame_id='map'), Pose(position=position, orientation=rotation)


def hostile_tf():
    for header, pose in hostile_poses():
        for child in ('base_link', '', 'odom', 'map', header.frame_id):
            transform = Transform(rotation=pose.orientation)
            for axis in 'xyz':
                setattr(transform.translation, axis, getattr(pose.position, axis))
            yield TransformStamped(header=header, child_frame_id=child, transform=transform)


def attack(robot, messages):
    """Publish hostile TF, and then messages (publisher, message)."""
    transforms = list(hostile_tf())
    many = [
        TransformStamped(header=Header(frame_id=f'parent{n}'), child_frame_id=f'child{n}')
        for n in range(3000)
    ]
    text = TransformStamped(header=Header(frame_id='strange'), child_frame_id='base_link')
    batches = [
        TFMessage(),
        TFMessage(transforms=many),
        no_utf8(TFMessage(transforms=[text]), 'strange'),
    ]
    batches += [TFMessage(transforms=transforms[n : n + 9]) for n in range(0, len(transforms), 9)]
    publisher = robot.node.create_publisher(TFMessage, '/tf', 100)
    for batch in batches:
        publisher.publish(batch)
        robot.spin(lambda: False, 0.01)
    for publisher, message in messages:
        publisher.publish(message)
        robot.spin(lambda: False, 0.005)


def is_untroubled(robot):
    assert 'Traceback' not in robot.process.output
    assert 'error in a callback' not in robot.process.output
    assert robot.process.stop() == 0


def test_the_relocalizer_survives_hostile_tf(tmp_path):
    path = untrained_map(tmp_path / 'a.map')
    robot = Robot(map=str(path), tf_mode='map_odom', **ACCEPT_ALL)
    try:
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        robot.accepted()
        attack(robot, [])
        status = robot.answer_to(texture(1), camera_info())
        assert status.result in (Status.ACCEPTED, Status.TF_UNAVAILABLE), status.reason
        is_untroubled(robot)
    finally:
        robot.close()


def test_the_mapper_survives_hostile_poses(tmp_path):
    robot = Robot(
        'mapper',
        dataset=str(tmp_path / 'drive'),
        pose_source='odometry',
        record_on_start=True,
        pose_timeout=0.1,
    )
    try:
        statuses = robot.listen(MappingStatus, f'{robot.me}/status')
        assert robot.spin(lambda: statuses, 90.0), robot.process.output
        publisher = robot.node.create_publisher(Odometry, 'pose', 100)
        assert robot.spin(lambda: publisher.get_subscription_count())
        make = partial(pose_message, Odometry)
        messages = [
            make(header, pose, child)
            for header, pose in hostile_poses()
            for child in ('', 'camera', 'x' * 9999)
        ]
        messages.append(no_utf8(make(Header(frame_id='strange'), Pose()), 'strange'))
        attack(robot, [(publisher, message) for message in messages])
        for _ in range(3):
            robot.show(texture(1), camera_info())
        assert robot.spin(lambda: statuses[-1].images >= 1), robot.process.output
        is_untroubled(robot)
    finally:
        robot.close()
