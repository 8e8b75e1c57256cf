# SPDX-License-Identifier: Apache-2.0
"""Recording: what is stored beside the images, and why some are not."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from robot import camera_info, texture

from dsac_ros.nodes import conversions
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.mapper_parameters import MapperParameters
from dsac_ros.nodes.pose_source import PoseUnavailable
from dsac_ros.nodes.recorder import MAX_QUEUED_IMAGES, Recorder
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import read_tum


class LatePoses:
    """Poses that never come, or a fault while the second image is judged."""

    covariance_topic = 'amcl_pose'
    has_odometry = False

    def __init__(self, reason):
        self.reason, self.go, self.asked = reason, threading.Event(), 0

    def at(self, stamp, image_frame, left_s):
        self.asked += 1
        if self.reason:
            raise PoseUnavailable(self.reason)
        if self.asked > 1:
            self.go.wait(10.0)
        raise RuntimeError('disk')

    def covariance(self, stamp):
        return None

    def camera_covariance(self, stamp, image_frame, map_from_camera):
        return None

    def odometry(self, stamp, image_frame):
        return None


def stamped_image(seed=0, stamp=5):
    return StampedImage(
        conversions.image_message(texture(seed), conversions.header('camera', stamp)),
        camera_info(),
    )


def wait_for(condition, timeout=10.0):
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize(
    ('reason', 'expected', 'field'),
    [
        ('no poses on /pose yet', 'no poses on /pose yet', 'pose'),
        ('', 'images come faster than', 'image'),
    ],
)
def test_a_full_queue_tells_what_images_wait_for(tmp_path, reason, expected, field):
    """The very first image waits for its pose already: nothing was judged before."""
    poses = LatePoses(reason)
    values = MapperParameters(pose_timeout=10.0)
    recorder = Recorder(values, tmp_path / 'a', poses, lambda _: None)
    recorder.put(stamped_image())
    recorder.put(stamped_image())
    assert wait_for(lambda: poses.asked >= 2)
    for _ in range(MAX_QUEUED_IMAGES + 1):
        recorder.put(stamped_image())
    assert recorder.coverage.last_reason.startswith(expected)
    assert {verdict.value for verdict in recorder.coverage.verdicts} == {field}
    poses.go.set()
    recorder.finish(wait=False)
    assert recorder.join(5.0)


def test_images_wait_from_their_arrival_on(tmp_path):
    """Thirty images without a pose cost one pose_timeout, not thirty."""
    values = MapperParameters(pose_timeout=0.5)
    recorder = Recorder(values, tmp_path / 'a', LatePoses('no TF'), lambda _: None)
    begin = time.monotonic()
    for _ in range(MAX_QUEUED_IMAGES):
        recorder.put(stamped_image())
    recorder.finish()
    recorder.put(stamped_image())
    assert recorder.join(10.0) and 0.4 < time.monotonic() - begin < 7.0
    assert recorder.coverage.images == MAX_QUEUED_IMAGES


class Poses(LatePoses):
    """A camera that moves by a metre with each nanosecond; odometry drifts by 2 mm each."""

    has_odometry = True

    def __init__(self, jump=99, covariances=()):
        super().__init__('')
        self.jump, self.covariances = jump, covariances

    def at(self, stamp, image_frame, left_s):
        pose = np.eye(4)
        pose[0, 3] = stamp
        return pose

    def odometry(self, stamp, image_frame):
        pose = self.at(stamp, image_frame, 0.0)
        pose[1, 3] -= 0.002 * stamp + (1.0 if stamp >= self.jump else 0.0)
        return pose

    def covariance(self, stamp):
        return self.covariances[stamp - 1] if self.covariances else None


def record(folder, poses, stamps, told=None, **parameters):
    """Record one image at each stamp; the recorder."""
    told = [] if told is None else told
    values = MapperParameters(max_rotation_rate=0.0, **parameters)
    recorder = Recorder(values, folder, poses, told.append)
    for stamp in stamps:
        recorder.put(stamped_image(stamp, stamp))
    recorder.finish()
    assert recorder.join(20.0)
    return recorder


def test_odometry_is_stored_apart(tmp_path):
    poses = Poses()
    record(tmp_path, poses, range(1, 5))
    odometry, corrections = (read_tum(tmp_path / f'{name}.tum') for name in ('odom', 'map_odom'))
    assert list(odometry.stamps_ns) == list(corrections.stamps_ns) == [1, 2, 3, 4]
    for frame in open_source(tmp_path).posed_frames():
        stamp = frame.frame.stamp_ns
        np.testing.assert_allclose(odometry.at(stamp), poses.odometry(stamp, ''), atol=1e-8)
        made = corrections.at(stamp) @ odometry.at(stamp)
        np.testing.assert_allclose(made, frame.world_from_camera, atol=1e-7)


def test_a_jump_of_map_to_odom_begins_a_segment(tmp_path):
    told = []
    recorder = record(tmp_path, Poses(jump=3), range(1, 5), told)
    assert recorder.segments.count == 2
    assert [bool(keyframe.new_segment) for keyframe in told] == [False, False, True, False]
    assert 'moved by 1.00 m' in told[2].new_segment
    lines = (tmp_path / 'segments.txt').read_text().splitlines()
    assert lines == ['frame-000000 1', 'frame-000002 2']
    record(tmp_path, Poses(), range(5, 7))  # a recording that goes on is a segment of its own
    lines = (tmp_path / 'segments.txt').read_text().splitlines()
    assert lines[2:] == ['frame-000004 3']


def test_uncertain_poses_are_refused(tmp_path):
    covariances = [np.eye(6) * value**2 for value in (0.1, 0.5, 0.05, 0.2)]
    recorder = record(tmp_path, Poses(covariances=covariances), range(1, 5), max_pose_std_xy=0.15)
    verdicts = {verdict.value: count for verdict, count in recorder.coverage.verdicts.items()}
    assert verdicts == {'kept': 2, 'uncertain': 2}
    assert 'max_pose_std_xy' in recorder.coverage.last_reason


def test_a_gate_without_covariance_says_so(tmp_path):
    recorder = record(tmp_path, Poses(), [1], max_pose_std_yaw=0.1)
    assert recorder.coverage.last_reason.startswith('no covariance on amcl_pose yet')


def test_a_listener_that_fails_costs_no_keyframe(tmp_path):
    def fail(keyframe):
        raise RuntimeError('publisher')

    recorder = Recorder(MapperParameters(), tmp_path, Poses(), fail)
    recorder.put(stamped_image())
    recorder.finish()
    assert recorder.join(10.0)
    assert recorder.keyframes == 1 and 'publisher' in recorder.coverage.last_reason


def test_a_disk_that_fails_costs_no_segment(tmp_path, monkeypatch):
    """The jump is told by the next keyframe that can be stored."""
    written = []

    def write(self, frame, *others, **options):
        if frame.stamp_ns == 2:
            raise OSError(28, 'No space left on device')
        written.append((frame.stamp_ns, options['begins_segment']))
        return 'frame'

    monkeypatch.setattr(FolderWriter, 'write', write)
    recorder = record(tmp_path, Poses(jump=2), range(1, 4))
    assert written == [(1, True), (3, True)]
    assert recorder.segments.count == 2


def test_coverage_knows_earlier_recordings(tmp_path):
    before = record(tmp_path, Poses(), range(1, 4)).viewpoints
    after = record(tmp_path, Poses(), []).viewpoints
    assert after.revision == before.revision == 3
    np.testing.assert_array_equal(after.grid().values, before.grid().values)
