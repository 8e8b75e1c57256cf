# SPDX-License-Identifier: Apache-2.0
"""The end of a recording: its last images, what becomes of them, and what is left behind."""

from __future__ import annotations

import time

import pytest
from driver import SECOND, Driver
from lifecycle_msgs.msg import Transition
from robot import camera_info, texture
from std_srvs.srv import Trigger

from dsac_ros.msg import MappingStatus
from dsac_ros.sources.folder import count_frames


@pytest.fixture
def make_driver():
    drivers = []

    def make(**parameters):
        drivers.append(Driver(**parameters))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


def show_at(driver, place, number):
    """An image whose TF is not there yet; its stamp."""
    return driver.show(texture(number), camera_info(), stamp=driver.now())


def test_stop_stores_images_whose_tf_comes_late(tmp_path, make_driver):
    driver = make_driver(dataset=str(tmp_path / 'a'), pose_timeout=5.0)
    assert driver.service('start').success
    driver.drive_past([0.0])
    driver.wait_for(lambda s: s.keyframes == 1)
    stamps = [show_at(driver, n, n) for n in range(1, 4)]
    client = driver.node.create_client(Trigger, f'{driver.me}/stop')
    assert client.wait_for_service(timeout_sec=20.0)
    future = client.call_async(Trigger.Request())
    driver.spin(future.done, 0.7)  # TF is this late
    begin = time.monotonic()
    for place, stamp in enumerate(stamps, 1):
        driver.be_at(float(place), stamp)
    assert driver.spin(future.done, 30.0)
    assert time.monotonic() - begin < 4.0
    # An image may be lost on the way (best effort), but none that arrived.
    status = driver.wait_for(lambda s: s.state == MappingStatus.IDLE)
    assert status.keyframes == status.images >= 3
    assert f'{status.keyframes} keyframes' in future.result().message
    assert count_frames(tmp_path / 'a') == status.keyframes


def test_stop_without_tf_takes_one_pose_timeout(tmp_path, make_driver):
    driver = make_driver(dataset=str(tmp_path / 'a'), pose_timeout=1.0)
    assert driver.service('start').success
    for number in range(6):
        show_at(driver, number, number)
    begin = time.monotonic()
    answer = driver.service('stop')
    assert time.monotonic() - begin < 5.0
    assert '0 keyframes' in answer.message
    driver.wait_for(lambda s: s.rejected_pose == 6)


def test_status_goes_on_while_stop_waits(tmp_path, make_driver):
    driver = make_driver(dataset=str(tmp_path / 'a'), pose_timeout=4.0)
    assert driver.service('start').success
    show_at(driver, 0, 0)
    client = driver.node.create_client(Trigger, f'{driver.me}/stop')
    assert client.wait_for_service(timeout_sec=20.0)
    heard = len(driver.of('status'))
    future = client.call_async(Trigger.Request())
    driver.spin(future.done, 3.0)
    assert not future.done() and len(driver.of('status')) >= heard + 2
    assert 'start' in driver.service('start').message  # answered meanwhile, not queued behind
    assert driver.spin(future.done, 10.0) and future.result().success


def readers(driver):
    """Subscriptions of the mapper to images."""
    return driver.images.get_subscription_count()


def test_a_failed_activation_leaves_nothing(tmp_path, make_driver):
    (tmp_path / 'file').write_text('no folder')
    driver = make_driver(dataset=str(tmp_path / 'a'), pose_timeout=0.2)
    assert driver.change_state(Transition.TRANSITION_DEACTIVATE)
    assert driver.spin(lambda: readers(driver) == 0)
    assert driver.set_parameter('dataset', str(tmp_path / 'file')).successful
    assert driver.set_parameter('record_on_start', True).successful
    assert not driver.change_state(Transition.TRANSITION_ACTIVATE)
    driver.spin(lambda: False, 1.0)
    assert readers(driver) == 0
    assert driver.set_parameter('dataset', str(tmp_path / 'a')).successful
    assert driver.change_state(Transition.TRANSITION_ACTIVATE)
    assert driver.spin(lambda: readers(driver) == 1)
    driver.spin(lambda: False, 1.0)
    assert readers(driver) == 1
    driver.drive_past([0.0])
    driver.wait_for(lambda s: s.keyframes == 1)
    assert driver.status.images == 1


def test_deactivation_answers_stop_and_falls_silent(tmp_path, make_driver):
    driver = make_driver(dataset=str(tmp_path / 'a'), pose_timeout=10.0)
    assert driver.service('start').success
    driver.drive_past([0.0])
    stamp = show_at(driver, 1, 1)
    client = driver.node.create_client(Trigger, f'{driver.me}/stop')
    assert client.wait_for_service(timeout_sec=20.0)
    future = client.call_async(Trigger.Request())
    driver.spin(future.done, 0.5)
    begin = time.monotonic()
    assert driver.change_state(Transition.TRANSITION_DEACTIVATE)
    assert time.monotonic() - begin < 7.0
    assert driver.spin(future.done, 5.0)
    heard = len(driver.of('status')), len(driver.of('keyframe'))
    driver.be_at(1.0, stamp + SECOND // 100)
    driver.spin(lambda: False, 2.5)
    assert (len(driver.of('status')), len(driver.of('keyframe'))) == heard
    assert 'not active' in driver.service('start').message
    assert count_frames(tmp_path / 'a') == 1
    assert 'Traceback' not in driver.process.output
