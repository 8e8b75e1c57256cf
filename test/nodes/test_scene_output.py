# SPDX-License-Identifier: Apache-2.0
"""~/candidates, ~/map_points, ~/markers and /diagnostics of a relocalizer on the graph."""

from __future__ import annotations

import math

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray
from lifecycle_msgs.msg import Transition
from robot import (
    ACCEPT_ALL,
    BASE_FROM_CAMERA,
    LATCHED,
    Robot,
    camera_info,
    texture,
    untrained_map,
)
from sensor_msgs.msg import PointCloud2
from sensor_msgs_py import point_cloud2
from visualization_msgs.msg import Marker, MarkerArray

from dsac_ros.alignment.reference_image import ReferenceImage, compressed
from dsac_ros.map_file import load_map, save_map
from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.network.encoder import load_encoder
from dsac_ros.network.head import Head, HeadConfig
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.nodes import conversions

ALIGNMENT = [5.0, -3.0, 0.5, 0.0, 0.0, 1.5]
ORIGIN = np.array([1.0, 2.0, 3.0])
VIEWS = 3


def map_with_views(path):
    """A map that nobody learned, with reference images of noise and their landmarks."""
    encoder, encoder_id = load_encoder()
    network = SceneNetwork(encoder, Head(encoder.config.descriptor, HeadConfig(16, 1)), 2.5).eval()
    rng = np.random.default_rng(0)
    views = []
    for k in range(VIEWS):
        camera_from_map = np.eye(4)
        camera_from_map[0, 3] = -0.5 * k
        views.append(
            ReferenceImage(
                compressed(texture(10 + k)),
                np.array([[110.0, 0, 63.5], [0, 110.0, 47.5], [0, 0, 1]]),
                camera_from_map,
                rng.integers(5, 90, (40, 2)),
                rng.uniform(1.0, 4.0, 40).astype(np.float32),
                np.ones(encoder.config.descriptor, np.float32),
            )
        )
    header = {
        'origin': ORIGIN.tolist(),
        'encoder_id': encoder_id,
        'frames': 7,
        'short_side': 96,
        'network_focal_px': 80.0,
        'name': 'views',
        'map_frame': 'map',
    }
    save_map(path, network, header, views)
    return path


@pytest.fixture(scope='module')
def robot(tmp_path_factory):
    path = map_with_views(tmp_path_factory.mktemp('maps') / 'views.map')
    robot = Robot(
        map=str(path),
        tf_mode='none',
        map_alignment=ALIGNMENT,
        kidnap_xy=99.0,
        kidnap_yaw=180.0,
        **ACCEPT_ALL,
    )
    robot.listen_to_relocalizer()
    robot.listen(DiagnosticArray, '/diagnostics')
    robot.listen(PointCloud2, f'{robot.me}/map_points', LATCHED)
    robot.wait_for_node()
    robot.path = path
    yield robot
    robot.close()


def diagnostics(robot):
    """The last statuses by the second part of their name."""
    return {one.name.split(': ')[1]: one for one in robot.heard['/diagnostics'][-1].status}


def settled(robot, condition):
    """The first diagnostics that meet a condition."""
    assert robot.spin(
        lambda: robot.heard['/diagnostics'] and condition(diagnostics(robot)), 10.0
    ), robot.heard['/diagnostics'][-1:]
    return diagnostics(robot)


def tell_tf(robot, stamp, map_from_base):
    """Publish map -> odom -> base_link as AMCL and the wheels do, around a stamp."""
    for offset in (-200_000_000, 0, 200_000_000):
        robot.tf.sendTransform(
            [
                conversions.transform_message('map', 'odom', stamp + offset, map_from_base),
                conversions.transform_message('odom', 'base_link', stamp + offset, np.eye(4)),
            ]
        )


def test_map_points_are_the_landmarks_in_the_map_frame(robot):
    assert robot.spin(lambda: robot.of('map_points'))
    (cloud,) = robot.of('map_points')
    read = point_cloud2.read_points(cloud)
    found = np.stack([read[name] for name in 'xyz'], axis=1)
    loaded = load_map(robot.path, 'cpu')
    expected = np.concatenate([one.points for one in loaded.reference_images]) + ORIGIN
    alignment = conversions.matrix_from_xyz_rpy(ALIGNMENT)
    expected = expected @ alignment[:3, :3].T + alignment[:3, 3]
    assert cloud.header.frame_id == 'map' and cloud.header.stamp.sec == 0  # valid at any time
    assert found.shape == (40 * VIEWS, 3) and np.allclose(found, expected, atol=1e-4)


def test_candidates_begin_with_the_pose(robot):
    heard = robot.listen(PoseArray, f'{robot.me}/candidates')
    for _ in range(10):
        status = robot.answer_to(texture(1), camera_info())
        if robot.spin(lambda: heard, 1.0):
            break
    stamp = heard[-1].header.stamp
    status = next(one for one in robot.of('status') if one.header.stamp == stamp)
    assert status.result == Status.ACCEPTED and heard[-1].header.frame_id == 'map'
    first, pose = (
        conversions.matrix_from_pose(one) for one in (heard[-1].poses[0], status.pose.pose)
    )
    assert np.allclose(first, pose, atol=1e-6)


