# SPDX-License-Identifier: Apache-2.0
"""The relocalizer as a process on the graph: what it answers, and what it survives."""

from __future__ import annotations

import math
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from robot import (
    ACCEPT_ALL,
    BASE_FROM_CAMERA,
    CAMERA,
    LOOSE,
    Robot,
    camera_info,
    texture,
    untrained_map,
)
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from sensor_msgs_py import point_cloud2

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.geometry.covariance import is_covariance
from dsac_ros.geometry.planar import planar_correction
from dsac_ros.localizer import Localizer
from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes import conversions
from dsac_ros.nodes.missed_messages import HAS_MESSAGE_INFO
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Frame

SECOND = 1_000_000_000
ALIGNMENT = [5.0, -3.0, 0.5, 0.1, -0.2, 1.5]


@pytest.fixture(scope='module')
def localizer(map_path):
    return Localizer.load(
        map_path, 'cpu', RansacConfig(hypotheses=64), AcceptConfig(0.0, 0, 0.0, 0.0)
    )


def last(robot, topic, status):
    """The message of a topic that belongs to a status."""
    return next(m for m in reversed(robot.of(topic)) if m.header.stamp == status.header.stamp)


def matrix(message):
    return conversions.matrix_from_pose(getattr(message.pose, 'pose', message.pose))


def test_poses_are_what_the_localizer_says(robot, localizer):
    status = robot.answer_to(texture(1), camera_info())
    expected = localizer.localize(Frame(texture(1), CAMERA))
    assert status.result == Status.ACCEPTED and status.state == Status.LOCALIZED
    assert status.inlier_count == expected.statistics.inlier_count
    assert status.map_id == localizer.map.id and status.camera == 'camera'
    assert status.header.frame_id == 'map'
    camera_pose = matrix(last(robot, 'camera_pose', status))
    assert np.allclose(camera_pose, expected.world_from_camera, atol=1e-4)
    base = expected.world_from_camera @ np.linalg.inv(BASE_FROM_CAMERA)
    for topic in ('pose', 'pose_with_covariance'):
        message = last(robot, topic, status)
        assert np.allclose(matrix(message), base, atol=1e-4)
        assert message.header.frame_id == 'map'
    covariance = np.array(message.pose.covariance).reshape(6, 6)
    assert is_covariance(covariance) and covariance[0, 0] >= 0.05**2 * 0.999
    assert np.allclose(status.pose.covariance, message.pose.covariance)
    leaf = robot.transforms('dsac_base_link')[-1]
    assert leaf.header.frame_id == 'map' and leaf.header.stamp == status.header.stamp
    assert np.allclose(conversions.matrix_from_transform(leaf.transform), base, atol=1e-4)
    assert 0 < status.inference_ms < 30e3


def test_latched_topics(robot, localizer):
    assert robot.of('localized')[-1].data
    info = robot.of('map_info')[-1]
    assert (info.map_id, info.name, info.num_images) == (localizer.map.id, 'untrained 0', 7)
    assert math.isnan(info.median_error_m)


def test_debug_topics_are_there_for_who_looks(robot, localizer):
    points = robot.listen(PointCloud2, f'{robot.me}/debug/scene_points', LOOSE)
    images = robot.listen(Image, f'{robot.me}/debug/image', LOOSE)
    for _ in range(10):
        robot.answer_to(texture(1), camera_info())
        if robot.spin(lambda: points and images, 1.0):
            break
    cloud = point_cloud2.read_points(points[-1])
    assert {'x', 'y', 'z', 'rgb', 'sigma', 'inlier'} == set(cloud.dtype.names)
    trace = localizer.trace(Frame(texture(1), CAMERA))
    scene, estimate = trace.correspondences, trace.estimate
    assert len(cloud) == int(scene.valid.sum())
    assert cloud['inlier'].sum() == int(estimate.inliers.sum())
    expected = scene.points_world[0, 0].numpy() + localizer.map.origin
    assert np.allclose([cloud[name][0] for name in 'xyz'], expected, atol=1e-3)
    drawn = conversions.image_from_message(images[-1])
    assert drawn.shape == (96, 128, 3) and images[-1].header.frame_id == 'camera'
    assert (drawn != texture(1)[..., None]).any()


def raw(encoding, data=b'', height=96, width=128, step=128):
    message = Image(encoding=encoding, height=height, width=width, step=step)
    message.data.frombytes(data)
    return message


