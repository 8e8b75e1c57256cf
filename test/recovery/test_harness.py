# SPDX-License-Identifier: Apache-2.0
"""The parts that the scenarios stand on: robot, stand-in for AMCL, map."""

from __future__ import annotations

import json
import math

import figures
import numpy as np
import pytest
import se2
from amcl_stand_in import AmclStandIn
from geometry_msgs.msg import PoseWithCovarianceStamped
from places import BASE_FROM_CAMERA, CAMERA, GOOD_VIEW_M, Place
from simulated_robot import SENSOR, SPEED_MPS, TURN_RATE, SimulatedRobot

from dsac_ros.nodes import conversions
from dsac_ros.types import Frame

SECOND = 1_000_000_000
TICK_S = 0.1
RVIZ_COVARIANCE = np.diag([0.25, 0.25, 0.0, 0.0, 0.0, 0.0685])


@pytest.fixture
def robot():
    return SimulatedRobot(Place(), seed=3)


@pytest.fixture
def amcl(ros_context, executor):
    node = AmclStandIn(lambda: np.zeros(3), context=ros_context)
    executor.add_node(node)
    return node


def seed_message(pose=(0.0, 0.0, 0.0), covariance=RVIZ_COVARIANCE, stamp=SECOND, frame='map'):
    message = PoseWithCovarianceStamped(header=conversions.header(frame, stamp))
    message.pose.pose = conversions.pose_message(se2.to_matrix(np.array(pose)))
    message.pose.covariance = conversions.covariance_values(covariance)
    return message


def test_the_robot_drives_smoothly_in_free_space(robot):
    poses = [robot.truth]
    for _ in range(1200):
        robot.advance(TICK_S)
        poses.append(robot.truth)
    poses = np.stack(poses)
    steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    turns = np.array([se2.wrapped(a) for a in np.diff(poses[:, 2])])
    assert steps.max() <= 1.01 * SPEED_MPS * TICK_S
    assert np.abs(turns).max() <= 1.01 * TURN_RATE * TICK_S
    assert steps.sum() > 20.0
    assert robot.place.space.clearance_at(poses[:, :2]).min() > 0.2
    # On two wheels it moves where it looks.
    moved = np.stack([se2.relative(a, b) for a, b in zip(poses, poses[1:])])
    assert np.abs(moved[:, 1]).max() < 0.01


def test_odometry_drifts_a_little(robot):
    start, driven = robot.truth, 0.0
    for _ in range(600):
        before = robot.truth
        robot.advance(TICK_S)
        driven += se2.difference(before, robot.truth)[0]
    metres, degrees = se2.difference(robot.odometry, se2.relative(start, robot.truth))
    assert 0.001 * driven < metres < 0.1 * driven
    assert 0.1 < degrees < 30.0


def test_odometry_does_not_notice_a_kidnap(robot):
    robot.advance(TICK_S)
    before = robot.odometry
    robot.kidnap(np.array((1.0, 1.0, 0.5)))
    assert (robot.odometry == before).all() and (robot.truth == (1.0, 1.0, 0.5)).all()
    robot.parked = True
    robot.advance(1.0)
    assert (robot.odometry == before).all() and (robot.truth == (1.0, 1.0, 0.5)).all()


def test_a_covered_and_a_dirty_camera(robot):
    clean, _ = robot.take_image()
    robot.dirty = True
    dirty, _ = robot.take_image()
    third = CAMERA.size_wh[0] // 3
    # Dark in the light that reaches the sensor; its values are a root of that.
    assert dirty[:, :third].mean() < 0.35 * clean[:, :third].mean()
    assert dirty[:, third:].mean() > 0.5 * clean[:, third:].mean()
    robot.covered = True
    assert robot.take_image()[0].mean() < 12