def test_markers_show_camera_ellipsoid_and_views(robot):
    heard = robot.listen(MarkerArray, f'{robot.me}/markers')
    for _ in range(10):
        robot.answer_to(texture(1), camera_info())
        if robot.spin(lambda: any(len(array.markers) == 3 for array in heard), 1.0):
            break
    array = next(array for array in heard if len(array.markers) == 3)
    camera, ellipsoid, views = array.markers
    assert (camera.ns, ellipsoid.ns, views.ns) == (
        'camera camera',
        'covariance',
        'reference views',
    )
    stamp = camera.header.stamp
    status = next(one for one in robot.of('status') if one.header.stamp == stamp)
    base = conversions.matrix_from_pose(status.pose.pose)
    assert np.allclose(
        conversions.matrix_from_pose(camera.pose), base @ BASE_FROM_CAMERA, atol=1e-6
    )
    variances = np.linalg.eigvalsh(np.reshape(status.pose.covariance, (6, 6))[:3, :3])
    axes = [ellipsoid.scale.x, ellipsoid.scale.y, ellipsoid.scale.z]
    assert np.allclose(axes, 4 * np.sqrt(variances), rtol=1e-4)  # 2 sigma on both sides
    alignment = conversions.matrix_from_xyz_rpy(ALIGNMENT)
    apexes = [[one.x, one.y, one.z] for one in views.points[:: len(views.points) // VIEWS]]
    expected = [(alignment @ [*(ORIGIN + [0.5 * k, 0, 0]), 1.0])[:3] for k in range(VIEWS)]
    assert np.allclose(apexes, expected, atol=1e-6)
    # the map's views are sent once to each listener
    count = len(heard)
    robot.answer_to(texture(1), camera_info())
    assert robot.spin(lambda: len(heard) > count, 5.0) and len(heard[-1].markers) == 2


def test_a_refused_image_shows_its_best_guess(robot):
    heard = robot.listen(MarkerArray, f'{robot.me}/markers')
    poses = robot.listen(PoseArray, f'{robot.me}/candidates')
    assert robot.set_parameter('min_inlier_ratio', 1.0).successful
    try:
        del heard[:], poses[:]
        status = robot.answer_to(texture(2), camera_info())
        assert status.result == Status.LOW_INLIERS
        assert robot.spin(lambda: heard and poses, 5.0)
    finally:
        assert robot.set_parameter('min_inlier_ratio', 0.0).successful
    guess = heard[-1].markers[0]
    assert guess.ns == 'refused camera' and guess.lifetime.sec == 1
    assert 'covariance' not in [one.ns for one in heard[-1].markers]
    base = conversions.matrix_from_pose(guess.pose) @ np.linalg.inv(BASE_FROM_CAMERA)
    assert np.allclose(conversions.matrix_from_pose(poses[-1].poses[0]), base, atol=1e-6)


def test_divergence_is_known_while_another_localizes(robot):
    status = robot.answer_to(texture(1), camera_info())
    assert math.isnan(status.divergence_translation) and math.isnan(status.divergence_rotation)
    seen = conversions.matrix_from_pose(status.pose.pose)
    off = seen @ conversions.matrix_from_xyz_rpy([3.0, 4.0, 0.0, 0.0, 0.0, 0.5])
    stamp = robot.now()
    tell_tf(robot, stamp, off)
    robot.spin(lambda: False, 0.3)
    status = robot.answer_to(texture(1), camera_info(), stamp=stamp + 100_000_000)
    assert status.result == Status.ACCEPTED
    assert status.divergence_translation == pytest.approx(5.0, abs=1e-3)
    assert status.divergence_rotation == pytest.approx(0.5, abs=1e-3)


def test_diagnostics_tell_the_health_of_the_node(robot):
    is_fine = lambda now: now['localization'].level == DiagnosticStatus.OK  # noqa: E731
    for _ in range(5):  # TF of another localizer, if it was there a moment ago, is waited for
        robot.answer_to(texture(1), camera_info())
        if robot.spin(lambda: robot.heard['/diagnostics'] and is_fine(diagnostics(robot)), 2.5):
            break
    found = settled(robot, is_fine)
    assert list(found) == ['input', 'inference', 'localization', 'tf', 'map']
    assert found['map'].name == f'{robot.me}: map' and found['map'].message == 'views'
    values = {one.key: one.value for status in found.values() for one in status.values}
    assert values['encoding'] == 'mono8' and values['device'] == 'cpu'
    assert values['intrinsics'].startswith('128x96, f 110.0')
    assert values['map_id'] == robot.of('map_info')[-1].map_id
    stamps = [one.header.stamp.sec for one in robot.heard['/diagnostics']]
    assert len(stamps) > 1 and stamps == sorted(stamps)


def test_another_map_is_shown_in_place_of_the_first(robot):
    other = str(untrained_map(robot.path.with_name('other.map')))
    points = len(robot.of('map_points'))
    assert robot.set_parameter('map', other).successful
    try:
        assert robot.spin(lambda: len(robot.of('map_points')) > points)
        assert robot.of('map_points')[-1].width == 0  # this one has no landmarks
        found = settled(robot, lambda now: now['map'].message == 'untrained 0')
        assert {one.key: one.value for one in found['map'].values}['file'] == other
    finally:
        assert robot.set_parameter('map', str(robot.path)).successful
    assert robot.spin(lambda: robot.of('map_points')[-1].width == 40 * VIEWS)


def test_an_inactive_node_says_so_and_clears_markers(robot):
    heard = robot.listen(MarkerArray, f'{robot.me}/markers')
    robot.answer_to(texture(1), camera_info())
    assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
    found = settled(robot, lambda now: now['input'].level == DiagnosticStatus.STALE)
    assert found['map'].level == DiagnosticStatus.OK
    assert robot.spin(lambda: heard[-1].markers[0].action == Marker.DELETEALL, 5.0)
    assert robot.change_state(Transition.TRANSITION_CLEANUP)
    settled(robot, lambda now: now['map'].level == DiagnosticStatus.ERROR)
