# SPDX-License-Identifier: Apache-2.0
"""Why images were lost that the recorder never came to."""

from __future__ import annotations

import threading
import time

import pytest
from robot import camera_info, texture

from dsac_ros.nodes import conversions
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.mapper_parameters import MapperParameters
from dsac_ros.nodes.pose_source import PoseUnavailable
from dsac_ros.nodes.recorder import MAX_QUEUED_IMAGES, Recorder


class LatePoses:
    """The first image is answered at once, the second after `go`."""

    def __init__(self, reason):
        self.reason, self.go, self.asked = reason, threading.Event(), 0

    def at(self, stamp, image_frame):
        self.asked += 1
        if self.asked > 1:
            self.go.wait(10.0)
        raise PoseUnavailable(self.reason) if self.reason else RuntimeError('disk')


@pytest.mark.parametrize(
    ('reason', 'expected', 'field'),
    [
        ('no poses on /pose yet', 'no poses on /pose yet', 'pose'),
        ('', 'images come faster than', 'image'),
    ],
)
def test_what_images_waited_for_is_the_reason(tmp_path, reason, expected, field):
    poses = LatePoses(reason)
    recorder = Recorder(MapperParameters(), tmp_path / 'a', poses, lambda _: None)
    shown = StampedImage(
        conversions.image_message(texture(0), conversions.header('camera', 5)), camera_info()
    )
    recorder.put(shown)
    recorder.put(shown)
    end = time.monotonic() + 10.0
    while poses.asked < 2 and time.monotonic() < end:
        time.sleep(0.005)
    for _ in range(MAX_QUEUED_IMAGES + 1):
        recorder.put(shown)
    assert recorder.coverage.last_reason.startswith(expected)
    verdicts = {verdict.value: count for verdict, count in recorder.coverage.verdicts.items()}
    assert verdicts[field] == 2
    poses.go.set()
    recorder.close()
