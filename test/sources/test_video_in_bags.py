# SPDX-License-Identifier: Apache-2.0
"""Video topics of bags: each picture with the stamp of its message, none of what was made up."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing, suppress
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_frames import START_NS, STEP_NS, pose
from test_video import DAMAGED, numbers
from videos import SIZE_WH, Packet, image, packets

from dsac_ros.errors import ImageError, MissingExtraError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.bag_file import Message
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.h264 import nal_units
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.source import LeftOut
from dsac_ros.sources.video_messages import decode_video

FOXGLOVE = 'foxglove_msgs/msg/CompressedVideo'
FFMPEG = 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'
BEFORE = 'a video frame before the first key frame'
OPTICAL = 'camera_optical'
STREAMS = {codec: packets(codec, 6, 3) for codec in ('h264', 'hevc', 'vp9', 'mpeg4')}
CAMERA = camera_from_info(SIZE_WH, (60, 0, 31.5, 0, 60, 23.5, 0, 0, 1))


def stamp_of(number):
    return START_NS + number * STEP_NS


def write(path, stream, *, kind=FOXGLOVE, name='h264', topic='/camera/video', depth=False):
    """A bag of a video stream in the order of decoding, with poses and intrinsics."""
    with BagWriter(path) as bag:
        for order, packet in enumerate(stream):
            stamp = stamp_of(packet.number)
            data = np.frombuffer(packet.data, np.uint8)
            header = bag._header(OPTICAL, stamp)
            if kind == FOXGLOVE:
                fields = dict(timestamp=header.stamp, frame_id=OPTICAL, data=data, format=name)
            elif kind == FFMPEG:
                fields = dict(
                    header=header,
                    width=64,
                    height=48,
                    encoding=name,
                    pts=order,
                    flags=int(packet.is_key),
                    is_bigendian=False,
                    data=data,
                )
            elif kind == 'sensor_msgs/msg/Image':
                fields = dict(
                    header=header,
                    width=64,
                    height=48,
                    encoding=name,
                    is_bigendian=0,
                    step=0,
                    data=data,
                )
            else:
                fields = dict(header=header, format=name, data=data)
            bag._write(topic, kind, stamp_of(order), **fields)
            bag.transform('map', OPTICAL, stamp, pose(0.1 * packet.number, 0, 0, 0, 0, 0))
            bag.camera_info('/camera/camera_info', OPTICAL, stamp, CAMERA)
            if depth:
                bag.depth(
                    '/camera/aligned_depth/image_raw',
                    OPTICAL,
                    stamp_of(order),
                    np.full((48, 64), 1 + order, np.float32),
                )
    return path


def check_stamps(frames):
    """Every image is that of its stamp."""
    assert [frame.stamp_ns for frame in frames] == [stamp_of(n) for n in numbers(frames)]


@pytest.mark.parametrize(
    ('codec', 'kind', 'name'),
    [
        ('h264', FOXGLOVE, 'h264'),
        ('hevc', FOXGLOVE, 'h265'),
        ('vp9', FOXGLOVE, 'vp9'),
        ('h264', FFMPEG, 'libx264'),
        ('h264', FFMPEG, 'h264_nvenc'),
        ('hevc', FFMPEG, 'hevc'),
        ('hevc', FFMPEG, 'hevc;yuv420p;bgr8;bgr8'),
        ('h264', 'sensor_msgs/msg/CompressedImage', 'h264'),
        ('h264', 'sensor_msgs/msg/Image', 'h264'),
    ],
)
def test_a_video_topic_is_decoded_in_order(tmp_path, codec, kind, name):
    source = open_source(write(tmp_path / 'a.mcap', packets(codec), kind=kind, name=name))
    assert (len(source), source.camera_frame) == (12, OPTICAL)
    for _ in range(2):
        found = list(source.posed_frames())
        assert numbers(posed.frame for posed in found) == list(range(12))
        check_stamps([posed.frame for posed in found])
        np.testing.assert_allclose(
            [posed.world_from_camera[0, 3] for posed in found],
            [0.1 * number for number in range(12)],
            atol=1e-9,
        )
    assert source.skipped == {}


def test_reordered_pictures_keep_their_stamps(tmp_path):
    stream = packets('h264', bf='2', **{'x264-params': 'b-adapt=0'})
    order = [packet.number for packet in stream]
    assert order != sorted(order)
    frames = list(open_source(write(tmp_path / 'a.mcap', stream)).frames())
    assert numbers(frames) == list(range(12))
    check_stamps(frames)


def test_a_recording_that_begins_between_key_frames(tmp_path):
    stream = packets('h264', tune='zerolatency')
    source = open_source(write(tmp_path / 'a.mcap', stream[2:]))
    frames = list(source.frames())
    assert numbers(frames) == list(range(6, 12))
    check_stamps(frames)
    assert source.skipped == {BEFORE: 4}


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_a_recording_without_a_key_frame_says_so(tmp_path, codec):
    stream = packets(codec, gop=100)[1:]
    source = open_source(write(tmp_path / 'a.mcap', stream, name=codec))
    with pytest.raises(SourceError, match=rf'11 with {BEFORE}.*; decoding begins at a key frame'):
        list(source.frames())


def test_stride_counts_decoded_pictures(tmp_path):
    source = open_source(write(tmp_path / 'a.mcap', packets('h264')), stride=3)
    assert (len(source), numbers(source.frames())) == (4, [0, 3, 6, 9])


def test_depth_finds_its_picture_in_spite_of_the_delay(tmp_path):
    bag = write(tmp_path / 'a.mcap', packets('h264', 20, bf='3'), depth=True)
    for frame, number in zip(open_source(bag).frames(), range(20), strict=True):
        assert frame.depth is not None and round(float(frame.depth[0, 0])) == number + 1


def test_a_broken_packet_and_what_follows_are_left_out(tmp_path):
    stream = packets('h264', tune='zerolatency')
    stream[3] = stream[3]._replace(data=stream[3].data[:20])
    source = open_source(write(tmp_path / 'a.mcap', stream))
    frames = list(source.frames())
    assert numbers(frames) == [0, 1, 2, 6, 7, 8, 9, 10, 11]
    check_stamps(frames)
    assert source.skipped == {DAMAGED: 3}


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_after_a_lost_packet_nothing_is_made_up(tmp_path, codec):
    options = {
        'h264': {'tune': 'zerolatency', 'refs': '3'},
        'hevc': {'x265-params': 'log-level=none:bframes=0:scenecut=0'},
    }[codec]
    stream = packets(codec, 18, **options)
    del stream[9]
    source = open_source(write(tmp_path / 'a.mcap', stream, name=codec))
    frames = list(source.frames())
    assert numbers(frames) == [*range(9), *range(12, 18)]
    check_stamps(frames)
    assert source.skipped == {DAMAGED: 2}


def test_a_lost_packet_that_nobody_refers_to(tmp_path):
    stream = packets('h264', bf='2', **{'x264-params': 'b-adapt=0:b-pyramid=none'})
    lost = next(packet for packet in stream if not packet.data[4] >> 5 & 3)
    stream.remove(lost)
    frames = list(open_source(write(tmp_path / 'a.mcap', stream)).frames())
    assert numbers(frames) == [number for number in range(12) if number != lost.number]


def test_an_empty_packet_does_not_end_the_video(tmp_path):
    stream = packets('h264', tune='zerolatency')
    stream[8] = stream[8]._replace(data=b'')
    source = open_source(write(tmp_path / 'a.mcap', stream))
    assert numbers(source.frames()) == list(range(8))
    assert source.skipped == {DAMAGED: 4}


def test_parameters_in_a_message_of_their_own(tmp_path):
    """Some drivers send SPS and PPS before a key frame and stamp them like one."""
    stream = []
    for packet in packets('h264', tune='zerolatency'):
        if packet.is_key:
            cut = packet.data.index(b'\x00\x00\x01\x65')
            stream.append(Packet(packet.number, packet.data[:cut], False))
            packet = packet._replace(data=packet.data[cut:])
        stream.append(packet)
    source = open_source(write(tmp_path / 'a.mcap', stream))
    assert numbers(source.frames()) == list(range(12)) and source.skipped == {}


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_units_behind_their_lengths_are_read(tmp_path, codec):
    """As the encoders of phones and browsers give them."""
    stream = [
        packet._replace(
            data=b''.join(
                len(unit.rstrip(b'\0')).to_bytes(4, 'big') + unit.rstrip(b'\0')
                for unit in nal_units(packet.data)
            )
        )
        for packet in packets(codec)
    ]
    source = open_source(write(tmp_path / 'a.mcap', stream, name=codec))
    assert numbers(source.frames()) == list(range(12)) and source.skipped == {}


def test_what_is_no_video_says_what_the_decoder_says(tmp_path):
    stream = [packet._replace(data=b'hello' * 9) for packet in packets('h264', 2)]
    with pytest.raises(SourceError, match=r'2 with a video frame .*\(Invalid data found'):
        list(open_source(write(tmp_path / 'a.mcap', stream)).frames())


def test_h265_that_is_called_h264_says_so(tmp_path):
    path = write(tmp_path / 'a', packets('hevc'), name='h264')
    with pytest.raises(SourceError, match='is of another format than it says'):
        list(open_source(path).frames())


def test_messages_without_a_picture_are_counted(tmp_path):
    parameters = [Packet(number, b'\0\0\0\1\x67abcd', False) for number in range(3)]
    with pytest.raises(
        SourceError,
        match=r'3 with a video message without a picture \(not one '
        'is h264',
    ):
        list(open_source(write(tmp_path / 'a', parameters)).frames())


@pytest.mark.parametrize('topic', ['/camera/image_raw/ffmpeg', '/camera/image_raw/foxglove'])
def test_a_topic_may_be_named_without_its_transport(tmp_path, topic):
    kind, name = (FFMPEG, 'libx264') if topic.endswith('ffmpeg') else (FOXGLOVE, 'h264')
    bag = write(tmp_path / 'a.mcap', packets('h264', 2), kind=kind, name=name, topic=topic)
    source = open_source(bag, image_topic='/camera/image_raw')
    assert (source.topics.image, source.topics.info) == (topic, '/camera/camera_info')


def test_a_bag_without_images_says_what_it_holds(tmp_path):
    with BagWriter(tmp_path / 'a.mcap') as bag:
        bag.camera_info('/camera/camera_info', OPTICAL, START_NS, CAMERA)
    with pytest.raises(
        SourceError,
        match=r'has no topic of images .*; it holds /camera/camera_in'
        r'fo \(sensor_msgs/msg/CameraInfo\)$',
    ):
        open_source(tmp_path / 'a.mcap')


def test_a_topic_without_images_is_named_with_its_type(tmp_path):
    bag = write(tmp_path / 'a.mcap', packets('h264', 2))
    with pytest.raises(SourceError, match=r"no image topic '/tf' \(it is a tf2_msgs/msg/TFMess"):
        open_source(bag, image_topic='/tf')


def test_an_unknown_format_of_a_video_is_named(tmp_path):
    source = open_source(write(tmp_path / 'a.mcap', packets('h264', 2), name='h267'))
    with pytest.raises(ImageError, match=r"mcap, /camera/video: video has the format 'h267', ex"):
        list(source.frames())


def test_a_sqlite_bag_without_definitions(tmp_path):
    path = write(tmp_path / 'a.db3', packets('h264'))
    with closing(sqlite3.connect(path)) as file, file:  # as humble records
        file.execute('DELETE FROM message_definitions')
    source = open_source(path)
    assert numbers(source.frames()) == list(range(12))


def test_the_missing_library_is_named_for_a_bag(tmp_path, monkeypatch):
    source = open_source(write(tmp_path / 'a.mcap', packets('h264', 2)))
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(MissingExtraError, match=r"a\.mcap holds video: pip install 'av>=16'"):
        list(source.frames())


def test_images_need_no_library_for_videos(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    with BagWriter(tmp_path / 'a.mcap') as bag:
        bag.camera_info('/camera/camera_info', OPTICAL, START_NS, CAMERA)
        bag.image('/camera/image_raw', OPTICAL, START_NS, image(3))
    assert numbers(open_source(tmp_path / 'a.mcap').frames()) == [3]


@settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_mutated_packets_never_end_in_a_traceback(tmp_path, data):
    codec = data.draw(st.sampled_from(list(STREAMS)))
    messages = []
    for packet in STREAMS[codec]:
        content = bytearray(packet.data)
        for _ in range(data.draw(st.integers(0, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        content = content[: data.draw(st.integers(0, len(content)))]
        messages.append(
            Message(
                '/video',
                0,
                SimpleNamespace(
                    timestamp=packet.number, frame_id='', format=codec, data=bytes(content)
                ),
            )
        )
    for found in decode_video(messages, '/video', tmp_path):
        with suppress(ImageError):
            assert isinstance(found, LeftOut) or found.content.pixels().dtype == np.uint8


def test_a_video_whose_camera_info_is_elsewhere(tmp_path):
    path = write(tmp_path / 'a', STREAMS['h264'], topic='/drive/video')
    source = open_source(path)
    assert len(list(source.posed_frames())) == 6
    assert '/camera/camera_info holds for /drive/video, since it alone' in source.assumptions[0]
