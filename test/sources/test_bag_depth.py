# SPDX-License-Identifier: Apache-2.0
"""Depth of a bag beside its images: compressed, in another unit, of another camera."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from bag_messages import compressed_message
from source_frames import posed_frames
from test_bag import OPTICAL, write
from test_convert import run
from test_depth_messages import quantised, rvl

from dsac_ros.errors import SourceError
from dsac_ros.sources.open_source import open_source

TOPIC = '/camera/aligned_depth_to_color/image_raw'
FRAMES = posed_frames(2, depth=True)


def write_depth(path, add):
    return write(path, FRAMES, extra=lambda bag, posed: add(bag, posed.frame))


def raw(bag, frame, depth, encoding, frame_id=OPTICAL):
    bag._image(TOPIC, frame_id, frame.stamp_ns, depth, encoding)


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_compressed_depth_of_floats(tmp_path, codec):
    def add(bag, frame):
        levels, a, b = quantised(frame.depth)
        body = rvl(levels) if codec == 'rvl' else cv2.imencode('.png', levels)[1].tobytes()
        compressed_message(
            bag,
            f'{TOPIC}/compressedDepth',
            OPTICAL,
            frame.stamp_ns,
            f'32FC1; compressedDepth {codec}',
            struct.pack('<iff', 0, a, b) + body,
        )

    for posed in open_source(write_depth(tmp_path / 'a', add)).posed_frames():
        expected = FRAMES[posed.frame.image.ndim == 2].frame.depth
        measured = expected > 0.2  # nearer depth has no level
        np.testing.assert_allclose(posed.frame.depth[measured], expected[measured], rtol=0.02)


def test_depth_in_an_unusual_unit_is_told_and_named(tmp_path):
    path = write_depth(
        tmp_path / 'a', lambda bag, frame: raw(bag, frame, frame.depth * np.float32(1000), '32FC1')
    )
    source = open_source(path)
    assert all(posed.frame.depth is None for posed in source.posed_frames())
    ((reason, count),) = source.missing.items()
    assert count == 2 and reason.startswith('depth that is of no use: a median depth of 2')
    assert reason.endswith('its numbers have another unit (--depth-unit)')
    found = next(open_source(path, depth_unit_m=0.001).posed_frames()).frame.depth
    np.testing.assert_allclose(found, FRAMES[0].frame.depth, atol=1e-6)


def test_depth_of_another_frame_is_told(tmp_path):
    source = open_source(
        write_depth(
            tmp_path / 'a',
            lambda bag, frame: raw(bag, frame, frame.depth, '32FC1', 'camera_depth_optical'),
        )
    )
    assert next(source.posed_frames()).frame.depth is not None
    assert source.assumptions == [
        f'depth {TOPIC} of the frame camera_depth_optical is registered '
        'to the images of camera_optical; --depth off leaves it out'
    ]


def test_depth_of_another_size_is_told(tmp_path):
    source = open_source(
        write_depth(
            tmp_path / 'a',
            lambda bag, frame: raw(
                bag, frame, np.ascontiguousarray(frame.depth[::2, ::2]), '32FC1'
            ),
        )
    )
    assert next(source.posed_frames()).frame.depth.shape == (24, 32)
    assert source.assumptions == [
        f'depth {TOPIC} of 16x12 shows what images of 32x24 show; --depth off leaves it out'
    ]


def test_depth_of_another_aspect_names_what_helps(tmp_path):
    path = write_depth(
        tmp_path / 'a',
        lambda bag, frame: raw(bag, frame, np.ascontiguousarray(frame.depth[:18]), '32FC1'),
    )
    with pytest.raises(
        SourceError,
        match='depth is 32x18 but its image is 32x24: register the '
        'depth to the image, or leave it out with --depth off',
    ):
        list(open_source(path).posed_frames())
    assert len(list(open_source(path, depth='off').posed_frames())) == 2


@pytest.mark.parametrize(
    'option, value', [('image_frame', 'a'), ('depth_unit_m', 0.1), ('recorded_time', True)]
)
def test_options_of_bags_are_refused_elsewhere(tmp_path, option, value):
    run(write(tmp_path / 'a', FRAMES), tmp_path / 'folder')
    with pytest.raises(SourceError, match=r'is for bags, and .* is none: leave it out'):
        open_source(tmp_path / 'folder', **{option: value})


def test_the_options_of_a_command(tmp_path):
    path = write_depth(tmp_path / 'a', lambda bag, frame: raw(bag, frame, frame.depth, '32FC1'))
    run(
        path,
        tmp_path / 'b',
        '--max-gap',
        '0.01',
        '--stamps',
        'recorded',
        '--image-frame',
        OPTICAL,
        '--depth-unit',
        '2',
    )
    found = next(open_source(tmp_path / 'b').posed_frames()).frame.depth
    np.testing.assert_allclose(found, 2 * FRAMES[0].frame.depth, atol=6e-4)
    for words in (('--max-gap', '0'), ('--depth-unit', '-1'), ('--max-gap', 'nan')):
        with pytest.raises(SystemExit):
            run(path, tmp_path / 'c', *words)


@pytest.mark.parametrize('named', ['auto', TOPIC])
def test_depth_is_found_in_its_best_transport(tmp_path, named):
    def add(bag, frame):
        compressed_message(bag, f'{TOPIC}/compressed', OPTICAL, frame.stamp_ns, 'jpeg', b'no')
        png = cv2.imencode('.png', np.round(frame.depth * 1000).astype(np.uint16))[1].tobytes()
        compressed_message(
            bag,
            f'{TOPIC}/compressedDepth',
            OPTICAL,
            frame.stamp_ns,
            '16UC1; compressedDepth png',
            bytes(12) + png,
        )

    found = next(open_source(write_depth(tmp_path / 'a', add), depth=named).posed_frames())
    np.testing.assert_allclose(found.frame.depth, FRAMES[0].frame.depth, atol=6e-4)
