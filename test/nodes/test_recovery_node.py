# SPDX-License-Identifier: Apache-2.0
"""The real relocalizer asks for, gives and verifies poses beside a localizer; all over DDS.

An untrained map gives one image one pose, which is as good as a right one here: the robot stands
still in front of one picture.
"""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from robot import ACCEPT_ALL, LATCHED, Robot, camera_info, texture, untrained_map
from std_msgs.msg import Bool
from std_msgs.msg import Empty as EmptyMessage
from std_srvs.srv import Empty, SetBool, Trigger

from dsac_ros.msg import RelocalizationStatus
from dsac_ros.nodes import conversions

QUICK = {
    **ACCEPT_ALL,
    'tf_mode': 'none',
    'settle_time': 1.0,
    'localizer_timeout': 0.5,
    'min_seconds_between_attempts': 0.5,
    'viewpoint_change_xy': 0.0,
    'relocalize_timeout': 8.0,
    'kidnap_xy': 0.5,
}
STATUS = RelocalizationStatus()
ODOM_FROM_BASE = np.eye(4)
ODOM_FROM_BASE[:3, 3] = 3.0, 1.0, 0.0


class Scene:
    """A robot at rest, and a localizer that follows seeds when it is told to."""

    def __init__(self, map_path, **parameters) -> None:
        self.robot = Robot(map=str(map_path), **{**QUICK, **parameters})
        self.robot.listen_to_relocalizer()
        self.robot.listen(Bool, f'{self.robot.me}/kidnapped', LATCHED)
        self.map_from_odom, self.follows, self.seeds = None, True, []
        self.odom_from_base, self.step_m = ODOM_FROM_BASE.copy(), 0.0
        self.robot.node.create_subscription(
            PoseWithCovarianceStamped, 'initialpose', self.on_seed, 10
        )
        self.robot.wait_for_node()

    def on_seed(self, seed: PoseWithCovarianceStamped) -> None:
        self.seeds.append(seed)
        if self.follows:
            map_from_base = conversions.matrix_from_pose(seed.pose.pose)
            self.map_from_odom = map_from_base @ np.linalg.inv(self.odom_from_base)

    def live(self, condition=lambda: False, seconds: float = 30.0, image=None) -> bool:
        """Publish odometry, localizer and images until the condition holds."""
        robot, image = self.robot, texture(1) if image is None else image
        for step in range(int(seconds / 0.05)):
            now = robot.now()
            self.odom_from_base[0, 3] += self.step_m
            robot.tf.sendTransform(
                conversions.transform_message('odom', 'base_link', now, self.odom_from_base)
            )
            if self.map_from_odom is not None:
                robot.tf.sendTransform(
                    conversions.transform_message(
                        'map', 'odom', now + 100_000_000, self.map_from_odom
                    )
                )
            if step % 3 == 0 and image is not False:
                robot.show(image, camera_info() if step % 30 == 0 else None, now)
            if robot.spin(condition, 0.05):
                return True
        return False

    def ask(self, kind=Trigger, name: str = 'trigger_relocalization', request=None, **life):
        """Live on until a service has answered; its response."""
        client = self.robot.node.create_client(kind, f'{self.robot.me}/{name}')
        assert client.wait_for_service(timeout_sec=20.0)
        future = client.call_async(request or kind.Request())
        assert self.live(future.done, 40.0, **life), self.robot.process.output
        self.robot.node.destroy_client(client)
        return future.result()

    def says(self, topic: str) -> bool | None:
        heard = self.robot.of(topic)
        return heard[-1].data if heard else None

    @property
    def state(self) -> int:
        return self.robot.of('status')[-1].state if self.robot.of('status') else 0


@pytest.fixture
def make_scene(tmp_path):
    scenes = []

    def make(**parameters) -> Scene:
        scenes.append(Scene(untrained_map(tmp_path / 'untrained.map'), **parameters))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.robot.close()


def test_trigger_seeds_and_answers_verified(make_scene):
    scene = make_scene()
    answer = scene.ask()
    assert answer.success, answer.message
    assert len(scene.seeds) == 1
    assert scene.seeds[0].header.frame_id == 'map'
    assert scene.live(lambda: scene.says('localized') is True)
    assert scene.ask().success, 'a healthy robot is verified again'
    assert len(scene.seeds) == 1, 'and not disturbed'


