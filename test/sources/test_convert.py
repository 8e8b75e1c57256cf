# SPDX-License-Identifier: Apache-2.0
"""`dsac convert` between every pair of formats."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from source_frames import LENS, assert_same, posed_frames

from dsac_ros.cli import convert, localize
from dsac_ros.errors import CameraError, MapError, SourceError
from dsac_ros.geometry.camera import fisheye_camera
from dsac_ros.sources.bag_file import BagFile
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import read_tum


def run(*words):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    return convert.run(parser.parse_args([str(w) for w in words] + ['--progress', 'off']))


@pytest.fixture
def scene(tmp_path):
    """A folder of five frames with depth and a lens."""
    with FolderWriter(tmp_path / 'scene', map_frame='hall') as writer:
        for posed in posed_frames(depth=True, lens=LENS):
            writer.write(posed.frame, posed.world_from_camera)
    return tmp_path / 'scene'


@pytest.mark.parametrize(
    'words', [('a.mcap',), ('a.db3',), ('a', '--storage', 'sqlite3'), ('a', '--to', 'bag')]
)
def test_a_folder_becomes_a_bag_and_a_folder_again(scene, tmp_path, words):
    assert run(scene, tmp_path / words[0], *words[1:]) == 0
    bag = open_source(tmp_path / words[0], poses='tf:hall')
    assert bag.kind == 'bag' and bag.camera_frame == 'camera_optical'
    assert_same(list(bag.posed_frames()), list(open_source(scene).posed_frames()))
    assert run(tmp_path / words[0], tmp_path / 'back', '--poses', 'tf:hall') == 0
    assert_same(
        list(open_source(tmp_path / 'back').posed_frames()),
        list(open_source(scene).posed_frames()),
    )


def test_a_bag_for_tests_does_not_tell_the_answer(scene, tmp_path):
    run(
        scene,
        tmp_path / 'a.mcap',
        '--odom',
        '--map-frame',
        'map',
        '--camera-frame',
        'eye',
        '--compressed',
        '--depth',
        'off',
    )
    topics = BagFile(tmp_path / 'a.mcap').topics
    assert {t.name: t.type.rsplit('/')[-1] for t in topics.values()} == {
        '/camera/camera_info': 'CameraInfo',
        '/ground_truth/pose': 'PoseStamped',
        '/camera/image_raw/compressed': 'CompressedImage',
    }
    source = open_source(tmp_path / 'a.mcap')
    assert (source.camera_frame, len(list(source.posed_frames()))) == ('eye', 5)


def test_frames_without_stamps_get_a_rate(scene, tmp_path):
    (scene / 'stamps.txt').unlink()
    run(scene, tmp_path / 'a.mcap', '--rate', '4', '--map-frame', 'map')
    stamps = [f.stamp_ns for f in open_source(tmp_path / 'a.mcap').frames()]
    assert set(np.diff(stamps)) == {250_000_000} and stamps[0] > 10**18
    with pytest.raises(SourceError, match=r'rate is 0\.0 Hz'):
        run(scene, tmp_path / 'b.mcap', '--rate', '0')


def test_a_trajectory(scene, tmp_path):
    run(scene, tmp_path / 'a.tum', '--stride', '2')
    trajectory = read_tum(tmp_path / 'a.tum')
    expected = posed_frames()[::2]
    np.testing.assert_array_equal(trajectory.stamps_ns, [p.frame.stamp_ns for p in expected])
    np.testing.assert_allclose(
        trajectory.world_from_x, [p.world_from_camera for p in expected], atol=1e-8
    )


def test_undistorted_images_are_those_of_a_pinhole(scene, tmp_path):
    run(scene, tmp_path / 'ideal', '--undistort')
    frame = next(open_source(tmp_path / 'ideal').frames())
    assert frame.camera.model == 'pinhole' and frame.camera.size_wh == (32, 24)
    assert frame.camera.matrix[0, 0] == frame.camera.matrix[1, 1]
    assert frame.depth.shape == (24, 32)


def test_skipped_frames_are_reported(scene, tmp_path, capsys):
    (scene / 'poses' / 'frame-000003.txt').unlink()
    run(scene, tmp_path / 'a', '--json')
    assert json.loads(capsys.readouterr().out)['skipped'] == {'no pose file': 1}
    run(scene, tmp_path / 'b')
    out = capsys.readouterr().out
    assert '4 frames written to' in out and 'left out        1 with no pose file' in out


def test_assumptions_are_printed_once_and_in_json(tmp_path, capsys):
    sequence = tmp_path / 'seq-01'
    sequence.mkdir()
    for index in range(2):
        cv2.imwrite(
            str(sequence / f'frame-{index:06d}.color.png'), np.zeros((480, 640, 3), np.uint8)
        )
        np.savetxt(sequence / f'frame-{index:06d}.pose.txt', np.eye(4))
    run(sequence, tmp_path / 'a.tum', '--json')
    told = capsys.readouterr()
    assert told.err.count('dsac: assumed: ') == 2 and told.err.count('525 px') == 1
    assumptions = json.loads(told.out)['assumptions']
    assert ['--focal' in assumptions[0], '--rate' in assumptions[1]] == [True, True]
    run(sequence, tmp_path / 'b.tum', '--json', '--focal', '500')
    told = capsys.readouterr()
    assert '525 px' not in told.err and json.loads(told.out)['assumptions'] == assumptions[1:]


def test_a_pass_tells_its_assumptions_at_once(scene):
    source, told = open_source(scene), []
    source.assume('before')
    source.on_assumption(told.append)
    for _ in source.posed_frames():
        source.assume('while reading')
    assert told == source.assumptions == ['before', 'while reading']


@pytest.mark.parametrize(
    'dest, message', [('there', 'exists already'), ('a.bag', 'rosbag1 is read but not written')]
)
def test_what_is_not_written(scene, tmp_path, dest, message):
    (tmp_path / 'there').write_text('mine')
    with pytest.raises(SourceError, match=message):
        run(scene, tmp_path / dest)
    assert (tmp_path / 'there').read_text() == 'mine'


@pytest.mark.parametrize('dest', ['a', 'a.mcap', 'a.tum'])
def test_interrupted_conversion_leaves_nothing_behind(scene, tmp_path, monkeypatch, dest):
    def interrupted(frames, *_):
        yield next(iter(frames))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(convert, 'counted', interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(scene, tmp_path / dest)
    assert [path.name for path in tmp_path.iterdir()] == ['scene']
    assert run(scene, tmp_path / dest, '--map-frame', 'map') == 0


def test_an_empty_folder_is_filled(scene, tmp_path):
    (tmp_path / 'a').mkdir()
    assert run(scene, tmp_path / 'a') == 0
    assert len(list(open_source(tmp_path / 'a').posed_frames())) == 5


def test_a_fisheye_without_distortion_is_kept(tmp_path):
    fisheye = fisheye_camera((32, 24), (20, 0, 15.5, 0, 20, 11.5, 0, 0, 1), ())
    with FolderWriter(tmp_path / 'scene') as writer:
        for posed in posed_frames(2):
            writer.write(replace(posed.frame, camera=fisheye), posed.world_from_camera)
    run(tmp_path / 'scene', tmp_path / 'copy')
    camera = next(open_source(tmp_path / 'copy').frames()).camera
    assert (camera.model, camera.distortion) == ('equidistant', (0, 0, 0, 0))
    with pytest.raises(CameraError, match='coefficients of zero is a pinhole for ROS'):
        run(tmp_path / 'scene', tmp_path / 'a.mcap')
    run(tmp_path / 'scene', tmp_path / 'b.mcap', '--undistort')


def test_an_ending_in_capitals_means_the_same(scene, tmp_path):
    run(scene, tmp_path / 'A.MCAP')
    assert (tmp_path / 'A.MCAP').is_file() and open_source(tmp_path / 'A.MCAP').kind == 'bag'


@pytest.mark.parametrize('name', ['a.mp4', 'a.csv', 'a.mcap.zst', 'a.ZIP'])
def test_an_ending_that_is_not_written_is_refused(scene, tmp_path, name):
    with pytest.raises(SourceError, match=r'is not written, expected NAME.mcap or .*--to folder'):
        run(scene, tmp_path / name)
    run(scene, tmp_path / name, '--to', 'folder')
    assert len(open_source(tmp_path / name)) == 5


@pytest.mark.parametrize('stamp_ns', [-5_000_000_000, 3_000_000_000_000_000_000])
def test_a_stamp_that_ros_cannot_hold_is_one_line(tmp_path, stamp_ns):
    with FolderWriter(tmp_path / 'scene') as writer:
        for posed in posed_frames(2):
            writer.write(replace(posed.frame, stamp_ns=stamp_ns), posed.world_from_camera)
            stamp_ns += 1_000_000
    with pytest.raises(SourceError, match=r's cannot be written into .*0 to 2147483647 s; mend'):
        run(tmp_path / 'scene', tmp_path / 'a.mcap')
    assert not (tmp_path / 'a.mcap').exists()


def test_stamps_that_are_made_up_are_told(scene, tmp_path, capsys):
    (scene / 'stamps.txt').unlink()
    run(scene, tmp_path / 'a.tum', '--rate', '30')
    assert 'have no stamps and get those of 30 Hz, from 1700000000 s on' in capsys.readouterr().err


def no_map(args):
    raise MapError('none')


def test_made_up_stamps_of_an_answer_are_told(scene, tmp_path, capsys, monkeypatch):
    (scene / 'stamps.txt').unlink()
    monkeypatch.setattr(localize, 'check_map_path', lambda path: None)
    monkeypatch.setattr(localize, 'load_localizer', no_map)
    parser = argparse.ArgumentParser()
    localize.add_arguments(parser)
    with pytest.raises(MapError):
        localize.run(parser.parse_args(['a.map', str(scene), '-o', str(tmp_path / 'a.tum')]))
    assert 'a.tum count the frames from 0 on; --json names each' in capsys.readouterr().err
