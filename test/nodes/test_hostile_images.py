# SPDX-License-Identifier: Apache-2.0
"""Whatever Image, CompressedImage and CameraInfo hold is a status: no exception, no hang."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_messages import (
    ENCODED,
    HUGE,
    TEXT,
    camera_infos,
    compressed_images,
    images,
    with_data,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from robot import ACCEPT_ALL, Robot, camera_info, texture
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest

from dsac_ros.geometry.resample import Resamplers, to_gray
from dsac_ros.localizer import Trace
from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes import conversions
from dsac_ros.nodes.camera_setup import CameraSetup
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.image_mask import ImageMask
from dsac_ros.nodes.relocalization import Relocalization
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.types import Localization, Result

NOW = 1_700_000_000_000_000_000
# What an example may take at most: no gigabytes for a few bytes.
MEMORY_KB = 700_000


class Resampling:
    """Does of a localizer what depends on sizes and intrinsics; accepts every image."""

    def __init__(self):
        self.resamplers = Resamplers.to_short_side(96)

    def trace(self, frame):
        resampler = self.resamplers(frame.camera)
        resampler(to_gray(frame.image))
        resampler.valid_mask(frame.mask)
        return Trace(Localization(Result.ACCEPTED, world_from_camera=np.eye(4)))


def checked(image, info, stamp=(1, 0), frame_id='camera', **setup):
    """The output for messages; asserts that it has one line of a reason or is accepted."""
    image.header.stamp.sec, image.header.stamp.nanosec = stamp
    image.header.frame_id = frame_id
    relocalization = Relocalization(
        Resampling(), RelocalizerParameters(base_frame='', max_image_age=0.0), None
    )
    stamped = StampedImage(image, info, 'none yet', CameraSetup(**setup))
    found = relocalization.process(stamped, NOW).localization
    assert found.result is not Result.ERROR, found.reason
    assert found.accepted or (found.reason and '\n' not in found.reason), found
    return found


@settings(max_examples=400, deadline=None)
@given(images(), st.one_of(st.none(), camera_infos()), st.booleans(), st.booleans())
def test_any_image_is_a_status(image, info, fits, rectified):
    if info is not None and fits:  # so that more gets beyond the size
        info.width, info.height = image.width, image.height
    checked(image, info, rectified=rectified)


@settings(max_examples=400, deadline=None)
@given(compressed_images(), st.integers(0, 20))
def test_any_compressed_image_is_a_status(image, border):
    checked(image, camera_info(), mask=ImageMask(None, border))


@settings(max_examples=600, deadline=None)
@given(camera_infos(), st.booleans(), st.sampled_from([(96, 128), (48, 64), (1, 1), (128, 96)]))
def test_any_camera_info_is_a_status(info, rectified, shape):
    image = conversions.image_message(
        np.ascontiguousarray(np.resize(texture(0), shape)), conversions.header('camera', 5)
    )
    checked(image, info, rectified=rectified)


@settings(max_examples=300, deadline=None)
@given(
    TEXT,
    TEXT,
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, HUGE)),
)
def test_any_header_is_a_status(image_frame, info_frame, stamp):
    info = camera_info()
    info.header.frame_id = info_frame
    image = conversions.image_message(texture(0), conversions.header('camera', 5))
    checked(image, info, stamp, image_frame)


MEASURE = """
import resource, sys
sys.path[:0] = sys.argv[1:]
from dsac_ros.nodes.runtime import offer_runtime
offer_runtime()
from hostile_messages import ENCODED, with_data
from sensor_msgs.msg import CompressedImage
from dsac_ros.errors import ImageError
from dsac_ros.nodes.conversions import image_from_message
messages = [with_data(CompressedImage(format='jpeg'), data) for data in ENCODED.values()]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for message in messages:
    try:
        image_from_message(message)
    except ImageError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_few_bytes_take_no_gigabytes():
    folders = [str(folder) for folder in Path(__file__).parents[:2]]
    found = subprocess.run(
        [sys.executable, '-c', MEASURE, *folders], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) < MEMORY_KB


def raw(encoding, data=b'', height=96, width=128, step=128):
    return with_data(Image(encoding=encoding, height=height, width=width, step=step), data)


