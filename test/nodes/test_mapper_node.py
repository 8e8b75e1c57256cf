# SPDX-License-Identifier: Apache-2.0
"""The mapper as a process on the graph: what it stores, what it refuses, what becomes of it."""

from __future__ import annotations

import os
import signal

import cv2
import numpy as np
import pytest
from driver import SECOND, Driver
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from robot import BASE_FROM_CAMERA, camera_info, texture
from sensor_msgs.msg import Image

from dsac_ros.map_container import read_header
from dsac_ros.msg import MappingStatus
from dsac_ros.nodes import conversions
from dsac_ros.sources.open_source import open_source


@pytest.fixture
def dataset(tmp_path):
    return tmp_path / 'drive'


@pytest.fixture
def driver(dataset):
    driver = Driver(
        dataset=str(dataset),
        map=str(dataset.parent / 'no' / 'folder.map'),
        pose_timeout=0.2,
        train_minutes=0.02,
    )
    yield driver
    driver.close()
    assert 'Traceback' not in driver.process.output


@pytest.fixture
def recording(driver):
    assert driver.service('start').success
    return driver


@pytest.fixture
def recorded(recording):
    """A recording that is long enough to be learned, and goes on."""
    recording.drive_past([0.3 * n for n in range(12)], image=lambda n: texture(100 + n))
    recording.wait_for(lambda s: s.keyframes >= 10)
    return recording


def test_services_before_there_is_anything(driver):
    for name, reason in (('stop', 'not recording'), ('clear', 'nothing to clear')):
        assert reason in driver.service(name).message
    assert driver.status.state == MappingStatus.IDLE


def test_it_records_what_is_new(driver, dataset):
    answer = driver.service('start')
    assert answer.success and str(dataset) in answer.message
    assert not driver.service('start').success
    driver.drive_past([0.0, 0.01, 0.5, 1.0])
    status = driver.wait_for(lambda s: s.images >= 4)
    assert status.state == MappingStatus.RECORDING and status.dataset == str(dataset)
    assert (status.keyframes, status.rejected_motion) == (3, 1)
    assert status.distance == pytest.approx(1.0, abs=0.02) and status.coverage_cells == 3
    assert status.disk_bytes > 1000
    frames = list(open_source(dataset).posed_frames())
    assert len(frames) == 3
    expected = driver.pose_at(0.5) @ BASE_FROM_CAMERA
    assert np.allclose(frames[1].world_from_camera, expected, atol=1e-6)
    assert np.array_equal(frames[0].frame.image, texture(0))
    assert driver.spin(lambda: len(driver.of('keyframes')[-1].poses) == 3)
    shown = driver.of('keyframe')[-1]
    assert shown.header.frame_id == 'camera' and shown.map_frame == 'map'
    assert shown.camera_info.width == 128 and len(shown.image.data) > 100


def refused(driver, field, image, info=None, pose=True):
    """Show a bad image; the status that counts it."""
    before = getattr(driver.status, field)
    for _ in range(5):
        stamp = driver.now()
        if pose:
            driver.be_at(3.0, stamp)
        driver.show(
            image, info or camera_info(), stamp=stamp, frame_id='camera' if pose else 'nowhere'
        )
        if driver.spin(lambda: getattr(driver.status, field) > before, 4.0):
            return driver.status
    raise AssertionError(f'{field} does not rise: {driver.status}')


def test_it_refuses_what_is_no_good_and_goes_on(recording):
    driver = recording
    unknown = Image(encoding='purple12', height=96, width=128, step=128)
    assert "'purple12'" in refused(driver, 'rejected_image', unknown).last_reason
    status = refused(driver, 'rejected_image', texture(9), camera_info(k=[float('nan')] * 9))
    assert 'NaN' in status.last_reason
    assert 'nowhere' in refused(driver, 'rejected_pose', texture(9), pose=False).last_reason
    keyframes = driver.status.keyframes
    driver.drive_past([4.0, 4.5, 4.5], image=lambda n: texture(min(n, 1)))
    driver.drive_past([5.0], image=lambda n: texture(1))
    status = driver.wait_for(lambda s: s.rejected_duplicate >= 1)
    assert status.keyframes == keyframes + 2


