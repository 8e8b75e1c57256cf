# SPDX-License-Identifier: Apache-2.0
"""The layout of DSAC* and ACE, as others write it and as we do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import LENS, assert_same, camera, pose, posed_frames

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.folder import FolderWriter, open_folder
from dsac_ros.sources.open_source import open_source


def write_layout(path, count=3, calibration='500', stems=None, size_wh=(64, 48)):
    """A folder as other programs write it; `stems` names rgb, poses and calibration apart."""
    for folder in ('rgb', 'poses', 'calibration'):
        (path / folder).mkdir(parents=True)
    for i in range(count):
        names = stems(i) if stems else (f'f{i}',) * 3
        image = np.full((*size_wh[::-1], 3), 10 * i, np.uint8)
        cv2.imwrite(str(path / 'rgb' / f'{names[0]}.png'), image)
        np.savetxt(path / 'poses' / f'{names[1]}.txt', pose(i, 0, 0, 0, 0.1, 0))
        (path / 'calibration' / f'{names[2]}.txt').write_text(calibration)
    return path


def test_what_is_written_is_read_back(tmp_path):
    expected = posed_frames(depth=True, lens=LENS)
    with FolderWriter(tmp_path / 'scene', map_frame='hall') as writer:
        names = [writer.write(p.frame, p.world_from_camera) for p in expected]
    assert names[0] == 'frame-000000' and writer.count == 5
    source = open_source(tmp_path / 'scene')
    assert (source.kind, len(source), source.map_frame) == ('folder', 5, 'hall')
    assert source.has_stamps
    for _ in range(2):  # a source may be read again
        assert_same(list(source.posed_frames()), expected)
    assert [frame.name for frame in source.frames()] == names
    assert not list((tmp_path / 'scene').rglob('.*'))


def test_a_focal_length_centres_the_principal_point(tmp_path):
    frame = next(open_source(write_layout(tmp_path)).frames())
    np.testing.assert_allclose(frame.camera.matrix, [[500, 0, 31.5], [0, 500, 23.5], [0, 0, 1]])
    assert frame.camera.size_wh == (64, 48) and frame.depth is None


def test_a_matrix_counts_pixels_from_the_corner(tmp_path):
    write_layout(tmp_path, calibration='500 0 32\n0 510 24\n0 0 1\n')
    matrix = next(open_source(tmp_path).frames()).camera.matrix
    np.testing.assert_allclose(matrix, [[500, 0, 31.5], [0, 510, 23.5], [0, 0, 1]])


def test_one_calibration_serves_all(tmp_path):
    write_layout(tmp_path)
    for i in (1, 2):
        (tmp_path / 'calibration' / f'f{i}.txt').unlink()
    assert len(list(open_source(tmp_path).posed_frames())) == 3


def test_other_names_pair_up_by_their_number(tmp_path):
    write_layout(tmp_path, stems=lambda i: (f'img_{i}', f'pose_{i}', f'k_{i}'))
    found = list(open_source(tmp_path).posed_frames())
    assert [p.world_from_camera[0, 3] for p in found] == pytest.approx([0, 1, 2], abs=0.2)


def test_a_missing_pose_of_other_names_is_counted(tmp_path):
    write_layout(tmp_path, stems=lambda i: (f'img_{i}', f'pose_{i}', f'k_{i}'))
    (tmp_path / 'poses' / 'pose_1.txt').unlink()
    source = open_source(tmp_path)
    assert [p.frame.name for p in source.posed_frames()] == ['img_0', 'img_2']
    assert source.skipped == {'no pose file': 1}


def test_unusable_poses_are_skipped_and_counted(tmp_path):
    write_layout(tmp_path, count=6)
    poses = tmp_path / 'poses'
    (poses / 'f0.txt').unlink()
    np.savetxt(poses / 'f1.txt', np.full((4, 4), np.nan))
    (poses / 'f2.txt').write_text('half a po')
    np.savetxt(poses / 'f3.txt', np.diag([2.0, 2, 2, 1]))
    (tmp_path / 'rgb' / 'f4.png').write_bytes(b'\x89PNG cut')
    source = open_source(tmp_path)
    assert [p.frame.name for p in source.posed_frames()] == ['f5']
    assert source.skipped == {
        'no pose file': 1,
        'a pose with NaN or infinity': 1,
        'a pose file that cannot be read': 1,
        'a pose that is no rigid motion': 1,
        'an image file that cannot be decoded': 1,
    }
    assert len(list(source.frames())) == 5


def test_no_pose_at_all_says_how_many_and_why(tmp_path):
    write_layout(tmp_path, count=2)
    for file in (tmp_path / 'poses').iterdir():
        file.unlink()
    with pytest.raises(SourceError, match=r'holds no frames with poses: 2 with no pose file'):
        list(open_source(tmp_path).posed_frames())


def test_another_folder_of_poses_may_be_named(tmp_path):
    write_layout(tmp_path, count=1)
    (tmp_path / 'poses_slam').mkdir()
    np.savetxt(tmp_path / 'poses_slam' / 'f0.txt', pose(7, 0, 0, 0, 0, 0))
    found = list(open_source(tmp_path, poses='poses_slam').posed_frames())
    assert found[0].world_from_camera[0, 3] == 7
    found = list(open_source(tmp_path, poses=str(tmp_path / 'poses_slam')).posed_frames())
    assert found[0].world_from_camera[0, 3] == 7
    with pytest.raises(SourceError, match="no poses at 'poses_sfm'"):
        open_source(tmp_path, poses='poses_sfm')


def test_depth_is_resized_to_the_image(tmp_path):
    write_layout(tmp_path, count=1)
    (tmp_path / 'depth').mkdir()
    depth = np.array([[1000, 65535], [0, 4000]], np.uint16).repeat(12, 0).repeat(16, 1)
    cv2.imwrite(str(tmp_path / 'depth' / 'f0.png'), depth)
    found = next(open_source(tmp_path).frames()).depth
    assert found.shape == (48, 64) and found.dtype == np.float32
    assert (found[0, 0], found[0, -1], found[-1, 0], found[-1, -1]) == (1, 0, 0, 4)
    assert next(open_source(tmp_path, depth='off').frames()).depth is None


@pytest.mark.parametrize(
    'text, error, message',
    [
        ('0', CameraError, 'f0.txt: camera has focal lengths fx = 0'),
        ('nan', CameraError, 'f0.txt: .*NaN'),
        ('1 2 3', CameraError, 'f0.txt holds 3 numbers, expected a focal length'),
        ('five hundred', CameraError, 'f0.txt cannot be read as a calibration'),
    ],
)
def test_a_bad_calibration_names_its_file(tmp_path, text, error, message):
    write_layout(tmp_path, count=1, calibration=text)
    with pytest.raises(error, match=message):
        list(open_source(tmp_path).frames())


def test_a_folder_of_train_and_test_asks_which(tmp_path):
    write_layout(tmp_path / 'train')
    assert len(open_source(tmp_path)) == 3
    write_layout(tmp_path / 'test')
    with pytest.raises(SourceError, match=r'name one of .*test, .*train'):
        open_source(tmp_path)


def test_the_writer_refuses_a_folder_with_frames(tmp_path):
    """Appending is explicit, and asks for the same lens."""
    first, second = posed_frames(2)
    with FolderWriter(tmp_path) as writer:
        writer.write(first.frame, first.world_from_camera)
    with pytest.raises(SourceError, match='holds 1 frames already'):
        FolderWriter(tmp_path)
    with FolderWriter(tmp_path, append=True) as writer:
        assert writer.write(second.frame, second.world_from_camera) == 'frame-000001'
        other = posed_frames(1, lens=LENS)[0]
        with pytest.raises(SourceError, match='images of a pinhole lens'):
            writer.write(other.frame, other.world_from_camera)
    assert_same(list(open_source(tmp_path).posed_frames()), [first, second])


def test_a_frame_that_was_cut_off_is_not_there(tmp_path, monkeypatch):
    frames = posed_frames(2)
    writer = FolderWriter(tmp_path)
    writer.write(frames[0].frame, frames[0].world_from_camera)

    def power_cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('dsac_ros.sources.folder.write_image', power_cut)
    with pytest.raises(KeyboardInterrupt):
        writer.write(frames[1].frame, frames[1].world_from_camera)
    with (tmp_path / 'stamps.txt').open('a') as stamps:
        stamps.write('frame-0000')
    assert_same(list(open_folder(tmp_path).posed_frames()), frames[:1])


@pytest.mark.parametrize('half', ['frame-0000', 'frame-000001 170'])
def test_a_truncated_line_does_not_cost_all_stamps(tmp_path, half):
    frames = posed_frames(3)
    with FolderWriter(tmp_path) as writer:
        writer.write(frames[0].frame, frames[0].world_from_camera)
    with (tmp_path / 'stamps.txt').open('a') as stamps:
        stamps.write(half)
    with FolderWriter(tmp_path, append=True) as writer:
        for posed in frames[1:]:
            writer.write(posed.frame, posed.world_from_camera)
    source = open_source(tmp_path)
    assert source.has_stamps
    assert_same(list(source.posed_frames()), frames)


@pytest.mark.parametrize('lens', ['front', '[1, 2]', '{distortion_coefficients: none}'])
def test_dataset_file_with_an_invalid_lens_is_named(tmp_path, lens):
    write_layout(tmp_path, count=1)
    (tmp_path / 'dataset.yaml').write_text(f'camera: {lens}\n')
    with pytest.raises(SourceError, match=r'dataset\.yaml: camera is .*expected the keys'):
        open_source(tmp_path)


def test_a_lens_without_a_size_can_be_appended_to(tmp_path):
    write_layout(tmp_path, count=1, calibration='500 0 32\n0 510 24\n0 0 1\n')
    (tmp_path / 'rgb' / 'f0.png').rename(tmp_path / 'rgb' / 'frame-000000.png')
    (tmp_path / 'dataset.yaml').write_text(
        'camera: {distortion_model: plumb_bob, distortion_coefficients: [0.1, 0, 0, 0, 0]}\n'
    )
    with FolderWriter(tmp_path, append=True) as writer:
        assert writer.camera.size_wh == (64, 48) and writer.camera.distortion[0] == 0.1


def test_frames_with_unusable_depth_stay_without_it(tmp_path):
    """The missing depth is counted."""
    with FolderWriter(tmp_path) as writer:
        for posed in posed_frames(3, depth=True):
            writer.write(posed.frame, posed.world_from_camera)
    (tmp_path / 'depth' / 'frame-000001.png').write_bytes(b'no png')
    source = open_source(tmp_path)
    for _ in range(2):
        assert [p.frame.depth is None for p in source.posed_frames()] == [False, True, False]
        assert source.missing == {'depth that is missing or cannot be decoded': 1}
        assert not source.skipped
    assert len(list(open_source(tmp_path, depth='off').posed_frames())) == 3


def test_frames_without_pose_can_be_written_as_queries(tmp_path):
    frame = posed_frames(1)[0].frame
    with FolderWriter(tmp_path, image_suffix='.jpg') as writer:
        writer.write(frame, None)
    source = open_source(tmp_path)
    assert len(list(source.frames())) == 1
    assert next(source.frames()).camera.size_wh == camera().size_wh


def test_the_rotation_in_exif_is_ignored(tmp_path):
    from PIL import Image

    write_layout(tmp_path, count=1)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees
    Image.new('RGB', (64, 48)).save(tmp_path / 'rgb' / 'f0.jpg', exif=exif)
    (tmp_path / 'rgb' / 'f0.png').unlink()
    assert next(open_source(tmp_path).frames()).image.shape == (48, 64, 3)


def test_unpadded_numbers_are_in_the_order_of_time(tmp_path):
    write_layout(tmp_path, count=12, stems=lambda i: (f'{i}', f'{i}', f'{i}'))
    assert [frame.name for frame in open_source(tmp_path).frames()] == [str(i) for i in range(12)]


def test_padded_images_have_poses_of_their_number(tmp_path):
    write_layout(tmp_path, count=12, stems=lambda i: (f'{i:06d}', f'{i}', f'k{i}'))
    found = [p.world_from_camera[0, 3] for p in open_source(tmp_path).posed_frames()]
    assert found == pytest.approx(range(12), abs=0.5)


def test_files_of_no_image_are_told(tmp_path):
    write_layout(tmp_path)
    (tmp_path / 'rgb' / 'f1.png').unlink()
    for name in ('rgb/._f0.png', 'rgb/Thumbs.db', 'poses/._f0.txt', 'calibration/.DS_Store'):
        (tmp_path / name).write_bytes(b'junk of a file manager')
    (tmp_path / 'rgb' / 'f9.HEIC').write_bytes(b'a photograph')
    source = open_source(tmp_path)
    assert len(list(source.posed_frames())) == 2
    assert [line.split(str(tmp_path))[0] for line in source.unread] == [
        '1 files of ',
        '1 of 3 files of ',
        '1 of 3 files of ',
    ]
    assert 'f9.HEIC): convert them' in source.unread[0] and 'f1.txt' in source.unread[1]


def test_pose_files_of_another_kind_are_told(tmp_path):
    write_layout(tmp_path, count=1)
    (tmp_path / 'poses' / 'f0.txt').rename(tmp_path / 'poses' / 'f0.npy')
    source = open_source(tmp_path)
    with pytest.raises(SourceError, match='1 with no pose file'):
        list(source.posed_frames())
    assert source.unread == [f'f0.npy of {tmp_path / "poses"}, expected .txt files']


@pytest.mark.parametrize('text', ['{}', '\ufeff{}', '{}\r\n'])
def test_a_pose_as_numpy_prints_it(tmp_path, text):
    write_layout(tmp_path, count=1)
    printed = str(pose(3, 0, 0, 0, 0, 0).tolist())
    (tmp_path / 'poses' / 'f0.txt').write_text(text.format(printed), encoding='utf-8')
    assert next(open_source(tmp_path).posed_frames()).world_from_camera[0, 3] == 3


def test_all_poses_broken_name_the_first_file(tmp_path):
    write_layout(tmp_path, count=2)
    for file in (tmp_path / 'poses').iterdir():
        file.write_text('1 2 3')
    with pytest.raises(
        SourceError,
        match=r'2 with a pose file of 3 numbers instead of 16 '
        r'\(.*f0\.txt\); expected 4x4 numbers',
    ):
        list(open_source(tmp_path).posed_frames())


def test_a_frame_without_its_depth_file_lacks_it(tmp_path):
    write_layout(tmp_path, count=2)
    (tmp_path / 'depth').mkdir()
    cv2.imwrite(str(tmp_path / 'depth' / 'f1.png'), np.full((48, 64), 1000, np.uint16))
    source = open_source(tmp_path)
    assert [frame.depth is None for frame in source.frames()] == [True, False]
    assert source.missing == {'depth that is missing or cannot be decoded': 1}


@pytest.mark.parametrize(
    ('lines', 'first'),
    [
        (['f0 1305031102.5', 'f1.png 1305031102.75'], 1305031102500000000),
        (['f0 1305031102500', 'f1 1305031102750'], 1305031102500000000),
        (['f0 900000000', 'f1 1000000000'], 900000000),
    ],
)
def test_stamps_are_seconds_or_nanoseconds(tmp_path, lines, first):
    write_layout(tmp_path, count=2)
    (tmp_path / 'stamps.txt').write_text('\n'.join(['# name stamp', *lines]))
    source = open_source(tmp_path)
    assert source.has_stamps and next(source.frames()).stamp_ns == first


def test_stamps_that_are_missing_or_spare_are_told(tmp_path):
    write_layout(tmp_path, count=2)
    (tmp_path / 'stamps.txt').write_text('f0 12\nf7 13\nf1 soon\n')
    source = open_source(tmp_path)
    assert not source.has_stamps and 'has no stamp of f1.png' in source.assumptions[0]
    assert source.unread == [
        f'1 lines of {tmp_path / "stamps.txt"} that are no name and stamp: line 3',
        f'1 of 2 stamps of {tmp_path / "stamps.txt"}, which are of no image',
    ]


def test_stamps_give_the_order(tmp_path):
    write_layout(tmp_path, count=3)
    (tmp_path / 'stamps.txt').write_text('f0 300\nf1 100\nf2 200\n')
    assert [frame.name for frame in open_source(tmp_path).frames()] == ['f1', 'f2', 'f0']


@pytest.mark.parametrize('text', ['a: [', '{? [1]: 2}', '[' * 1500, '2020-99-99', '\x01', '- 1'])
def test_a_dataset_file_that_is_no_yaml_is_named(tmp_path, text):
    write_layout(tmp_path, count=1)
    (tmp_path / 'dataset.yaml').write_text(text)
    with pytest.raises(SourceError, match=r'dataset\.yaml') as caught:
        open_source(tmp_path)
    assert len(str(caught.value)) < 1000


def test_keys_of_a_dataset_file_that_nobody_reads(tmp_path):
    write_layout(tmp_path, count=1)
    (tmp_path / 'dataset.yaml').write_text('map_frame: hall\nscale: 0.001\n')
    assert open_source(tmp_path).unread == [f'scale of {tmp_path / "dataset.yaml"}']
