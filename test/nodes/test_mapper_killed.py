# SPDX-License-Identifier: Apache-2.0
"""A mapper that is killed in the middle: what it recorded is there, and can be gone on with."""

from __future__ import annotations

import random
import signal
import sys
import time

import forked
import numpy as np
import pytest
from driver import Driver
from robot import BASE_FROM_CAMERA, camera_info, texture

from dsac_ros.map_container import read_header
from dsac_ros.msg import MappingStatus
from dsac_ros.sources.folder_odometry import ODOMETRY
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import read_tum
from embedded_ros.testing import RunningProcess

KILLS = 3


class Killed(Driver):
    """A driver whose robot has odometry, and that goes on to show images until the node ends."""

    def be_at(self, place, stamp):
        for offset in (-100_000_000, 0, 100_000_000):
            self.send('map', 'odom', stamp + offset, self.pose_at(0.0))
            odom_from_base = np.linalg.inv(self.pose_at(0.0)) @ self.pose_at(place)
            self.send('odom', 'base_link', stamp + offset, odom_from_base)

    def show_until(self, end, shown):
        """Show images of a drive, and note where each was taken, until a time."""
        number = len(shown)
        while time.monotonic() < end:
            number += 1
            stamp = self.now()
            self.be_at(0.2 * number, stamp)
            shown[self.show(texture(number), camera_info(), stamp=stamp)] = (0.2 * number, number)


def test_a_killed_mapper_leaves_a_readable_dataset(tmp_path):
    dataset, shown, before = tmp_path / 'drive', {}, 0
    delays = random.Random(3)
    for _ in range(KILLS):
        driver = Killed(dataset=str(dataset), record_on_start=True, max_tf_jump=0.0)
        try:
            driver.show_until(time.monotonic() + delays.uniform(1.0, 3.0), shown)
            driver.process.stop(signal.SIGKILL)
        finally:
            driver.close()
        frames = list(open_source(dataset).posed_frames())
        assert len(frames) > before
        odometry = read_tum(dataset / ODOMETRY)
        for posed in frames:
            place, number = shown[posed.frame.stamp_ns]
            expected = driver.pose_at(place) @ BASE_FROM_CAMERA
            np.testing.assert_allclose(posed.world_from_camera, expected, atol=1e-6)
            np.testing.assert_array_equal(posed.frame.image, texture(number))
            assert odometry.at(posed.frame.stamp_ns, 0) is not None
        before = len(frames)
    again = open_source(dataset, map_odom=str(dataset / 'map_odom.tum'))
    for one, other in zip(again.posed_frames(), frames, strict=True):
        np.testing.assert_allclose(one.world_from_camera, other.world_from_camera, atol=1e-6)


@pytest.mark.slow
def test_a_killed_training_is_resumed_and_offered(tmp_path):
    """The node dies while it trains; its successor resumes, and a relocalizer gets the map."""
    dataset, path = tmp_path / 'drive', tmp_path / 'drive.map'
    options = dict(dataset=str(dataset), train_minutes=5.0, trust_poses=True)
    driver = Driver(**options)
    try:
        assert driver.service('start').success
        driver.drive_past([0.3 * n for n in range(12)], image=lambda n: texture(100 + n))
        driver.wait_for(lambda s: s.keyframes >= 10)
        answer = driver.service('save')
        assert answer.message.startswith('learning'), answer.message
        driver.wait_for(lambda s: s.stage == 'training' and s.progress > 0.0, 240.0)
        driver.process.stop(signal.SIGKILL)
    finally:
        driver.close()
    driver = Driver(**{**options, 'train_minutes': 0.05}, offer_map_to='/dsac_relocalizer')
    relocalizer = RunningProcess(
        [sys.executable, '-m', 'dsac_ros.cli.main', 'run', 'relocalizer'],
        launch=forked.launch,
        ROS_DOMAIN_ID=str(driver.domain),
    )
    try:
        assert save(driver).startswith('resuming to learn')
        status = driver.wait_for(lambda s: s.state == MappingStatus.DONE, 240.0)
        assert status.map_url == str(path) and read_header(path)['frames'] >= 10
        outcome = f'/dsac_relocalizer uses the map {path}'
        driver.wait_for(lambda s: s.last_reason.startswith(outcome), 60.0)
        driver.process.wait_for(outcome)
        relocalizer.wait_for('waiting for images', 60.0)
        assert not list(tmp_path.glob('*.checkpoint')) and not list(tmp_path.glob('*.json'))
    finally:
        relocalizer.kill()
        driver.close()


def save(driver: Driver) -> str:
    """The answer of ~/save; the training of a killed mapper needs a moment to notice that."""
    end = time.monotonic() + 60.0
    while 'for a mapper that has ended' in (message := driver.service('save').message):
        assert time.monotonic() < end, message
        driver.spin(lambda: False, 0.5)
    return message