NAN_IMAGE = raw('32FC1', np.full((96, 128), np.nan, np.float32).tobytes(), step=512)
BAD_IMAGES = {
    'black': (np.zeros((96, 128), np.uint8), Status.BAD_IMAGE, 'no contrast'),
    'white': (np.full((96, 128, 3), 255, np.uint8), Status.BAD_IMAGE, 'no contrast'),
    'unknown encoding': (raw('purple12', bytes(96 * 128)), Status.BAD_IMAGE, "'purple12'"),
    'nan': (NAN_IMAGE, Status.BAD_IMAGE, '32FC1'),
    'too little data': (raw('mono8', bytes(100)), Status.BAD_IMAGE, '100 bytes'),
    'empty': (raw('mono8', height=0, width=0, step=0), Status.BAD_IMAGE, '0x0'),
    'other size': (texture(1)[:64], Status.BAD_IMAGE, '128x64'),
    'far too large': (raw('mono8', bytes(10), 2**31, 2**31, 2**31), Status.BAD_IMAGE, '10 bytes'),
}


@pytest.mark.parametrize('name', BAD_IMAGES)
def test_bad_image(robot, name):
    image, result, reason = BAD_IMAGES[name]
    status = robot.answer_to(image, camera_info())
    assert status.result == result, status.reason
    assert reason in status.reason
    assert status.pose.pose.orientation.w == 0.0 and status.consecutive_accepted == 0
    assert all(m.header.stamp != status.header.stamp for m in robot.of('pose'))
    good = robot.answer_to(texture(1), camera_info())
    assert good.result == Status.ACCEPTED and good.frames_bad >= 1


@pytest.mark.parametrize(
    ('info', 'result', 'reason'),
    [
        (camera_info(k=[0.0] * 9), Status.NO_CAMERA_INFO, 'zero'),
        (camera_info(k=[math.nan] * 9), Status.NO_CAMERA_INFO, 'NaN'),
        (camera_info(d=[math.nan] * 5), Status.NO_CAMERA_INFO, 'NaN'),
        (camera_info(k=[-1.0, 0, 64, 0, 110, 48, 0, 0, 1]), Status.NO_CAMERA_INFO, 'positive'),
        (camera_info(distortion_model='fancy', d=[1.0]), Status.NO_CAMERA_INFO, 'fancy'),
        (camera_info(width=640, height=480), Status.BAD_IMAGE, '640x480'),
    ],
    ids=['zero K', 'NaN K', 'NaN D', 'negative', 'unknown model', 'other size'],
)
def test_bad_camera_info(robot, info, result, reason):
    status = robot.answer_to(texture(1), info)
    assert status.result == result and reason in status.reason
    assert robot.answer_to(texture(1), camera_info()).result == Status.ACCEPTED


@pytest.mark.parametrize(
    ('offset_s', 'reason'), [(None, 'no time stamp'), (60, 'in the future'), (-60, 's old')]
)
def test_bad_stamp(robot, offset_s, reason):
    stamp = 0 if offset_s is None else robot.now() + offset_s * SECOND
    status = robot.answer_to(texture(1), stamp=stamp)
    assert status.result == Status.STALE and reason in status.reason


def test_every_image_is_answered_or_counted(robot):
    """Also those that the reader replaced while the node was busy."""
    first = robot.answer_to(texture(1), camera_info())
    answered = len(robot.of('status'))
    for _ in range(200):
        robot.show(texture(1))
        robot.spin(lambda: False, 0.002)
    robot.spin(lambda: False, 1.0)
    last = robot.answer_to(texture(1))
    dropped = last.frames_dropped - first.frames_dropped
    answered = len(robot.of('status')) - answered
    assert dropped > 0  # or the camera is too slow for this test
    if HAS_MESSAGE_INFO:
        assert 0 <= 201 - answered - dropped <= 2  # lost on the way


def test_each_reason_is_logged_beside_others(robot):
    """A reason that comes with every image hides none that comes between."""
    rare = raw('rare1', bytes(96 * 128))
    for _ in range(3):
        robot.answer_to(np.zeros((96, 128), np.uint8), camera_info())
    robot.answer_to(rare, camera_info())
    robot.process.wait_for("BAD_IMAGE: unknown image encoding 'rare1'", 2.0)