def test_stand_in_takes_a_sound_seed(amcl):
    amcl.scan(SECOND, np.zeros(3))
    amcl.on_seed(seed_message((0.5, 0.0, 0.0), 1e-9 * np.eye(6)))
    assert len(amcl.accepted) == 1 and not amcl.rejected
    assert np.allclose(amcl.pose, (0.5, 0, 0), atol=1e-3)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda m: setattr(m.header, 'frame_id', '/map'), 'frame'),
        (lambda m: setattr(m.header, 'frame_id', 'odom'), 'frame'),
        (lambda m: setattr(m.pose.pose.orientation, 'w', 1.001), 'quaternion'),
        (lambda m: setattr(m.pose.pose.orientation, 'w', 0.0), 'quaternion'),
        (lambda m: setattr(m.pose.pose.position, 'z', math.nan), 'finite'),
        (lambda m: m.pose.covariance.__setitem__(1, -1e-6), 'covariance[1]'),
        (lambda m: m.pose.covariance.__setitem__(35, math.nan), 'covariance[35]'),
        (lambda m: m.pose.covariance.__setitem__(14, 1.1e9), 'covariance[14]'),
    ],
    ids=['slash', 'odom', 'length', 'zero', 'NaN', 'negative', 'NaN sigma', 'huge'],
)
def test_stand_in_rejects_as_amcl_does(amcl, change, reason):
    message = seed_message()
    change(message)
    amcl.on_seed(message)
    assert reason in amcl.rejected[0] and not amcl.accepted and amcl.pose is None


def test_stand_in_carries_a_seed_to_now(amcl):
    for k in range(11):
        amcl.scan(SECOND + k * SECOND // 10, np.array((0.1 * k, 0.0, 0.0)))
    amcl.on_seed(seed_message((5.0, 0.0, np.pi / 2), np.zeros((6, 6)), SECOND + SECOND // 2))
    assert np.allclose(amcl.pose, (5.0, 0.5, np.pi / 2), atol=1e-6)
    assert amcl.without_odometry == 0
    amcl.on_seed(seed_message((5.0, 0.0, np.pi / 2), np.zeros((6, 6)), 9 * SECOND))
    assert np.allclose(amcl.pose, (5.0, 0.0, np.pi / 2), atol=1e-6)
    assert amcl.without_odometry == 1


@pytest.mark.parametrize(
    ('start', 'found'), [((0.6, 0.3, 0.3), True), ((3, 0, 0), False), ((0, 0, 1), False)]
)
def test_stand_in_converges_within_its_basin(amcl, start, found):
    amcl.place_at(np.array(start, float))
    # Driving to and fro; the truth stays where it is, as if the odometry were all drift.
    for k in range(40):
        amcl.scan(SECOND * (k + 1), np.array((0.3 * (k % 2), 0.0, 0.0)))
    assert (amcl.error()[0] < 0.35 and amcl.error()[1] < 5.0) is found


def test_stand_in_on_the_graph(amcl, make_node, spin_until):
    listener, heard = make_node('listener'), []
    listener.create_subscription(
        PoseWithCovarianceStamped, 'amcl_pose', lambda m: heard.append(m), 1
    )
    publisher = listener.create_publisher(PoseWithCovarianceStamped, 'initialpose', 1)
    assert spin_until(lambda: publisher.get_subscription_count() > 0)
    amcl.scan(SECOND, np.zeros(3))
    publisher.publish(seed_message((0.1, 0.0, 0.0)))
    assert spin_until(lambda: amcl.accepted)
    amcl.scan(2 * SECOND, np.zeros(3))
    assert spin_until(lambda: heard)
    assert heard[-1].header.frame_id == 'map'


def test_figures_become_a_table(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'figures.json'
    monkeypatch.setenv(figures.VARIABLE, str(path))
    figures.record('start lost', seconds=3.5, wrong_seeds=1)
    figures.record('start lost', seconds=2.5, wrong_seeds=0)
    assert json.loads(path.read_text().splitlines()[0])['seconds'] == 3.5
    figures.main(str(path))
    assert '| start lost | seconds 2.5, wrong seeds 0 |' in capsys.readouterr().out


@pytest.mark.slow
def test_the_map_knows_the_room(room_map):
    from dsac_ros.localizer import Localizer

    localizer = Localizer.load(room_map, 'cpu')
    localizer.warm_up()
    place, rng = Place(), np.random.default_rng(9)
    good = found = wrong = 0
    while good < 60:
        pose = place.random_pose(rng)
        light, depth = place.render(pose)
        image = SENSOR.expose(light, depth, CAMERA, np.eye(4), np.ones(3), rng)
        localization = localizer.localize(Frame(image, CAMERA))
        is_good = float(np.median(depth)) >= GOOD_VIEW_M
        good += is_good
        if localization.accepted:
            base = localization.world_from_camera @ np.linalg.inv(BASE_FROM_CAMERA)
            metres, degrees = se2.difference(se2.from_matrix(base), pose)
            right = metres < 0.25 and degrees < 5.0
            wrong += not right
            found += right and is_good
    figures.record('map: random good views', localized=f'{100 * found / good:.0f} %', wrong=wrong)
    assert found >= 0.95 * good and wrong == 0