def test_trigger_tells_why_not(make_scene):
    scene = make_scene(relocalize_timeout=2.0)
    answer = scene.ask(image=np.zeros((96, 128), np.uint8))
    assert not answer.success
    assert 'not verified within 2 s: 0 of' in answer.message
    assert 'no contrast' in answer.message
    answer = scene.ask(image=False)
    assert '0 of 0 images accepted' in answer.message
    assert scene.seeds == []


def test_localizer_that_does_not_follow(make_scene):
    scene = make_scene(max_attempts=2, relocalize_timeout=30.0)
    scene.follows = False
    scene.map_from_odom = np.eye(4)
    answer = scene.ask()
    assert not answer.success
    assert 'did not follow 2 seeds' in answer.message
    assert len(scene.seeds) == 2
    assert scene.live(lambda: scene.state == RelocalizationStatus.GAVE_UP)


def test_kidnap_is_noticed_and_repaired(make_scene):
    scene = make_scene(publish_initialpose='auto')
    assert scene.live(lambda: scene.says('localized') is True)
    scene.follows = False
    scene.map_from_odom = np.array([[0, -1, 0, 7.0], [1, 0, 0, 7.0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    before = len(scene.seeds)
    assert scene.live(lambda: scene.says('kidnapped') is True)
    assert scene.says('localized') is False
    scene.follows = True
    assert scene.live(lambda: scene.says('kidnapped') is False)
    assert scene.says('localized') is True
    assert len(scene.seeds) > before


def test_a_seed_waits_for_the_stop(make_scene):
    scene = make_scene(publish_initialpose='auto', require_stopped=True)
    scene.step_m, scene.map_from_odom = 0.05, np.eye(4)
    waits = 'the robot must stop for a seed'
    assert scene.live(lambda: waits in (scene.robot.of('status') or [STATUS])[-1].reason)
    assert scene.seeds == []
    scene.step_m = 0.0
    assert scene.live(lambda: scene.seeds)
    assert scene.live(lambda: scene.says('localized') is True)


def test_nothing_is_sent_unasked_by_default(make_scene):
    scene = make_scene()
    scene.map_from_odom = np.eye(4)
    assert scene.live(lambda: scene.says('kidnapped') is True)
    scene.live(seconds=3.0)
    assert scene.seeds == []
    scene.robot.node.create_publisher(EmptyMessage, 'trigger', 1).publish(EmptyMessage())
    publisher = scene.robot.node.create_publisher(EmptyMessage, 'trigger', 1)
    assert scene.robot.spin(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(EmptyMessage())
    assert scene.live(lambda: len(scene.seeds) > 0)


def test_reinitialize_answers_when_verified(make_scene):
    scene = make_scene()
    scene.ask(Empty, 'reinitialize_global_localization')
    assert len(scene.seeds) == 1
    assert scene.live(lambda: scene.says('localized') is True)


def test_set_enabled_and_clear(make_scene):
    scene = make_scene()
    assert scene.live(lambda: scene.state == RelocalizationStatus.LOCALIZED or scene.seeds)
    assert scene.ask(SetBool, 'set_enabled', SetBool.Request(data=False)).success
    scene.live(seconds=1.0)
    count = len(scene.robot.of('status'))
    scene.live(seconds=1.5)
    assert len(scene.robot.of('status')) == count
    assert scene.ask(SetBool, 'set_enabled', SetBool.Request(data=True)).success
    assert scene.live(lambda: len(scene.robot.of('status')) > count)
    scene.ask(Empty, 'clear', image=False)
    assert scene.live(lambda: scene.says('localized') is False, image=False)


def test_inactive_node_says_so(make_scene):
    scene = make_scene()
    assert scene.robot.change_state(4)  # deactivate
    for answer in (
        scene.ask(),
        scene.ask(SetBool, 'set_enabled', SetBool.Request(data=True)),
    ):
        assert not answer.success and 'not active' in answer.message
