# SPDX-License-Identifier: Apache-2.0
"""nodes/health.py: what is remembered of images and answers."""

from __future__ import annotations

import math

import pytest
from robot import camera_info
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_ros.msg import RelocalizationStatus
from dsac_ros.nodes import health
from dsac_ros.nodes.conversions import header

NOW = 1_700_000_000_000_000_000


@pytest.fixture
def clock(monkeypatch):
    """A steady clock that stands until it is set."""
    times = [100.0]
    monkeypatch.setattr(health.time, 'monotonic', lambda: times[0])
    return times


def image(frame='camera', stamp=NOW - 50_000_000):
    return Image(header=header(frame, stamp), encoding='rgb8')


def test_rate_and_age_follow_the_clock(clock):
    record = health.ImageRecord()
    assert record.cameras() == ()
    for _ in range(51):
        record.received(image(), camera_info(), NOW)
        clock[0] += 0.1
    (camera,) = record.cameras()
    assert camera.rate_hz == pytest.approx(10.0, rel=0.05)
    assert camera.age_s == pytest.approx(0.1) and camera.delay_s == pytest.approx(0.05)
    assert camera.encoding == 'rgb8'
    assert camera.intrinsics == '128x96, f 110.0 110.0 px, centre 63.5 47.5 px, plumb_bob'
    clock[0] += 30.0
    (camera,) = record.cameras()
    assert camera.rate_hz == 0.0 and camera.age_s == pytest.approx(30.1)


@pytest.mark.parametrize('now, stamp', [(0, NOW), (NOW, 0)])
def test_without_time_the_delay_is_unknown(now, stamp):
    record = health.ImageRecord()
    record.received(image(stamp=stamp), None, now)
    assert math.isnan(record.cameras()[0].delay_s) and record.cameras()[0].intrinsics == ''


def test_any_frame_and_any_info_are_survived(clock):
    record = health.ImageRecord()
    for k in range(100):
        record.received(
            CompressedImage(header=header(f'frame {k}', NOW), format='jpeg'),
            CameraInfo(k=[math.nan] * 9),
            NOW,
        )
    cameras = record.cameras()
    assert len(cameras) == health.MAX_CAMERAS and cameras[0].encoding == 'jpeg'
    assert 'f nan nan px' in cameras[0].intrinsics


def test_the_last_fix_is_that_of_an_accepted_image(clock):
    answers = health.AnswerRecord()
    assert answers.state()['status'] is None and math.isnan(answers.state()['fix_age_s'])
    for result in (RelocalizationStatus.ACCEPTED, RelocalizationStatus.LOW_INLIERS):
        answers.answered(RelocalizationStatus(result=result, inference_ms=40.0))
        clock[0] += 2.0
    answers.answered(RelocalizationStatus(result=RelocalizationStatus.STALE))
    state = answers.state()
    assert state['fix_age_s'] == pytest.approx(4.0)
    assert state['inference_ms'] == (40.0, 40.0)  # an image that was not looked at has none
    assert state['status'].result == RelocalizationStatus.STALE
