# SPDX-License-Identifier: Apache-2.0
"""TUM's trajectory and RGB-D folder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import START_NS, STEP_NS, posed_frames

from dsac_ros.errors import SourceError
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.stamps import nanoseconds
from dsac_ros.sources.trajectory_files import read_tum, write_tum


def test_a_trajectory_comes_back_to_the_nanosecond(tmp_path):
    frames = posed_frames()
    stamps = [p.frame.stamp_ns for p in frames]
    write_tum(tmp_path / 'a.tum', stamps, [p.world_from_camera for p in frames])
    trajectory = read_tum(tmp_path / 'a.tum')
    np.testing.assert_array_equal(trajectory.stamps_ns, stamps)
    np.testing.assert_allclose(
        trajectory.world_from_x, [p.world_from_camera for p in frames], atol=1e-8
    )


def test_what_others_write_is_read(tmp_path):
    (tmp_path / 'a.txt').write_text(
        '# comment\n\n1305031102.1758 1 2 3 0 0 0 1\r\n1.305031103e9,4,5,6,0,0,0,-2\n'
    )
    trajectory = read_tum(tmp_path / 'a.txt')
    assert trajectory.stamps_ns.tolist() == [1305031102175800000, 1305031103000000000]
    np.testing.assert_array_equal(trajectory.world_from_x[1, :3, :3], np.eye(3))


def test_stamps_keep_their_nanoseconds():
    assert nanoseconds('1700000000.123456789') == START_NS
    assert nanoseconds('-0.5') == -500_000_000


@pytest.mark.parametrize(
    'text, message',
    [
        ('1 2 3\n', "line 1: '1 2 3' is not a pose, expected 8 numbers"),
        ('# x\n1 1 2 3 0 0 0 one\n', 'line 2: .*one. is not a pose'),
        ('nan 1 2 3 0 0 0 1\n', 'is not a pose'),
        ('# nothing\n', 'holds no poses'),
    ],
)
def test_broken_trajectories_name_the_line(tmp_path, text, message):
    (tmp_path / 'a.tum').write_text(text)
    with pytest.raises(SourceError, match=message):
        read_tum(tmp_path / 'a.tum')


@pytest.fixture
def rgbd(tmp_path):
    """An RGB-D folder: depth 5 ms late, poses every 200 ms, one image outside of them."""
    path = tmp_path / 'rgbd_dataset_freiburg1_desk'
    (path / 'rgb').mkdir(parents=True)
    (path / 'depth').mkdir()
    rgb, depth, poses = ['# color'], ['# depth'], ['# poses']
    for i in range(6):
        t = 1305031100 + i / 10
        cv2.imwrite(str(path / 'rgb' / f'{t:.6f}.png'), np.zeros((480, 640, 3), np.uint8))
        cv2.imwrite(str(path / 'depth' / f'{t:.6f}.png'), np.full((480, 640), 5000, np.uint16))
        rgb.append(f'{t:.6f} rgb/{t:.6f}.png')
        depth.append(f'{t + (0.005 if i else 0.05):.6f} depth/{t:.6f}.png')
        if i % 2 == 0:
            poses.append(f'{t:.4f} {i} 0 0 0 0 0 1')
    for name, lines in (('rgb', rgb), ('depth', depth), ('groundtruth', poses)):
        (path / f'{name}.txt').write_text('\n'.join(lines) + '\n')
    return path


def test_an_rgbd_folder(rgbd):
    source = open_source(rgbd)
    assert (source.kind, len(source)) == ('TUM RGB-D folder', 6)
    found = list(source.posed_frames())
    assert [p.world_from_camera[0, 3] for p in found] == pytest.approx([0, 1, 2, 3, 4])
    assert source.skipped == {'a stamp outside of the trajectory': 1}
    assert found[0].frame.depth is None and (found[1].frame.depth == 1.0).all()
    assert found[1].frame.stamp_ns - found[0].frame.stamp_ns == STEP_NS
    assert found[0].frame.camera.matrix[0, 0] == 517.3
    assert found[0].frame.camera.model == 'plumb_bob'


def test_an_rgbd_folder_without_ground_truth(rgbd):
    (rgbd / 'groundtruth.txt').unlink()
    assert len(list(open_source(rgbd).frames())) == 6
    with pytest.raises(SourceError, match=r'6 with no groundtruth\.txt'):
        list(open_source(rgbd).posed_frames())


def test_what_an_rgbd_folder_leaves_out_is_told(rgbd):
    (rgbd / 'rgb' / '1305031100.000000.png').rename(rgbd / 'rgb' / 'spare.png')
    source = open_source(rgbd)
    assert len(list(source.frames())) == 5
    assert source.skipped == {'an image file that is missing': 1}
    assert source.unread == [f'1 images of {rgbd / "rgb"} that rgb.txt does not list: spare.png']


def test_an_image_without_depth_near_it_lacks_it(rgbd):
    source = open_source(rgbd)
    list(source.frames())
    assert source.missing == {'depth that is missing or cannot be decoded': 1}


@pytest.mark.parametrize('line', ['1305031100.0', 'now rgb/a.png', '1e99999999 rgb/a.png'])
def test_a_list_of_images_names_its_broken_line(rgbd, line):
    (rgbd / 'rgb.txt').write_text(f'# color\n{line}\n')
    with pytest.raises(SourceError, match=r'rgb\.txt, line 2: .* expected a stamp and a file'):
        open_source(rgbd)


def test_lists_of_images_in_nanoseconds(rgbd):
    for name in ('rgb', 'depth', 'groundtruth'):
        lines = (rgbd / f'{name}.txt').read_text().splitlines()[1:]
        rows = [line.split(maxsplit=1) for line in lines]
        (rgbd / f'{name}.txt').write_text(
            ''.join(f'{nanoseconds(time)} {rest}\n' for time, rest in rows)
        )
    source = open_source(rgbd)
    assert len(list(source.posed_frames())) == 5
    assert len([line for line in source.assumptions if 'are in ns' in line]) == 3


def test_poses_before_and_after_the_images_are_told(rgbd):
    with (rgbd / 'groundtruth.txt').open('a') as file:
        file.write('1305031000 0 0 0 0 0 0 1\n1305032000 0 0 0 0 0 0 1\n')
    source = open_source(rgbd)
    assert source.unread == [
        f'2 of 5 poses of {rgbd / "groundtruth.txt"}, which are before or after the images'
    ]


def test_lists_of_images_with_the_slashes_of_windows(rgbd):
    text = (rgbd / 'rgb.txt').read_text().replace('rgb/', 'rgb\\').replace('\n', '\r\n')
    (rgbd / 'rgb.txt').write_bytes(b'\xef\xbb\xbf' + text.encode())
    assert len(list(open_source(rgbd).frames())) == 6


@pytest.mark.parametrize(
    'name, focal', [('rgbd_dataset_freiburg2_xyz', 520.9), ('fr3_office', 535.4), ('FR1', 517.3)]
)
def test_a_published_sequence_is_told(rgbd, name, focal):
    source = open_source(rgbd.rename(rgbd.with_name(name)))
    assert next(source.frames()).camera.matrix[0, 0] == focal
    assert len(source.assumptions) == 1
    assert 'the intrinsics published for freiburg' in source.assumptions[0]


@pytest.mark.parametrize('name', ['my_robot', 'rgbd_bonn_balloon', 'freiburg12', 'frame1', 'fr4'])
def test_the_camera_of_another_folder_is_not_guessed(rgbd, name):
    folder = rgbd.rename(rgbd.with_name(name))
    with pytest.raises(
        SourceError,
        match=f'{name} has no calibration, and its name is of no .*give --camera-info or --focal',
    ):
        open_source(folder)
    assert next(open_source(folder, focal=480.0).frames()).camera.matrix[0, 0] == 480
    (folder / 'calibration.txt').write_text('490')
    source = open_source(folder)
    assert next(source.frames()).camera.matrix[0, 0] == 490 and source.assumptions == []


def test_published_intrinsics_of_resized_images(rgbd):
    for image in (rgbd / 'rgb').iterdir():
        cv2.imwrite(str(image), np.zeros((240, 320, 3), np.uint8))
    source = open_source(rgbd, depth='off')
    assert next(source.frames()).camera.matrix[0, 0] == pytest.approx(517.3 / 2)
    assert 'was scaled to images of 320x240' in source.assumptions[1]
