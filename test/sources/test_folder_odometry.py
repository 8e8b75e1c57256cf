# SPDX-License-Identifier: Apache-2.0
"""Datasets with odometry: poses recomputed from another map -> odom, and files cut off."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from source_frames import pose, posed_frames

from dsac_ros.cli import convert
from dsac_ros.errors import SourceError
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.folder_contents import image_bytes, read_poses, set_aside
from dsac_ros.sources.folder_odometry import count_segments
from dsac_ros.sources.image_files import append_line
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import read_trajectory, read_tum, write_tum

MAP_FROM_ODOM = pose(3.0, -1.0, 0.0, 0, 0, 0.4)


@pytest.fixture
def dataset(tmp_path):
    """Five frames whose odometry differs from their poses."""
    with FolderWriter(tmp_path / 'drive') as writer:
        for number, posed in enumerate(posed_frames()):
            odometry = np.linalg.inv(MAP_FROM_ODOM) @ posed.world_from_camera
            writer.write(posed.frame, posed.world_from_camera, odometry, number in (0, 3))
    return tmp_path / 'drive'


def poses(source):
    return [posed.world_from_camera for posed in source.posed_frames()]


def test_the_stored_map_to_odom_gives_the_stored_poses(dataset):
    again = open_source(dataset, map_odom=str(dataset / 'map_odom.tum'))
    np.testing.assert_allclose(poses(again), poses(open_source(dataset)), atol=1e-7)
    assert not again.skipped and not again.unread


def corrected(dataset, path, moved):
    """A file of map -> odom that an optimised graph gives: moved, at other times."""
    stamps = read_tum(dataset / 'odom.tum').stamps_ns
    times = np.linspace(stamps[0] - 1000, stamps[-1] + 1000, 9).astype(np.int64)
    write_tum(path, times, [moved @ MAP_FROM_ODOM] * len(times))
    return path


def test_another_map_to_odom_moves_the_poses(dataset, tmp_path):
    moved = pose(0.5, 0.0, 0.0, 0, 0, 0.1)
    file = corrected(dataset, tmp_path / 'new.tum', moved)
    expected = [moved @ one for one in poses(open_source(dataset))]
    np.testing.assert_allclose(
        poses(open_source(dataset, map_odom=str(file))), expected, atol=1e-6
    )


def test_convert_writes_recomputed_poses(dataset, tmp_path):
    file = corrected(dataset, tmp_path / 'new.tum', pose(0.5, 0.0, 0.0, 0, 0, 0.1))
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    words = [dataset, tmp_path / 'out', '--map-odom', file, '--progress', 'off']
    assert convert.run(parser.parse_args([str(word) for word in words])) == 0
    expected = poses(open_source(dataset, map_odom=str(file)))
    np.testing.assert_allclose(poses(open_source(tmp_path / 'out')), expected, atol=1e-9)


def test_frames_outside_of_the_file_have_no_pose(dataset, tmp_path):
    stamps = read_tum(dataset / 'odom.tum').stamps_ns
    write_tum(tmp_path / 'new.tum', stamps[1:3], [MAP_FROM_ODOM] * 2)
    source = open_source(dataset, map_odom=str(tmp_path / 'new.tum'))
    assert len(poses(source)) == 2 and sum(source.skipped.values()) == 3
    assert 'outside of' in next(iter(source.skipped))


def test_bad_uses_say_what_is_expected(dataset, tmp_path):
    file = str(dataset / 'map_odom.tum')
    for path, options, expected in (
        (dataset, {'map_odom': str(tmp_path / 'no')}, 'does not exist'),
        (dataset, {'map_odom': file, 'poses': file}, 'leave out --poses'),
        ('rendered:1:5', {'map_odom': file}, 'exact poses'),
        (file, {'map_odom': file}, 'is none'),
    ):
        with pytest.raises(SourceError, match=expected):
            open_source(path, **options)
    (dataset / 'odom.tum').unlink()
    with pytest.raises(SourceError, match=r'has no odom\.tum'):
        open_source(dataset, map_odom=file)


def cut(path, count):
    data = path.read_bytes()
    path.write_bytes(data[:-count])


@pytest.mark.parametrize('count', [5, 40, 80])
def test_a_cut_last_line_costs_that_line_alone(dataset, count):
    cut(dataset / 'odom.tum', count)
    read = read_trajectory(dataset / 'odom.tum')
    assert len(read.trajectory) in (4, 5)
    source = open_source(dataset, map_odom=str(dataset / 'map_odom.tum'))
    assert len(poses(source)) in (4, 5)
    if len(read.trajectory) == 4:
        assert 'cut off' in source.unread[0]


def test_a_cut_line_in_the_middle_is_an_error(dataset):
    lines = (dataset / 'odom.tum').read_text().splitlines()
    (dataset / 'odom.tum').write_text('\n'.join([lines[0][:30], *lines[1:]]))
    with pytest.raises(SourceError, match='line 1'):
        read_trajectory(dataset / 'odom.tum')


def test_a_writer_that_goes_on_removes_cut_lines(dataset):
    for name in ('odom.tum', 'map_odom.tum', 'segments.txt'):
        cut(dataset / name, 3)
    (dataset / 'rgb' / '.frame-000005.png.1.partial').write_bytes(b'half')
    posed = posed_frames()[0]
    with FolderWriter(dataset, append=True) as writer:
        assert not list(dataset.rglob('.*'))
        writer.write(posed.frame, posed.world_from_camera, posed.world_from_camera, True)
    assert len(read_tum(dataset / 'odom.tum')) == 4  # the last has the stamp of the first
    assert (dataset / 'segments.txt').read_text() == 'frame-000000 1\nframe-000005 2\n'
    assert count_segments(dataset) == 2


def test_what_a_killed_writer_left_is_removed(dataset):
    """Pose and depth of a frame whose image never came."""
    np.savetxt(dataset / 'poses' / 'frame-000005.txt', np.eye(4))
    (dataset / 'depth').mkdir()
    (dataset / 'depth' / 'frame-000005.png').write_bytes(b'half')
    posed = posed_frames()[1]
    with FolderWriter(dataset, append=True) as writer:
        writer.write(posed.frame, None)
    source = open_source(dataset)
    assert len(list(source.posed_frames())) == 5 and not source.missing


def test_datasets_set_aside_in_one_second_all_stay(tmp_path):
    for number in range(3):
        (tmp_path / 'drive').mkdir()
        (tmp_path / 'drive' / str(number)).touch()
        set_aside(tmp_path / 'drive')
    kept = sorted(file.name for file in tmp_path.rglob('[0-2]'))
    assert kept == ['0', '1', '2']


def test_poses_and_size_of_a_dataset(dataset):
    np.testing.assert_allclose(read_poses(dataset), poses(open_source(dataset)), atol=1e-9)
    sizes = [file.stat().st_size for file in (dataset / 'rgb').iterdir()]
    assert image_bytes(dataset) == sum(sizes) > 0
    assert image_bytes(dataset, 'frame-000001') in sizes
    assert (image_bytes(dataset / 'no'), read_poses(dataset / 'no')) == (0, [])


def test_a_line_that_does_not_fit_leaves_no_half(dataset, monkeypatch):
    """A disk that fills up within a line."""
    before = (dataset / 'odom.tum').read_bytes()

    def full(number):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('dsac_ros.sources.image_files.os.fsync', full)
    with pytest.raises(OSError, match='No space left'):
        append_line(dataset / 'odom.tum', '1 2 3')
    assert (dataset / 'odom.tum').read_bytes() == before