GOOD = texture(1).tobytes()
ROI = RegionOfInterest(x_offset=HUGE, y_offset=HUGE, width=HUGE, height=HUGE)
OUTSIDE = [110.0, 0, 500.0, 0, 110.0, 47.5, 0, 0, 1]
HOSTILE = {
    'no data': (raw('rgb8'), {}, Status.BAD_IMAGE),
    'huge': (raw('mono8', GOOD, HUGE, HUGE, HUGE), {}, Status.BAD_IMAGE),
    'huge width': (raw('bgra16', GOOD, 1, 2**31, 8), {}, Status.BAD_IMAGE),
    'odd yuv': (raw('yuyv', GOOD, 96, 63, 128), {}, Status.BAD_IMAGE),
    'planes': (raw('nv21', GOOD, 97, 127, 127), {}, Status.BAD_IMAGE),
    'depth': (raw('64FC3', GOOD), {}, Status.BAD_IMAGE),
    'long line': (
        raw('mono8', GOOD * 8, 1, 96 * 1024, 96 * 1024),
        {'width': 96 * 1024, 'height': 1, 'k': [1e5, 0, 5e4, 0, 1e5, 0.6, 0, 0, 1]},
        Status.NO_CAMERA_INFO,
    ),
    'channels': (raw('8UC200', GOOD), {}, Status.BAD_IMAGE),
    'encoding': (raw('rgb8\n\N{SNOWMAN}' * 50, GOOD), {}, Status.BAD_IMAGE),
    'video': (raw('h264', GOOD), {}, Status.BAD_IMAGE),
    'principal point': (texture(1), {'k': OUTSIDE}, Status.NO_CAMERA_INFO),
    'one pixel': (texture(1), {'k': [1.0, 0, 64, 0, 1.0, 48, 0, 0, 1]}, Status.NO_CAMERA_INFO),
    'infinite': (texture(1), {'k': [math.inf] * 9}, Status.NO_CAMERA_INFO),
    'huge k': (texture(1), {'k': [1e308] * 9}, Status.NO_CAMERA_INFO),
    'd of 100': (texture(1), {'d': [0.1] * 100}, Status.NO_CAMERA_INFO),
    'folded': (texture(1), {'d': [1e6, 0, 0, 0, 0]}, Status.NO_CAMERA_INFO),
    'model': (texture(1), {'distortion_model': 'a\nb', 'd': [1.0]}, Status.NO_CAMERA_INFO),
    'roi': (texture(1), {'roi': ROI}, None),
    'binning': (texture(1), {'binning_x': HUGE, 'binning_y': 3}, None),
    'no size': (texture(1), {'width': 0, 'height': 0, 'k': [0.0] * 9}, Status.NO_CAMERA_INFO),
}


def is_localized(robot, image):
    """Wait for an accepted image: camera_info is lost until DDS has matched both ways."""
    return robot.spin(lambda: robot.answer_to(image, camera_info()).result == Status.ACCEPTED)


@pytest.fixture(scope='module')
def robot(map_path):
    robot = Robot(map=str(map_path), tf_mode='none', **ACCEPT_ALL)
    robot.listen_to_relocalizer()
    robot.wait_for_node()
    assert is_localized(robot, texture(1))
    yield robot
    robot.close()


def test_the_node_answers_each_and_lives_on(robot):
    for name, (image, changed, result) in HOSTILE.items():
        answers = []

        def as_expected(image=image, changed=changed, result=result, answers=answers):
            answers.append(robot.answer_to(image, camera_info(**changed)))
            return result in (None, answers[-1].result)

        is_answered = robot.spin(as_expected, 5.0)  # again where camera_info was lost
        status = answers[-1]
        assert is_answered, (name, status.reason)
        assert status.result != Status.ERROR, (name, status.reason)
        assert '\n' not in status.reason and (status.reason or not status.result), name
    assert robot.answer_to(texture(1), camera_info()).result == Status.ACCEPTED
    assert 'Traceback' not in robot.process.output
    assert 'not processed' not in robot.process.output


FRAMES = (
    '',
    '/',
    '//camera',
    'a b',
    '\N{SNOWMAN}',
    'x' * 5000,
    'line\nbreak',
    'base_link',
    '%s%n',
)


def test_any_frame_id_is_a_status(robot):
    for frame in FRAMES:
        status = robot.answer_to(texture(1), camera_info(), frame_id=frame)
        assert status.result in (Status.ACCEPTED, Status.TF_UNAVAILABLE), (frame, status.reason)
        assert '\n' not in status.reason, frame
    assert robot.answer_to(texture(1), camera_info()).result == Status.ACCEPTED
    assert 'Traceback' not in robot.process.output
    assert 'not processed' not in robot.process.output


def test_compressed_ones_too(map_path):
    robot = Robot(
        transport='compressed',
        image_transport='compressed',
        map=str(map_path),
        tf_mode='none',
        **ACCEPT_ALL,
    )
    try:
        robot.listen_to_relocalizer()
        robot.wait_for_node()
        good = with_data(CompressedImage(format='png'), ENCODED['png'])
        assert is_localized(robot, good)
        for name, data in ENCODED.items():
            status = robot.answer_to(
                with_data(CompressedImage(format='jpeg'), data), camera_info()
            )
            whole = name in ('jpeg', 'png', 'webp', 'tiff')
            expected = Status.ACCEPTED if whole else Status.BAD_IMAGE
            assert status.result == expected, (name, status.reason)
        assert robot.answer_to(good, camera_info()).result == Status.ACCEPTED
        assert 'Traceback' not in robot.process.output
    finally:
        robot.close()