def test_a_full_disk_costs_only_images_that_do_not_fit(recording, dataset):
    driver = recording
    driver.drive_past([7.5], image=lambda n: texture(19))
    stamps = dataset / 'stamps.txt'
    kept = stamps.rename(dataset / 'kept.txt')
    os.symlink('/dev/full', stamps)
    before, keyframes = driver.status.rejected_image, driver.status.keyframes
    driver.drive_past([8.0], image=lambda n: texture(20))
    status = driver.wait_for(lambda s: s.rejected_image > before)
    assert 'No space left' in status.last_reason and status.keyframes == keyframes
    stamps.unlink()
    kept.rename(stamps)
    driver.drive_past([8.5], image=lambda n: texture(21))
    driver.wait_for(lambda s: s.keyframes == keyframes + 1)


@pytest.mark.parametrize('before', ['nothing', 'stop', 'save'])
def test_too_few_keyframes_are_not_learned(recording, before):
    """While it records, after ~/stop, and after a ~/save that was refused."""
    recording.drive_past([0.0, 0.5])
    if before != 'nothing':
        recording.service(before)
    answer = recording.service('save')
    assert not answer.success and 'expected at least 10' in answer.message
    assert recording.service('start').success


def test_train_on_stop_needs_enough_keyframes(driver):
    assert driver.set_parameter('train_on_stop', True).successful
    assert driver.service('start').success
    driver.drive_past([0.0, 0.5])
    answer = driver.service('stop')
    assert not answer.success and 'expected at least 10' in answer.message


def test_gates_and_pose_timeout_change_while_recording(recording):
    driver = recording
    driver.drive_past([9.0], image=lambda n: texture(50))
    before = driver.status
    assert driver.set_parameter('min_translation', 0.001).successful
    driver.drive_past([9.01], image=lambda n: texture(51))
    driver.wait_for(lambda s: s.keyframes == before.keyframes + 1)
    assert driver.set_parameter('min_translation', 0.1).successful
    assert driver.set_parameter('pose_timeout', 3.0).successful
    stamp = driver.now()
    driver.show(texture(52), camera_info(), stamp=stamp)
    driver.spin(lambda: False, 1.0)  # longer than the 0.2 s that it was started with
    driver.be_at(9.5, stamp)
    driver.wait_for(lambda s: s.keyframes == before.keyframes + 2)
    assert not driver.set_parameter('sharpness_window', 10).successful
    assert driver.service('stop').success


def test_a_training_that_fails_says_why(recorded):
    answer = recorded.service('save')
    assert answer.success, answer.message
    status = recorded.wait_for(lambda s: s.state == MappingStatus.FAILED, 90.0)
    assert 'make it first' in status.last_reason


@pytest.mark.slow
def test_save_learns_a_map(recorded, dataset):
    driver, path = recorded, dataset.parent / 'drive.map'
    assert driver.set_parameter('map', str(path)).successful
    assert driver.service('save').success
    assert 'being learned' in driver.service('save').message
    assert 'being learned' in driver.service('clear').message
    assert driver.status.state == MappingStatus.TRAINING
    status = driver.wait_for(lambda s: s.state == MappingStatus.DONE, 240.0)
    assert status.map_url == str(path) and status.progress == 1.0
    assert read_header(path)['frames'] == len(list(open_source(dataset).posed_frames()))
    assert driver.service('clear').success and path.exists()


def test_clear_sets_the_recording_aside(recorded, dataset):
    assert recorded.service('stop').success
    answer = recorded.service('clear')
    assert answer.success and not dataset.exists()
    (aside,) = dataset.parent.glob('drive.2*')
    assert len(list(open_source(aside).posed_frames())) >= 10
    assert recorded.spin(lambda: not recorded.of('keyframes')[-1].poses)


def test_it_ends_in_order(recorded):
    assert recorded.process.stop(signal.SIGINT) == 0


def test_it_says_what_it_waits_for_before_time_begins(tmp_path):
    driver = Driver(dataset=str(tmp_path / 'a'), use_sim_time=True, input_timeout=0.5)
    try:
        status = driver.wait_for(lambda s: 'camera_info' in s.last_reason)
        for text in (
            'use_sim_time is true and there is no time on /clock',
            'no images on /image for',
            '/robot publishes it but sends nothing',
            'no camera_info on /camera_info for',
            'no transforms on /tf for',
        ):
            assert text in status.last_reason
            driver.process.wait_for(text)
    finally:
        driver.close()


