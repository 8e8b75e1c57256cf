# SPDX-License-Identifier: Apache-2.0
"""Videos that are encoded here and read back: order, stamps, orientation, damage."""

from __future__ import annotations

import re
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_frames import pose
from videos import image, number_of, write_video

from dsac_ros.cli.main import main
from dsac_ros.errors import CameraError, DsacError, MissingExtraError, SourceError
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import write_tum
from dsac_ros.sources.video_decoding import DECODER_OPTIONS

MS = 1_000_000
DAMAGED = 'a video frame that is damaged, or predicted from a lost or damaged one'


def read(path, **words):
    return list(open_source(path, focal=50.0, **words).frames())


def numbers(frames):
    return [number_of(frame.image) for frame in frames]


@pytest.mark.parametrize(
    ('name', 'codec'),
    [
        ('a.mp4', 'h264'),
        ('A.MP4', 'hevc'),
        ('a.mkv', 'h264'),
        ('a.webm', 'vp9'),
        ('a.mov', 'h264'),
        ('a.avi', 'mjpeg'),
        ('a.ts', 'h264'),
        ('a.m4v', 'h264'),
    ],
)
def test_a_video_is_read_in_order_with_its_stamps(tmp_path, name, codec):
    source = open_source(write_video(tmp_path / name, codec=codec), focal=50.0)
    assert (source.kind, source.has_stamps, len(source)) == ('video', True, 12)
    for _ in range(2):
        frames = list(source.frames())
        assert numbers(frames) == list(range(12))
        assert [frame.stamp_ns for frame in frames] == [n * 100 * MS for n in range(12)]
    assert source.skipped == {} and frames[3].name == '000003'
    assert frames[0].camera.matrix[0].tolist() == [50.0, 0.0, 31.5]


@pytest.mark.parametrize('name', ['a.h264', 'a.mjpeg'])
def test_a_raw_stream_has_no_stamps(tmp_path, name):
    path = write_video(tmp_path / name, codec=path_codec(name))
    source = open_source(path, focal=50.0)
    assert (source.has_stamps, len(source)) == (False, 12)
    assert numbers(source.frames()) == list(range(12))
    write_tum(tmp_path / 'a.tum', [0], [np.eye(4)])
    with pytest.raises(SourceError, match=r'has no stamps.*ffmpeg -framerate FPS -i a'):
        open_source(path, focal=50.0, poses=str(tmp_path / 'a.tum'))


def path_codec(name):
    return name.split('.')[1]


