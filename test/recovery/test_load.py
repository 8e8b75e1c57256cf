# SPDX-License-Identifier: Apache-2.0
"""60 large images a second, in real time: the newest counts, nothing piles up."""

from __future__ import annotations

import sys
import threading
import time

import cv2
import figures
import numpy as np
import pytest
from places import BASE_FROM_CAMERA, CAMERA_HEIGHT_M, ROOM, world
from processes import memory_mb, thread_count
from robot import Robot, camera_info

from dsac_ros.nodes import conversions
from dsac_ros.sources.rendered import robot_camera
from dsac_ros.synthetic.drive import drive

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != 'linux', reason='reads memory from /proc'),
]
CAMERA = robot_camera((1920, 1080))
RATE_HZ, WARM_UP_S, SECONDS = 60.0, 5.0, 15.0


class BusyRobot(Robot):
    """Stands still; its camera is fast and large."""

    base_from_camera = BASE_FROM_CAMERA


def views(count=4):
    """Views from places of a drive, gray."""
    path = drive(world(ROOM), 1, count, 0.2, CAMERA_HEIGHT_M, tilt_deg=0.0)
    return [
        cv2.cvtColor(world(ROOM).render(pose, CAMERA)[0], cv2.COLOR_RGB2GRAY)
        for pose in path.world_from_camera
    ]


def stream(robot, messages, until, sent):
    """Publish at RATE_HZ as far as this machine can; `sent` gets the number of images."""
    due = time.monotonic()
    while time.monotonic() < until:
        message = messages[sent[0] // 60 % len(messages)]
        message.header.stamp = conversions.time_message(robot.now())
        robot.images.publish(message)
        sent[0] += 1
        due += 1 / RATE_HZ
        time.sleep(max(0.0, due - time.monotonic()))


def test_sixty_large_images_a_second(room_map):
    robot = BusyRobot(map=str(room_map), tf_mode='none', max_rate=0.0)
    try:
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        messages = [
            conversions.image_message(image, conversions.header('camera', 0)) for image in views()
        ]
        k = [float(v) for v in CAMERA.matrix.reshape(9)]
        robot.answer_to(
            messages[0], camera_info(width=CAMERA.size_wh[0], height=CAMERA.size_wh[1], k=k)
        )
        sent = [0]
        begin = time.monotonic()
        end = begin + WARM_UP_S + SECONDS
        thread = threading.Thread(target=stream, args=(robot, messages, end, sent))
        thread.start()
        robot.spin(lambda: time.monotonic() > begin + WARM_UP_S, 2 * WARM_UP_S)
        pid, first = robot.process.pid, len(robot.of('status'))
        before = memory_mb(pid), thread_count(pid)
        robot.spin(lambda: time.monotonic() > end, 2 * SECONDS)
        after = memory_mb(pid), thread_count(pid)
        thread.join()
        status = robot.of('status')[first:]
        # From the stamp to the status, without the work on the image itself: the time it waited.
        waited = [m.latency.sec + m.latency.nanosec * 1e-9 - m.inference_ms * 1e-3 for m in status]
        latency = [m.latency.sec + m.latency.nanosec * 1e-9 for m in status]
        dropped = status[-1].frames_dropped - status[0].frames_dropped
        figures.record(
            '60 Hz at 1080p',
            sent_hz=round(sent[0] / (WARM_UP_S + SECONDS)),
            answered_hz=round(len(status) / SECONDS, 1),
            latency_p95_ms=round(1e3 * float(np.percentile(latency, 95))),
            waited_p95_ms=round(1e3 * float(np.percentile(waited, 95))),
            memory_growth_mb=round(after[0] - before[0], 1),
            thread_growth=after[1] - before[1],
        )
        stamps = [
            conversions.SECOND_NS * m.header.stamp.sec + m.header.stamp.nanosec for m in status
        ]
        assert stamps == sorted(set(stamps))
        assert len(status) > 3 and dropped > 0
        # An image waits at most for the one before it, never in a queue.
        assert np.percentile(waited, 95) < 1.0 + 2 * np.percentile(latency, 50)
        # A queue of images of 2 MB would take 120 MB a second.
        assert after[0] - before[0] < 200.0 and after[1] <= before[1] + 1
    finally:
        robot.close()