def test_an_image_that_agrees_with_too_little(robot):
    assert robot.set_parameter('min_inliers', 100_000).successful
    before = len(robot.of('pose'))
    status = robot.answer_to(texture(1), camera_info())
    assert status.result == Status.LOW_INLIERS and '100000' in status.reason
    assert len(robot.of('pose')) == before and status.consecutive_rejected > 0
    assert robot.set_parameter('min_inliers', 0).successful
    assert robot.answer_to(texture(1), camera_info()).result == Status.ACCEPTED


def test_camera_pose_is_published_without_camera_in_tf(robot):
    status = robot.answer_to(texture(1), camera_info(), frame_id='nowhere')
    assert status.result == Status.TF_UNAVAILABLE and 'nowhere' in status.reason
    last(robot, 'camera_pose', status)
    assert all(m.header.stamp != status.header.stamp for m in robot.of('pose'))


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('max_rate', -1.0, 'range'),
        ('covariance_mode', 'guess', 'calibrated'),
        ('map_frame', 'mars', 'read'),
        ('map', '/no/such.map', 'no such map'),
        ('map', '~no_such_user/a.map', 'no such user'),
        ('map', 'a.map', f'{Path.cwd()}/a.map'),
    ],
)
def test_bad_parameters_are_refused_with_a_reason(robot, name, value, reason):
    result = robot.set_parameter(name, value)
    assert not result.successful and reason in result.reason


