# SPDX-License-Identifier: Apache-2.0
"""Numbers of frames in H.264 tell a lost reference picture, and nothing else."""

from __future__ import annotations

import pytest
from videos import packets

from dsac_ros.sources.h264 import FrameNumbers, has_picture, nal_units

OPTIONS = {
    'plain': 'bframes=0',
    'b_pyramid': 'bframes=3:b-pyramid=normal',
    'cavlc': 'cabac=0',
    'scaling_lists': 'cqm=jvt',
    'interlaced': 'interlaced=1',
    'slices': 'slices=4',
    'intra_refresh': 'intra-refresh=1',
    'open_gop': 'open-gop=1',
    'refs': 'ref=4',
    'unused_references': 'bframes=2:b-pyramid=none:b-adapt=0',
}


@pytest.mark.parametrize('options', OPTIONS.values(), ids=list(OPTIONS))
def test_a_whole_stream_lacks_nothing(options):
    frames = FrameNumbers()
    assert all(
        frames.follows(packet.data)
        for packet in packets('h264', 40, 10, **{'x264-params': options})
    )


@pytest.mark.parametrize(
    'options', [OPTIONS[name] for name in ('plain', 'scaling_lists', 'interlaced', 'refs')]
)
def test_a_lost_reference_is_found(options):
    stream = packets('h264', 20, 10, **{'x264-params': options + ':bframes=0'})
    del stream[4]
    frames = FrameNumbers()
    assert [frames.follows(packet.data) for packet in stream].index(False) == 4


def test_a_lost_key_frame_is_found_by_what_follows():
    stream = packets('h264', 20, 10, **{'x264-params': 'bframes=0'})
    del stream[10]
    frames = FrameNumbers()
    assert not all(frames.follows(packet.data) for packet in stream)


def test_parameters_alone_are_no_picture():
    key = packets('h264', 1)[0].data
    assert has_picture('h264', key)
    units = {unit[0] & 31: unit for unit in nal_units(key)}
    assert not has_picture('h264', b'\0\0\1' + units[7] + b'\0\0\1' + units[8])


@pytest.mark.parametrize('length', [0, 1, 3, 5, 12, 30])
def test_what_is_cut_short_is_not_missed(length):
    key = packets('h264', 1)[0].data
    assert FrameNumbers().follows(key[:length])
    assert FrameNumbers(b'\1' + key[:length]).follows(key)