@pytest.mark.parametrize(
    ('source', 'kind'),
    [
        ('pose', PoseStamped),
        ('pose_with_covariance', PoseWithCovarianceStamped),
        ('odometry', Odometry),
    ],
)
def test_poses_from_a_topic_and_depth(tmp_path, source, kind):
    driver = Driver(
        dataset=str(tmp_path / 'a'),
        pose_source=source,
        record_on_start=True,
        use_depth=True,
        pose_timeout=1.0,
        pose_frame='base_link',
    )
    try:
        poses = driver.node.create_publisher(kind, 'pose', 10)
        depths = driver.node.create_publisher(Image, 'depth/image', 10)
        assert driver.spin(
            lambda: poses.get_subscription_count() and depths.get_subscription_count()
        )

        def say(place, stamp, frame_id='map', broken=False):
            message = kind(header=conversions.header(frame_id, stamp))
            pose = conversions.pose_message(driver.pose_at(place))
            pose.position.z = float('nan') if broken else 0.0
            if kind is PoseStamped:
                message.pose = pose
            else:
                message.pose.pose = pose
            poses.publish(message)

        stamp = driver.now()
        depth = Image(
            header=conversions.header('camera', stamp),
            encoding='16UC1',
            height=96,
            width=128,
            step=256,
        )
        depth.data.frombytes(np.full((96, 128), 1500, np.uint16).tobytes())
        for _ in range(5):
            for _ in range(5):  # what is said before the mapper has found a publisher is lost
                say(1.0, stamp - SECOND // 10)
                say(7.0, stamp - SECOND // 20, broken=True)
                say(1.2, stamp + SECOND // 10)
                depths.publish(depth)
                driver.spin(lambda: False, 0.2)
            driver.show(texture(0), camera_info(), stamp=stamp)
            if driver.spin(lambda: driver.status.keyframes > 0, 4.0):
                break
        driver.wait_for(lambda s: s.keyframes == 1)
        (frame,) = open_source(tmp_path / 'a').posed_frames()
        expected = driver.pose_at(1.1) @ BASE_FROM_CAMERA
        assert np.allclose(frame.world_from_camera, expected, atol=1e-4)
        assert np.allclose(frame.frame.depth, 1.5)
        say(5.0, driver.now(), frame_id='odom')
        status = refused(driver, 'rejected_pose', texture(1))
        assert "'odom'" in status.last_reason
    finally:
        driver.close()


def test_masked_pixels_are_left_out(tmp_path):
    """By a picture of the robot's body, and by masks that arrive after their images."""
    body = np.full((96, 128), 255, np.uint8)
    body[80:] = 0
    cv2.imwrite(str(tmp_path / 'body.png'), body)
    driver = Driver(
        dataset=str(tmp_path / 'a'),
        record_on_start=True,
        use_masks=True,
        mask_path=str(tmp_path / 'body.png'),
        exclude_border_px=2,
        pose_timeout=1.0,
    )
    try:
        masks = driver.node.create_publisher(Image, 'valid_mask', 10)
        assert driver.spin(lambda: masks.get_subscription_count())
        status = refused(driver, 'rejected_image', texture(5))
        assert 'no mask on /valid_mask with the stamp of the image' in status.last_reason
        people = np.full((96, 128), 255, np.uint8)
        people[:, 40:60] = 0
        for _ in range(5):
            stamp = driver.now()
            driver.be_at(0.0, stamp)
            driver.show(texture(0), camera_info(), stamp=stamp)
            driver.spin(lambda: False, 0.2)
            masks.publish(conversions.image_message(people, conversions.header('camera', stamp)))
            if driver.spin(lambda: driver.status.keyframes > 0, 4.0):
                break
        driver.wait_for(lambda s: s.keyframes == 1)
        (frame,) = open_source(tmp_path / 'a').posed_frames()
        expected = np.zeros((96, 128), bool)
        expected[2:80, 2:126] = True
        expected[:, 40:60] = False
        assert np.array_equal(frame.frame.mask, expected)
        assert np.array_equal(frame.frame.image, texture(0))
    finally:
        driver.close()
