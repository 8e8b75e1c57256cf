# SPDX-License-Identifier: Apache-2.0
"""Sources of the mapper's poses, and those it refuses; over DDS, within one process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from robot import BASE_FROM_CAMERA
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from dsac_ros.nodes import conversions, tf_edges, transforms
from dsac_ros.nodes.input_watch import InputWatch
from dsac_ros.nodes.mapper_parameters import MapperParameters
from dsac_ros.nodes.pose_source import PoseSource, PoseUnavailable
from dsac_ros.nodes.transforms import Transforms

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
KINDS = {
    'pose': PoseStamped,
    'pose_with_covariance': PoseWithCovarianceStamped,
    'odometry': Odometry,
}


def place(x):
    return conversions.matrix_from_xyz_rpy([x, 2.0, 0.0, 0.0, 0.0, 0.3 * x])


class Drive:
    """A pose source, and a robot that says where it is."""

    def __init__(self, make_node, spin_until, **changed):
        self.values = MapperParameters(**{'pose_timeout': 0.0, **changed})
        node, robot = make_node('listener'), make_node('robot')
        self._spin_until = spin_until
        self._tf, self._static = TransformBroadcaster(robot), StaticTransformBroadcaster(robot)
        self.transforms = Transforms(node, {'map': 'map_frame'})
        self.watch = InputWatch(node, 0.5)
        self._poses = robot.create_publisher(
            KINDS.get(self.values.pose_source, PoseStamped), 'pose', 10
        )
        self.source = PoseSource(node, self.values, self.transforms, self.watch)
        assert spin_until(
            lambda: (
                self._tf.pub_tf.get_subscription_count()
                and (self.values.pose_source == 'tf' or self._poses.get_subscription_count())
            )
        )

    def close(self):
        self.watch.close()
        self.source.close()
        self.transforms.close()

    def tf(self, parent, child, matrix, *offsets_s):
        for offset in offsets_s:
            self._tf.sendTransform(
                conversions.transform_message(parent, child, NOW + round(offset * SECOND), matrix)
            )
        self._wait_for(child)

    def static(self, parent, child, matrix=BASE_FROM_CAMERA):
        self._static.sendTransform(conversions.transform_message(parent, child, 0, matrix))
        self._wait_for(child)

    def _wait_for(self, child):
        assert self._spin_until(lambda: child in self.transforms.edges.frames)
        self._spin_until(lambda: False, 0.05)

    def say(self, x, offset_s, frame_id='map', **fields):
        kind = KINDS[self.values.pose_source]
        message = kind(
            header=conversions.header(frame_id, NOW + round(offset_s * SECOND)), **fields
        )
        pose = conversions.pose_message(place(x))
        if kind is PoseStamped:
            message.pose = pose
        else:
            message.pose.pose = pose
        self._poses.publish(message)

    def say_covariance(self, variance, offset_s):
        self._say_covariance([float(variance)] * 36, offset_s)

    def say_yaw_variance(self, variance, offset_s):
        self._say_covariance([0.0] * 35 + [variance], offset_s)

    def _say_covariance(self, values, offset_s):
        message = KINDS[self.values.pose_source](
            header=conversions.header('map', NOW + round(offset_s * SECOND))
        )
        message.pose.pose = conversions.pose_message(place(1.0))
        message.pose.covariance = values
        self._poses.publish(message)

    def covariance(self, offset_s):
        found = self.source.covariance(NOW + round(offset_s * SECOND))
        return None if found is None else found[0, 0]

    def odometry(self, offset_s=0.0):
        return self.source.odometry(NOW + round(offset_s * SECOND), 'camera')

    def wait(self, condition):
        return self._spin_until(condition)

    def at(self, offset_s=0.0, image_frame='camera'):
        return self.source.at(NOW + round(offset_s * SECOND), image_frame)

    def answer(self, matrix, **options):
        """Spin until the pose is as expected."""
        assert self._spin_until(lambda: np.allclose(self._try(**options), matrix, atol=1e-6)), (
            self.refusal(**options)
        )

    def _try(self, **options):
        try:
            return self.at(**options)
        except PoseUnavailable:
            return np.zeros((4, 4))

    def refusal(self, **options):
        try:
            return str(self.at(**options))
        except PoseUnavailable as error:
            return str(error)

    def refuses(self, text, **options):
        assert self._spin_until(lambda: text in self.refusal(**options)), self.refusal(**options)


@pytest.fixture
def drive(make_node, spin_until, monkeypatch):
    def make(**changed):
        drives.append(Drive(make_node, spin_until, **changed))
        return drives[-1]

    drives = []
    monkeypatch.setattr(transforms, 'SETTLING_TIME_S', 0.2)
    monkeypatch.setattr(tf_edges, 'STATIC_AFTER_S', 0.2)
    yield make
    for one in drives:
        one.close()


@pytest.mark.parametrize('source', KINDS)
def test_a_pose_that_may_be_of_the_base(drive, source):
    one = drive(pose_source=source)
    one.static('base_link', 'camera')
    one.say(1.0, -0.1), one.say(1.0, 0.1)
    one.refuses(
        'the child frame of the poses on /pose may be camera or base_link: set '
        'pose_frame to the right one'
    )


@pytest.mark.parametrize(
    ('frame', 'expected'), [('base_link', place(1.0) @ BASE_FROM_CAMERA), ('camera', place(1.0))]
)
def test_a_pose_of_the_frame_that_is_given(drive, frame, expected):
    one = drive(pose_source='pose', pose_frame=frame)
    one.static('base_link', 'camera')
    one.say(1.0, -0.1), one.say(1.0, 0.1)
    one.answer(expected)


def test_odometry_says_of_which_frame_it_is(drive):
    one = drive(pose_source='odometry', map_frame='odom')
    one.static('base_footprint', 'base_link', np.eye(4))
    one.static('base_link', 'camera')
    for offset in (-0.1, 0.1):
        one.say(1.0, offset, frame_id='odom', child_frame_id='base_footprint')
    one.answer(place(1.0) @ BASE_FROM_CAMERA)


def test_a_pose_where_tf_has_nothing_but_the_camera(drive):
    one = drive(pose_source='pose')
    one.say(1.0, -0.1), one.say(1.0, 0.1)
    one.refuses('is unknown until TF has been received')
    one.answer(place(1.0))


def test_a_pose_that_tf_gives_to_the_base_too(drive):
    one = drive(pose_source='pose_with_covariance')
    one.static('base_link', 'camera')
    one.tf('map', 'base_link', place(1.0), -0.1, 0.1)
    one.say(1.0, -0.1), one.say(1.0, 0.1)
    one.answer(place(1.0) @ BASE_FROM_CAMERA)
    one.say(1.2, 0.2), one.say(1.2, 0.4)
    one.answer(place(1.2) @ BASE_FROM_CAMERA, offset_s=0.3)


def test_a_pose_of_an_image_whose_frame_tf_has_not(drive):
    one = drive(pose_source='pose')
    one.static('base_link', 'camera')
    one.say(1.0, -0.1), one.say(1.0, 0.1)
    one.refuses(
        "TF does not contain the frame of the image, 'default_cam', only base_link, "
        'camera: set camera_frame',
        image_frame='default_cam',
    )


def test_poses_in_another_frame_than_the_map(drive):
    one = drive(pose_source='pose')
    one.say(1.0, 0.0, frame_id='odom')
    one.refuses("poses are given in frame 'odom', expected 'map': set map_frame to odom")


def test_poses_that_come_once_a_second(drive):
    one = drive(pose_source='pose', pose_frame='camera')
    one.refuses('no poses on /pose yet')
    for second in (-2, -1, 0):
        one.say(1.0, second)
    one.refuses(
        'the samples of /pose around the image are 1.00 s apart, at most 0.5 s are '
        'allowed (pose_max_gap)',
        offset_s=-0.5,
    )
    one.refuses(
        'one comes every 1.00 s, set pose_timeout and pose_max_gap above that', offset_s=0.5
    )
    one.source.values = replace(one.values, pose_max_gap=1.5)
    one.answer(place(1.0), offset_s=-0.5)


def test_tf_is_not_interpolated_across_a_gap(drive):
    one = drive()
    one.static('base_link', 'camera')
    one.tf('map', 'base_link', place(1.0), -1.0, 1.0)
    one.refuses('the samples of map -> base_link around the image are 2.00 s apart')
    one.source.values = replace(one.values, pose_max_gap=2.5)
    one.answer(place(1.0) @ BASE_FROM_CAMERA)


def test_a_mount_that_was_published_once_on_tf(drive):
    one = drive()
    one.tf('base_link', 'camera', BASE_FROM_CAMERA, -7.0)
    one.tf('map', 'base_link', place(1.0), -0.1, 0.1)
    one.answer(place(1.0) @ BASE_FROM_CAMERA)


def test_an_image_in_body_axes_means_the_frame_below(drive):
    one = drive()
    body = BASE_FROM_CAMERA.copy()
    body[:3, :3] = np.eye(3)
    one.static('base_link', 'camera_link', body)
    one.tf('map', 'base_link', place(1.0), -0.1, 0.1)
    one.refuses(
        "the image is in frame 'camera_link', which has x forward by its name, and TF has "
        'no optical frame below it: set camera_frame',
        image_frame='camera_link',
    )
    one.static('camera_link', 'camera_optical_frame', np.linalg.inv(body) @ BASE_FROM_CAMERA)
    one.answer(place(1.0) @ BASE_FROM_CAMERA, image_frame='camera_link')
    one.source.values = replace(one.values, camera_frame='camera_link')
    one.answer(place(1.0) @ body, image_frame='camera_link')


def test_the_only_optical_frame_serves_unnamed_images(drive):
    """With two optical frames, an image without frame_id is refused."""
    one = drive()
    one.static('base_link', 'camera_optical_frame')
    one.tf('map', 'base_link', place(1.0), -0.1, 0.1)
    one.answer(place(1.0) @ BASE_FROM_CAMERA, image_frame='')
    one.static('base_link', 'rear_optical_frame')
    one.refuses('the image has no frame_id: set camera_frame', image_frame='')


def test_static_transforms_that_cannot_be_heard(make_node, drive, spin_until):
    one = drive()
    make_node('player').create_publisher(TFMessage, '/tf_static', 10)
    assert spin_until(
        lambda: (
            '/player publishes it as volatile, expected transient local: change '
            'the QoS of its publisher' in one.watch.reason
        )
    )
    assert 'no transforms on /tf for' in one.watch.reason


def test_no_static_transforms_and_no_frame_id(drive):
    one = drive()
    one.tf('map', 'base_link', place(1.0), -0.1, 0.1)
    one.refuses('nothing was received on /tf_static')
    one.refuses('the image has no frame_id: set camera_frame', image_frame='')


def test_poses_from_before_a_jump_of_time_are_dropped(drive):
    one = drive(pose_source='pose', pose_frame='camera')
    one.static('base_link', 'camera')
    one.say(1.0, -0.1), one.say(1.0, 0.1)
    one.answer(place(1.0))
    one.source.forget()
    with pytest.raises(PoseUnavailable):
        one.at()


@pytest.mark.parametrize('kind', ['pose_with_covariance', 'odometry'])
def test_covariance_of_the_last_pose_before_an_image(drive, kind):
    robot = drive(pose_source=kind)
    for number, offset in ((1, -0.2), (2, -0.1), (3, 0.1)):
        robot.say_covariance(number, offset)
    assert robot.wait(lambda: robot.covariance(1.0) == 3.0)
    assert [robot.covariance(offset) for offset in (-0.3, -0.15, 0.0)] == [1.0, 1.0, 2.0]
    assert robot.source.covariance_topic == '/pose'


@pytest.mark.parametrize('kind', ['pose_with_covariance', 'odometry'])
def test_covariance_is_carried_to_the_camera(drive, kind):
    """An uncertain yaw of the base moves the camera across its lever; an unknown one says so."""
    robot = drive(pose_source=kind, pose_frame='base_link')
    robot.static('base_link', 'camera')
    pose = place(1.0) @ BASE_FROM_CAMERA
    assert robot.source.camera_covariance(NOW, 'camera', pose) is None
    robot.say_yaw_variance(0.0, -0.2)
    assert robot.wait(lambda: robot.source.covariance(NOW) is not None)
    assert robot.source.camera_covariance(NOW, 'camera', pose) is None
    robot.say_yaw_variance(0.25, -0.1)
    assert robot.wait(lambda: robot.source.covariance(NOW).any())
    found = robot.source.camera_covariance(NOW, 'camera', pose)
    x, y, _ = pose[:3, 3] - place(1.0)[:3, 3]
    moved = 0.25 * np.outer([-y, x, 1.0], [-y, x, 1.0])
    np.testing.assert_allclose(found[np.ix_([0, 1, 5], [0, 1, 5])], moved, atol=1e-9)
    assert robot.source.camera_covariance(NOW, 'unknown', pose) is None


def test_odometry_comes_from_tf(drive):
    robot = drive(pose_source='pose', odom_frame='odom')
    assert not robot.source.has_odometry and robot.odometry() is None
    robot.static('base_link', 'camera')
    robot.tf('odom', 'base_link', place(1.0), -0.1, 0.1)
    assert robot.wait(lambda: robot.odometry() is not None)
    np.testing.assert_allclose(robot.odometry(), place(1.0) @ BASE_FROM_CAMERA, atol=1e-6)
    assert robot.source.has_odometry and robot.odometry(offset_s=3.0) is None


def test_odometry_can_be_off(drive):
    robot = drive(odom_frame='')
    robot.static('base_link', 'camera')
    robot.tf('odom', 'base_link', place(1.0), -0.1, 0.1)
    assert robot.odometry() is None and not robot.source.has_odometry


def test_a_closed_source_still_answers(drive):
    """The last images of a recording are judged after the node was deactivated."""
    robot = drive(pose_source='pose', pose_frame='camera')
    robot.say(1.0, -0.1)
    robot.say(1.0, 0.1)
    robot.answer(place(1.0))
    robot.source.close()
    np.testing.assert_allclose(robot.at(), place(1.0), atol=1e-6)