def test_a_variable_frame_rate_keeps_its_stamps(tmp_path):
    times = [0, 33, 70, 200, 210, 900]
    frames = read(write_video(tmp_path / 'a.mkv', 6, times_ms=times))
    assert [frame.stamp_ns // MS for frame in frames] == times
    assert numbers(frames) == list(range(6))


def test_the_clock_starts_at_the_first_image(tmp_path):
    frames = read(write_video(tmp_path / 'a.mkv', 3, times_ms=[5000, 5100, 5200]))
    assert [frame.stamp_ns // MS for frame in frames] == [0, 100, 200]


def test_every_third_image_of_a_video(tmp_path):
    source = open_source(write_video(tmp_path / 'a.mp4'), focal=50.0, stride=3)
    frames = list(source.frames())
    assert (len(source), numbers(frames)) == (4, [0, 3, 6, 9])
    assert [frame.stamp_ns // MS for frame in frames] == [0, 300, 600, 900]


@pytest.mark.parametrize(('rotation', 'quarters'), [(90, 1), (180, 2), (270, 3)])
def test_a_turned_video_is_shown_upright(tmp_path, rotation, quarters):
    source = open_source(write_video(tmp_path / 'a.mp4', 2, rotation=rotation), focal=50.0)
    frame = next(source.frames())
    expected = np.rot90(image(0), -quarters)
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 3
    assert frame.camera.size_wh == (frame.image.shape[1], frame.image.shape[0])
    assert 'turned as its metadata says' in source.assumptions[0]


def test_a_mirrored_video_is_mirrored_back(tmp_path):
    frame = read(write_video(tmp_path / 'a.mp4', 2, rotation=-1))[0]
    assert np.abs(frame.image.astype(int) - image(0)[:, ::-1]).mean() < 3


@pytest.mark.parametrize('pix_fmt', ['yuv420p', 'yuvj420p', 'yuv444p', 'yuv420p10le'])
def test_range_and_depth_of_color_are_heeded(tmp_path, pix_fmt):
    frame = read(write_video(tmp_path / 'a.mkv', 2, pix_fmt=pix_fmt))[0]
    assert abs(float(frame.image[5, 5].mean()) - 250) < 4
    assert abs(float(frame.image[40, 40].mean()) - 20) < 4


def test_a_thermal_video_uses_its_range(tmp_path):
    path = tmp_path / 'a.mkv'
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('ffv1', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'gray16le'
        kelvin = np.tile(np.linspace(29000, 31000, 64).astype(np.uint16), (48, 1))
        file.mux(
            [*stream.encode(av.VideoFrame.from_ndarray(kelvin, 'gray16le')), *stream.encode(None)]
        )
    source = open_source(path, focal=50.0)
    (frame,) = source.frames()
    assert frame.image.shape == (48, 64) and np.ptp(frame.image) > 100
    assert 'images of 16 bits become 8 bits' in source.assumptions[0]


def test_pixels_that_are_not_square(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 2, pixel_aspect=Fraction(4, 3))
    with pytest.raises(CameraError, match=r'a pixel is 1\.333 times as wide .*fx = 0\.75 fy'):
        read(path)
    (tmp_path / 'k.txt').write_text('60 0 32 0 80 24 0 0 1')
    frames = list(open_source(path, info_topic=str(tmp_path / 'k.txt')).frames())
    assert frames[0].camera.matrix[0, 0] == 60


def test_a_calibration_may_lie_beside_a_video(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 2)
    with pytest.raises(SourceError, match=r'a\.mp4 has no calibration beside it.*--focal'):
        open_source(path)
    (tmp_path / 'focal.txt').write_text('70')
    assert next(open_source(path).frames()).camera.matrix[0, 0] == 70


def trajectory(path, start_s, count=12):
    stamps = [round((start_s + 0.1 * number) * 1e9) for number in range(count)]
    write_tum(path, stamps, [pose(0.1 * number, 0, 0, 0, 0, 0) for number in range(count)])
    return str(path)


def test_poses_of_a_trajectory_near_zero(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    source = open_source(path, focal=50.0, poses=trajectory(tmp_path / 'a.tum', 0.15, 8))
    found = list(source.posed_frames())
    assert numbers(posed.frame for posed in found) == [2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_allclose(found[0].world_from_camera[0, 3], 0.05, atol=1e-6)
    assert source.skipped == {'a stamp outside of the trajectory': 5}


def test_absolute_stamps_are_not_those_of_a_video(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    late = trajectory(tmp_path / 'a.tum', 1.7e9)
    for delay_ns in (0, 3 * 10**9):  # the same cure whatever delay was tried
        with pytest.raises(SourceError, match=r'from 0 to 1\.200 s, .*--pose-delay 17\d+\.000$'):
            open_source(path, focal=50.0, poses=late, pose_delay_ns=delay_ns)
    source = open_source(path, focal=50.0, poses=late, pose_delay_ns=1_700_000_000_000_000_000)
    assert len(list(source.posed_frames())) == 12


def test_a_video_without_poses_says_so(tmp_path):
    source = open_source(write_video(tmp_path / 'a.mp4'), focal=50.0)
    with pytest.raises(SourceError, match=r'12 with no pose: videos hold none; .*--poses'):
        list(source.posed_frames())
    with pytest.raises(SourceError, match=r"no poses at 'nowhere.tum', expected a TUM file"):
        open_source(source.path, focal=50.0, poses='nowhere.tum')


def test_a_video_becomes_a_bag(tmp_path, capsys):
    path = write_video(tmp_path / 'a.mp4')
    poses = trajectory(tmp_path / 'a.tum', 0.0)
    assert (
        main(
            [
                'convert',
                str(path),
                str(tmp_path / 'out.mcap'),
                '--poses',
                poses,
                '--focal',
                '50',
                '--progress',
                'off',
            ]
        )
        == 0
    )
    assert '12 frames written' in capsys.readouterr().out
    found = list(open_source(tmp_path / 'out.mcap').posed_frames())
    assert numbers(posed.frame for posed in found) == list(range(12))
    assert [posed.frame.stamp_ns // MS for posed in found] == [n * 100 for n in range(12)]


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.avi'])
def test_a_video_cut_short_is_read_to_the_cut(tmp_path, name):
    path = write_video(
        tmp_path / name,
        40,
        codec='mjpeg',
        container={'movflags': 'faststart'} if name == 'a.mp4' else None,
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    source = open_source(path, focal=50.0)
    found = numbers(source.frames())
    assert found == list(range(len(found))) and 15 < len(found) < 35
    (told,) = source.unread
    missing = int(re.search(r'its last (\d+) frames.* the file is cut short', told).group(1))
    assert abs(len(found) + sum(source.skipped.values()) + missing - 40) <= 1


def test_a_video_without_its_index(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(
        SourceError,
        match=r'a\.mp4 \(\d+ bytes\) cannot be read as a video .*lost '
        'its index',
    ):
        read(path)


def test_frames_after_a_damaged_one_are_left_out(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 18)
    with av.open(str(path)) as file:
        third = [(packet.pos, packet.size) for packet in file.demux(video=0)][3]
    data = bytearray(path.read_bytes())
    data[third[0] : third[0] + third[1]] = bytes(third[1])
    path.write_bytes(data)
    source = open_source(path, focal=50.0)
    frames = list(source.frames())
    assert [frame.stamp_ns // MS // 100 for frame in frames] == numbers(frames)
    assert numbers(frames)[-6:] == [12, 13, 14, 15, 16, 17]
    assert source.skipped[DAMAGED] > 0 and len(frames) + source.skipped[DAMAGED] <= 18


@pytest.mark.parametrize('name', ['a.mp4', 'a.ts', 'a.h264'])
def test_after_a_lost_packet_nothing_is_made_up(tmp_path, name):
    """As ffmpeg writes what an IP camera sends over a lossy network."""
    whole = write_video(tmp_path / 'whole.mkv', 18, tune='zerolatency')
    with av.open(str(whole)) as file, av.open(str(tmp_path / name), 'w') as lossy:
        stream = lossy.add_stream_from_template(file.streams.video[0])
        for number, packet in enumerate(file.demux(video=0)):
            if number != 9 and packet.size:
                packet.stream = stream
                lossy.mux(packet)
    source = open_source(tmp_path / name, focal=50.0)
    assert numbers(source.frames()) == [*range(9), *range(12, 18)]
    assert source.skipped == {DAMAGED: 2}


@pytest.mark.parametrize('name', ['a.mkv', 'a.h264'])
def test_a_key_frame_before_damage_ends_nothing(tmp_path, name):
    """With pictures out of order a key frame may be shown when a later packet is lost already."""
    whole = write_video(tmp_path / 'whole.mkv', 18, bf='2', **{'x264-params': 'b-adapt=0'})
    with av.open(str(whole)) as file, av.open(str(tmp_path / name), 'w') as lossy:
        stream = lossy.add_stream_from_template(file.streams.video[0])
        packets = [packet for packet in file.demux(video=0) if packet.size]
        key = next(n for n, packet in enumerate(packets) if n and packet.is_keyframe)
        for packet in packets[: key + 1] + packets[key + 2 :]:
            packet.stream = stream
            lossy.mux(packet)
    frames = read(tmp_path / name)
    assert numbers(frames) == [*range(7), *range(12, 18)]


def test_sound_without_a_video(tmp_path):
    with av.open(str(tmp_path / 'a.mp4'), 'w') as file:
        stream = file.add_stream('aac', rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        sound.rate = 16000
        file.mux([*stream.encode(sound), *stream.encode(None)])
    with pytest.raises(SourceError, match=r'a\.mp4 holds audio, expected a video'):
        read(tmp_path / 'a.mp4')


def test_a_second_video_in_a_file_is_told(tmp_path):
    source = open_source(write_video(tmp_path / 'a.mkv', 3, streams=2), focal=50.0)
    assert numbers(source.frames()) == [0, 1, 2]
    assert source.unread == [
        f'{source.path}: 1 more of its videos; `ffmpeg -i IN -map 0:v:1 -c '
        'copy OUT` takes out the second one'
    ]


def test_a_folder_with_a_video_names_it(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 2)
    with pytest.raises(SourceError, match=rf'no source of frames.*; it holds the video {path}'):
        open_source(tmp_path, focal=50.0)


@pytest.mark.parametrize('content', [b'', b'hello', b'version https://git-lfs.github.com/spec/v1'])
def test_a_file_that_is_no_video(tmp_path, content):
    (tmp_path / 'a.mp4').write_bytes(content)
    with pytest.raises(SourceError, match=rf'\({len(content)} bytes\) cannot be read as a video'):
        read(tmp_path / 'a.mp4')


def test_an_enormous_picture_is_not_decoded(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'a.mp4', 2)
    monkeypatch.setitem(DECODER_OPTIONS, 'max_pixels', '1000')
    with pytest.raises(SourceError, match='holds no frames that can be read: 2 with a video fr'):
        read(path)


def test_a_name_with_a_colon_is_no_protocol(tmp_path):
    assert len(read(write_video(tmp_path / '2024-05-01T12:30:00.mkv', 2))) == 2


def test_metadata_need_not_be_utf_8(tmp_path):
    path = write_video(tmp_path / 'a.mkv', 2)
    path.write_bytes(path.read_bytes().replace(b'DURATION', b'D\xdcRATION'))
    assert len(read(path)) == 2


def test_a_missing_library_is_named(tmp_path, monkeypatch, capsys):
    path = write_video(tmp_path / 'a.mp4', 2)
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(MissingExtraError, match=r"PyAV is not installed.*pip install 'av>=16'"):
        read(path)


def test_an_old_library_is_named(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'a.mp4', 2)
    monkeypatch.setattr(av, '__version__', '12.3.0')
    with pytest.raises(MissingExtraError, match=r"PyAV 12\.3\.0 is too old.*pip install 'av>=16'"):
        read(path)


@pytest.fixture(scope='module')
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    return [
        write_video(folder / name, 8, codec=codec).read_bytes()
        for name, codec in (
            ('a.mp4', 'h264'),
            ('a.mkv', 'hevc'),
            ('a.avi', 'mjpeg'),
            ('a.ts', 'h264'),
        )
    ]


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_mutated_videos_never_end_in_a_traceback(tmp_path, originals, data):
    content = bytearray(data.draw(st.sampled_from(originals)))
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / 'a.mp4'
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        source = open_source(path, focal=50.0)
        len(source)
        for frame in source.frames():
            assert frame.image.dtype == np.uint8
    except DsacError as error:
        assert '\n' not in str(error)
