# SPDX-License-Identifier: Apache-2.0
"""Cameras of the relocalizer as a process: several, latched info, calibration files, QoS."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from lifecycle_msgs.msg import Transition
from robot import (
    ACCEPT_ALL,
    BASE_FROM_CAMERA,
    CAMERA,
    LATCHED,
    LOOSE,
    Robot,
    camera_info,
    texture,
)
from sensor_msgs.msg import CameraInfo, Image

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.localizer import Localizer
from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.types import Frame

SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def localizer(map_path):
    return Localizer.load(
        map_path, 'cpu', RansacConfig(hypotheses=64), AcceptConfig(0.0, 0, 0.0, 0.0)
    )


@pytest.fixture
def start(map_path):
    def make(**options):
        robots.append(Robot(**{'map': str(map_path), 'tf_mode': 'none', **ACCEPT_ALL, **options}))
        robots[-1].listen_to_relocalizer()
        return robots[-1]

    robots = []
    yield make
    for robot in robots:
        robot.close()


class NamedCamera:
    """A camera of its own topics on a robot."""

    def __init__(self, robot, name, base_from_camera=BASE_FROM_CAMERA):
        self.robot, self.name = robot, name
        self.images = robot.node.create_publisher(Image, f'{name}/image', LOOSE)
        self.infos = robot.node.create_publisher(CameraInfo, f'{name}/camera_info', LOOSE)
        robot.static.sendTransform(
            conversions.transform_message('base_link', f'{name}_optical', 0, base_from_camera)
        )

    def is_heard(self):
        return self.images.get_subscription_count() and self.infos.get_subscription_count()

    def show(self, image, info=None, stamp=None):
        """Publish an image; its stamp [ns]."""
        stamp = self.robot.now() if stamp is None else stamp
        head = conversions.header(f'{self.name}_optical', stamp)
        if info is not None:
            info.header = head
            self.infos.publish(info)
            self.robot.spin(lambda: False, 0.05)
        self.images.publish(conversions.image_message(image, head))
        return stamp

    def is_localized(self):
        """Warm up: until DDS has matched both ways, camera_info is lost."""
        return self.answer_to(texture(0), camera_info()).result == Status.ACCEPTED

    def statuses(self):
        return [m for m in self.robot.of('status') if m.camera == self.name]

    def answer_to(self, image, info=None, stamp=None):
        """The status of an image, shown again when it was lost on the way."""
        stamps = []
        for _ in range(6):
            stamps.append(self.show(image, info, stamp))
            if self.robot.spin(
                lambda: any(stamp_ns(m.header.stamp) in stamps for m in self.statuses()), 5.0
            ):
                return [m for m in self.statuses() if stamp_ns(m.header.stamp) in stamps][-1]
        raise AssertionError(f'no status; the node said:\n{self.robot.process.output}')


def test_two_cameras_each_with_its_own_info(start, localizer):
    """Their stamps need not rise together, and one camera's faults are not the other's."""
    robot = start(cameras=['left', 'right'], input_timeout=1.0)
    left = NamedCamera(robot, 'left')
    moved = BASE_FROM_CAMERA.copy()
    moved[:3, 3] += [-0.5, 0.2, 0.1]
    right = NamedCamera(robot, 'right', moved)
    robot.process.wait_for('waiting for images on /left/image, /right/image', 90.0)
    assert robot.spin(lambda: left.is_heard() and right.is_heard())
    robot.process.wait_for('no images on /left/image for')
    robot.process.wait_for('no camera_info on /right/camera_info for')

    assert robot.spin(lambda: left.is_localized() and right.is_localized())
    wide = camera_info(k=[80.0, 0, 63.5, 0, 80.0, 47.5, 0, 0, 1])
    now = robot.now()
    first = left.answer_to(texture(1), camera_info(), now)
    second = right.answer_to(texture(1), wide, now - SECOND // 1000)  # not after the left
    assert (first.result, second.result) == (Status.ACCEPTED, Status.ACCEPTED), second.reason
    for status, focal, base_from_camera in ((first, 110.0, BASE_FROM_CAMERA), (second, 80, moved)):
        matrix = CAMERA.matrix.copy()
        matrix[0, 0] = matrix[1, 1] = focal
        expected = localizer.localize(Frame(texture(1), replace(CAMERA, matrix=matrix)))
        base = expected.world_from_camera @ np.linalg.inv(base_from_camera)
        assert np.allclose(conversions.matrix_from_pose(status.pose.pose), base, atol=1e-4)
    late = right.answer_to(texture(1), wide, now - SECOND)
    assert late.result == Status.STALE and 'older than the last one' in late.reason
    other = camera_info(width=640, height=480)
    assert right.answer_to(texture(2), other).result == Status.BAD_IMAGE
    assert left.answer_to(texture(2)).result == Status.ACCEPTED


def test_a_fast_camera_leaves_a_slow_one_its_turn(start):
    robot = start(cameras=['fast', 'slow'])
    fast, slow = NamedCamera(robot, 'fast'), NamedCamera(robot, 'slow')
    robot.process.wait_for('waiting for images', 90.0)
    assert robot.spin(lambda: fast.is_heard() and slow.is_heard())
    assert robot.spin(lambda: fast.is_localized() and slow.is_localized())
    counts = len(fast.statuses()), len(slow.statuses())
    shown = 0
    end = time.monotonic() + 6.0
    for tick in range(360):
        fast.show(texture(tick % 7))
        if tick % 60 == 0:
            slow.show(texture(tick % 7))
            shown += 1
        robot.spin(lambda: False, max(0.001, end - 6.0 + (tick + 1) / 60 - time.monotonic()))
    robot.spin(lambda: len(slow.statuses()) - counts[1] >= shown, 5.0)
    assert len(slow.statuses()) - counts[1] >= shown - 1  # best effort: one may be lost
    assert len(fast.statuses()) - counts[0] >= len(slow.statuses()) - counts[1]


@pytest.mark.parametrize('is_first', [True, False], ids=['before', 'after'])
def test_info_sent_once_is_heard(start, is_first):
    """Latched, before or after the node, and again after each activation."""
    robot = start()
    robot.node.destroy_publisher(robot.infos)

    def send():
        robot.latched = robot.node.create_publisher(CameraInfo, 'camera_info', LATCHED)
        info = camera_info()
        info.header.frame_id = 'camera'
        robot.latched.publish(info)

    if is_first:
        send()
    robot.process.wait_for('waiting for images', 90.0)
    assert robot.spin(lambda: robot.images.get_subscription_count() > 0)
    if not is_first:
        assert robot.answer_to(texture(1)).result == Status.NO_CAMERA_INFO
        send()
    for _ in range(2):
        assert robot.spin(lambda: robot.answer_to(texture(1)).result == Status.ACCEPTED), (
            robot.process.output
        )
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        assert robot.spin(lambda: robot.images.get_subscription_count() > 0)


def test_a_calibration_file_in_place_of_info(start, tmp_path, localizer):
    path = tmp_path / 'front.yaml'
    path.write_text(
        yaml.safe_dump(
            {
                'image_width': 128,
                'image_height': 96,
                'camera_matrix': {'data': CAMERA.matrix.reshape(-1).tolist()},
                'distortion_model': 'plumb_bob',
                'distortion_coefficients': {'data': [0.0] * 5},
            }
        )
    )
    robot = start(camera_info_url=f'file://{path}')
    robot.process.wait_for('waiting for images', 90.0)
    assert robot.spin(lambda: robot.images.get_subscription_count() > 0)
    assert robot.infos.get_subscription_count() == 0
    status = robot.answer_to(texture(1))
    assert status.result == Status.ACCEPTED, status.reason
    expected = localizer.localize(Frame(texture(1), CAMERA))
    assert status.inlier_count == expected.statistics.inlier_count
    wrong = robot.answer_to(texture(1)[:64])
    assert wrong.result == Status.NO_CAMERA_INFO
    assert 'image is 128x64 but its calibration is for 128x96' in wrong.reason


@pytest.mark.parametrize(
    ('parameters', 'line'),
    [
        ({'camera_info_url': '/no/such.yaml'}, 'camera_info_url: /no/such.yaml cannot be read'),
        ({'camera_info_url': '/a/{name}.yaml'}, 'cameras names none'),
        ({'mask_path': '/no/mask.png'}, 'mask_path: /no/mask.png cannot be read as an image'),
        ({'cameras': ['left', 'left']}, "cameras is ['left', 'left'], expected each name once"),
    ],
    ids=['no file', 'no name', 'no mask', 'twice'],
)
def test_a_camera_that_cannot_be_set_up(start, parameters, line):
    robot = start(**parameters)
    robot.process.wait_for(line, 90.0)
    assert 'Traceback' not in robot.process.output


def test_reliable_images_by_an_override(start):
    robot = start(**{'qos_overrides./image.subscription.reliability': 'reliable'})
    robot.process.wait_for('waiting for images', 90.0)
    assert 'no effect' not in robot.process.output

    def reliabilities():
        found = robot.node.get_subscriptions_info_by_topic('/image')
        return [one.qos_profile.reliability.name for one in found]

    assert robot.spin(lambda: reliabilities() == ['RELIABLE'])
    robot.node.destroy_publisher(robot.images)
    robot.images = robot.node.create_publisher(Image, 'image', 10)
    assert robot.spin(lambda: robot.images.get_subscription_count() > 0)
    assert robot.answer_to(texture(1), camera_info()).result == Status.ACCEPTED


def test_what_a_mask_hides_is_not_used(start, tmp_path, localizer):
    mask = np.full((96, 128), 255, np.uint8)
    mask[64:] = 0
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    robot = start(mask_path=str(tmp_path / 'mask.png'), exclude_border_px=4)
    robot.wait_for_node()
    used = mask > 0
    used[:4] = used[:, :4] = used[:, -4:] = False
    expected = localizer.localize(Frame(texture(1), CAMERA, mask=used))
    other = texture(1).copy()
    other[64:] = 255 - other[64:]
    for image in (texture(1), other):
        status = robot.answer_to(image, camera_info())
        assert status.inlier_count == expected.statistics.inlier_count
        pose = conversions.matrix_from_pose(status.pose.pose)
        base = expected.world_from_camera @ np.linalg.inv(BASE_FROM_CAMERA)
        assert np.allclose(pose, base, atol=1e-4)