def test_an_unloadable_map_leaves_the_old_one(robot, map_path, tmp_path):
    data = map_path.read_bytes()
    (tmp_path / 'half.map').write_bytes(data[: len(data) // 2])
    (tmp_path / 'foreign.map').write_bytes(b'PK\x03\x04' + bytes(500))
    for name, reason in (('half', 'truncated'), ('foreign', 'not a dsac_ros map')):
        result = robot.set_parameter('map', str(tmp_path / f'{name}.map'))
        assert not result.successful and reason in result.reason
    status = robot.answer_to(texture(1), camera_info())
    assert status.result == Status.ACCEPTED


def change_map(robot, path):
    """Set the parameter and wait until the map has taken over."""
    count = len(robot.of('map_info'))
    assert robot.set_parameter('map', str(path)).successful
    assert robot.spin(lambda: len(robot.of('map_info')) > count), robot.process.output
    assert robot.of('map_info')[-1].map_url == str(path)


def test_a_new_map_takes_over(robot, map_path, tmp_path, localizer):
    change_map(robot, untrained_map(tmp_path / 'second.map', seed=1))
    assert robot.of('map_info')[-1].name == 'untrained 1'
    status = robot.answer_to(texture(1), camera_info())
    assert status.map_id not in ('', localizer.map.id)
    change_map(robot, map_path)
    assert robot.answer_to(texture(1), camera_info()).map_id == localizer.map.id


def test_a_new_map_resets_localized(robot, map_path, tmp_path):
    """No image was localized in the new map yet."""
    assert robot.answer_to(texture(1), camera_info()).result == Status.ACCEPTED
    assert robot.of('localized')[-1].data
    for path in (untrained_map(tmp_path / 'other.map', seed=2), map_path):
        change_map(robot, path)
        assert robot.spin(lambda: not robot.of('localized')[-1].data, 5.0)
        assert robot.answer_to(texture(1), camera_info()).consecutive_accepted == 1
        assert robot.of('localized')[-1].data


def test_rotate_180_and_map_alignment(robot, localizer):
    assert robot.set_parameter('rotate_180', True).successful
    turned = np.ascontiguousarray(texture(1)[::-1, ::-1])
    status = robot.answer_to(turned, camera_info())
    expected = localizer.localize(Frame(texture(1), CAMERA)).world_from_camera
    pose = matrix(last(robot, 'camera_pose', status))
    assert np.allclose(pose, expected @ np.diag([-1, -1, 1, 1]), atol=1e-4)
    assert robot.set_parameter('rotate_180', False).successful
    assert robot.set_parameter('map_alignment', ALIGNMENT).successful
    status = robot.answer_to(texture(1), camera_info())
    aligned = conversions.matrix_from_xyz_rpy(ALIGNMENT) @ expected
    assert np.allclose(matrix(last(robot, 'camera_pose', status)), aligned, atol=1e-4)
    base = aligned @ np.linalg.inv(BASE_FROM_CAMERA)
    assert np.allclose(matrix(last(robot, 'pose', status)), base, atol=1e-4)
    assert robot.set_parameter('map_alignment', [0.0] * 6).successful


def test_lifecycle_again_and_again(robot):
    for _ in range(3):
        for transition in (
            Transition.TRANSITION_DEACTIVATE,
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_ACTIVATE,
        ):
            assert robot.change_state(transition), robot.process.output
    robot.spin(lambda: robot.images.get_subscription_count() > 0)
    assert robot.answer_to(texture(1), camera_info()).result == Status.ACCEPTED


def test_the_node_said_why_and_ends_in_order(robot):
    assert 'BAD_IMAGE: ' in robot.process.output
    assert 'Traceback' not in robot.process.output
    assert robot.process.stop(signal.SIGINT) == 0


def test_without_a_map_it_waits_for_one(map_path):
    """Also: no camera_info, compressed images, a namespace, map -> odom until a rival comes."""
    robot = Robot(
        namespace='atlas',
        transport='compressed',
        image_transport='compressed',
        tf_mode='auto',
        max_ratte=3.0,
        input_timeout=0.5,
        **ACCEPT_ALL,
    )
    try:
        robot.listen_to_relocalizer()
        robot.process.wait_for(
            "'max_ratte' is not known and has no effect: did you mean 'max_rate'?", 90.0
        )
        robot.process.wait_for('parameter map is empty', 90.0)
        assert not robot.set_parameter('map', '/no/such.map').successful
        assert robot.set_parameter('map', str(map_path)).successful
        robot.wait_for_node()
        robot.process.wait_for('no images on /atlas/image/compressed for')
        jpeg = CompressedImage(format='jpeg')
        jpeg.data.frombytes(cv2.imencode('.jpg', cv2.GaussianBlur(texture(2), (0, 0), 1))[1])
        status = robot.answer_to(jpeg)
        assert status.result == Status.NO_CAMERA_INFO
        assert (
            'no camera_info on /atlas/camera_info for' in status.reason
            and '/atlas/robot publishes it but sends nothing' in status.reason
        )
        broken = CompressedImage(format='jpeg')
        broken.data.frombytes(b'no jpeg at all')
        assert robot.answer_to(broken, camera_info()).result == Status.BAD_IMAGE

        odom_from_base = conversions.matrix_from_xyz_rpy([1.0, -2.0, 0.0, 0.0, 0.0, 0.7])

        def drive():
            for offset in (-SECOND // 2, 0, SECOND // 2, SECOND):
                robot.tf.sendTransform(
                    conversions.transform_message(
                        'odom', 'base_link', robot.now() + offset, odom_from_base
                    )
                )

        robot.spin(lambda: False, 2.0)
        drive()
        status = robot.answer_to(jpeg, camera_info())
        assert status.result == Status.ACCEPTED, status.reason
        base = matrix(last(robot, 'pose', status))
        assert robot.spin(lambda: len(robot.transforms('odom')) >= 5)
        sent = robot.transforms('odom')[-1]
        map_from_odom = conversions.matrix_from_transform(sent.transform)
        assert np.allclose(map_from_odom, planar_correction(base, odom_from_base), atol=1e-4)
        assert stamp_ns(sent.header.stamp) > robot.now() - SECOND

        # what was found before the map moved must not be sent on as if it were found since
        assert robot.set_parameter('map_alignment', ALIGNMENT).successful
        robot.spin(lambda: False, 0.3)
        count = len(robot.transforms('odom'))
        robot.spin(lambda: False, 0.5)
        assert len(robot.transforms('odom')) == count
        drive()
        assert robot.answer_to(jpeg, camera_info()).result == Status.ACCEPTED
        assert robot.spin(lambda: len(robot.transforms('odom')) >= count + 3)
        map_from_odom = conversions.matrix_from_transform(robot.transforms('odom')[-1].transform)
        expected = planar_correction(
            conversions.matrix_from_xyz_rpy(ALIGNMENT) @ base, odom_from_base
        )
        assert np.allclose(map_from_odom, expected, atol=1e-4)

        rival = conversions.transform_message('map', 'odom', robot.now(), np.eye(4))
        robot.tf.sendTransform(rival)
        robot.process.wait_for('another node publishes map -> odom')
        robot.spin(lambda: False, 0.3)
        count = len(robot.transforms('odom'))
        robot.spin(lambda: False, 0.5)
        assert len(robot.transforms('odom')) == count
        assert robot.process.stop(signal.SIGTERM) == 0
    finally:
        robot.close()
