# SPDX-License-Identifier: Apache-2.0
"""A source is recognised by what it is; anything else is one clear line."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import assert_same, posed_frames

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import write_tum

YAML = """image_width: 64
image_height: 48
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [70.0, 0.0, 30.0, 0.0, 71.0, 25.0, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.1, 0.01, 0.0, 0.0, 0.0]
"""


@pytest.fixture
def images(tmp_path):
    """A folder of two images, a jpeg and a png."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in ('b.jpg', 'a.png'):
        cv2.imwrite(str(folder / name), np.zeros((48, 64, 3), np.uint8))
    return folder


def test_an_image_file_with_a_focal_length(images):
    source = open_source(images / 'b.jpg', focal=80.0)
    frames = list(source.frames())
    assert (source.kind, len(source), [f.name for f in frames]) == ('images', 1, ['b'])
    np.testing.assert_allclose(frames[0].camera.matrix, [[80, 0, 31.5], [0, 80, 23.5], [0, 0, 1]])


@pytest.mark.parametrize('name', ['camera_info.yaml', 'ost.yaml'])
def test_an_image_folder_with_a_calibration_file(images, name):
    (images / name).write_text(YAML)
    frames = list(open_source(images).frames())
    assert [f.name for f in frames] == ['a', 'b']
    assert frames[0].camera.model == 'plumb_bob'
    # The YAML is ROS's: its pixels are counted from the centre of the first one.
    np.testing.assert_allclose(frames[0].camera.matrix, [[70, 0, 30], [0, 71, 25], [0, 0, 1]])


def test_a_calibration_file_may_be_named(images, tmp_path):
    (tmp_path / 'k.txt').write_text('90')
    frame = next(open_source(images, info_topic=str(tmp_path / 'k.txt')).frames())
    assert frame.camera.matrix[0, 0] == 90


def test_an_image_of_the_layout_finds_its_calibration(tmp_path):
    with FolderWriter(tmp_path) as writer:
        for posed in posed_frames(3):
            writer.write(posed.frame, posed.world_from_camera)
    frame = next(open_source(tmp_path / 'rgb' / 'frame-000001.png').frames())
    np.testing.assert_allclose(frame.camera.matrix, posed.frame.camera.matrix, atol=1e-8)


def test_images_without_calibration_or_poses(images):
    with pytest.raises(SourceError, match=r'a\.png has no calibration beside it: give a calibr'):
        open_source(images)
    with pytest.raises(SourceError, match='2 with no pose: these are plain images'):
        list(open_source(images, focal=80.0).posed_frames())


def test_a_broken_yaml_says_what_is_missing(images):
    (images / 'camera.yaml').write_text('image_width: 64\n')
    with pytest.raises(
        CameraError,
        match=r'camera\.yaml is not a camera calibration .*expected '
        'image_width',
    ):
        open_source(images)


def test_an_image_that_is_none(images):
    (images / 'a.png').write_text('not an image')
    source = open_source(images, focal=80.0)
    assert len(list(source.frames())) == 1
    assert source.skipped == {'an image file that cannot be decoded': 1}
    with pytest.raises(SourceError, match='holds no frames that can be read: 1 with an image'):
        list(open_source(images / 'a.png', focal=80.0).frames())


def test_undecodable_images_name_their_cause(tmp_path):
    with FolderWriter(tmp_path) as writer:
        for posed in posed_frames(2):
            writer.write(posed.frame, posed.world_from_camera)
    for file in (tmp_path / 'rgb').iterdir():
        file.write_bytes(b'none')
    with pytest.raises(SourceError, match='2 with an image file that cannot be decoded') as caught:
        list(open_source(tmp_path).posed_frames())
    assert 'frame-000000.png cannot be read as an image: 4 bytes' in str(caught.value)
    assert '--poses' not in str(caught.value)


def test_missing_poses_name_the_option(tmp_path):
    with FolderWriter(tmp_path) as writer:
        writer.write(posed_frames(1)[0].frame, None)
    with pytest.raises(
        SourceError, match='1 with no pose file; poses that lie elsewhere are named with --poses'
    ):
        list(open_source(tmp_path).posed_frames())


def test_the_calibration_must_fit_the_image(images):
    (images / 'camera.yaml').write_text(YAML.replace('64', '640').replace('48', '480'))
    with pytest.raises(
        CameraError,
        match=r'a\.png: image is 64x48 but its calibration '
        'is for 640x480',
    ):
        list(open_source(images).frames())


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda path: None, 'does not exist, expected a bag'),
        (lambda path: path.mkdir(), 'is an empty folder, expected a bag'),
        (lambda path: path.write_text('hello'), 'is no source of frames, expected a bag'),
    ],
)
def test_what_is_no_source(tmp_path, make, message):
    path = tmp_path / 'thing'
    make(path)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_poses_of_a_trajectory_for_files_with_stamps(tmp_path):
    expected = posed_frames(3)
    with FolderWriter(tmp_path / 'scene') as writer:
        for posed in expected:
            writer.write(posed.frame, None)
    write_tum(
        tmp_path / 'a.tum',
        [p.frame.stamp_ns for p in expected],
        [p.world_from_camera for p in expected],
    )
    found = list(open_source(tmp_path / 'scene', poses=str(tmp_path / 'a.tum')).posed_frames())
    np.testing.assert_allclose(
        found[2].world_from_camera, expected[2].world_from_camera, atol=1e-8
    )
    (tmp_path / 'scene' / 'stamps.txt').unlink()
    with pytest.raises(SourceError, match='has no stamps'):
        open_source(tmp_path / 'scene', poses=str(tmp_path / 'a.tum'))


def test_every_second_file(tmp_path):
    expected = posed_frames(5)
    with FolderWriter(tmp_path) as writer:
        for posed in expected:
            writer.write(posed.frame, posed.world_from_camera)
    source = open_source(tmp_path, stride=2)
    assert len(source) == 3
    assert_same(list(source.posed_frames()), expected[::2])


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ({'info_topic': 'nowhere.yaml'}, 'has no topics, expected a calibration file that exists'),
        ({'image_topic': '/camera'}, r'--image /camera: .*photos is no bag'),
        ({'depth': '/depth'}, '--depth /depth: .* expected auto or off'),
    ],
)
def test_a_topic_of_what_is_no_bag_is_refused(images, words, message):
    with pytest.raises(SourceError, match=message):
        open_source(images, focal=80.0, **words)


def test_a_focal_length_of_zero_is_not_taken_for_none(images):
    (images / 'camera.yaml').write_text(YAML)
    with pytest.raises(CameraError, match='focal lengths fx = 0'):
        next(open_source(images, focal=0.0).frames())


def test_a_focal_length_stands_above_a_file(images, tmp_path):
    (tmp_path / 'k.txt').write_text('90')
    source = open_source(images, info_topic=str(tmp_path / 'k.txt'), focal=80.0)
    assert next(source.frames()).camera.matrix[0, 0] == 80


@pytest.mark.parametrize(
    'name, text', [('', ''), ('focal.txt', '80'), ('calibration.txt', '80 0 32 0 80 24 0 0 1')]
)
def test_one_focal_length_for_two_sizes_is_refused(images, name, text):
    cv2.imwrite(str(images / 'c.png'), np.zeros((24, 32, 3), np.uint8))
    if name:
        (images / name).write_text(text)
    source = open_source(images, focal=None if name else 80.0)
    with pytest.raises(CameraError, match='cannot hold for images of 64x48 and of 32x24') as told:
        list(source.frames())
    assert 'give a calibration file' in str(told.value) and '\n' not in str(told.value)


def test_a_calibration_with_a_size_holds_for_two(images):
    (images / 'camera.yaml').write_text(YAML)
    cv2.imwrite(str(images / 'c.png'), np.zeros((24, 32, 3), np.uint8))
    source = open_source(images)
    assert [frame.camera.matrix[0, 0] for frame in source.frames()] == [70, 70, 35]
    assert len(source.assumptions) == 1 and 'scaled to images of 32x24' in source.assumptions[0]


def test_a_thermal_file_is_told(images):
    for path in images.iterdir():
        path.unlink()
    scene = np.linspace(29500, 29900, 48 * 64).reshape(48, 64).astype(np.uint16)
    cv2.imwrite(str(images / 'a.png'), scene)
    source = open_source(images, focal=80.0)
    image = next(source.frames()).image
    assert np.ptp(image) > 100 and 'images of 16 bits' in source.assumptions[0]


def test_rendered_drive_with_stride_and_without_depth():
    source = open_source('rendered:3:4', stride=3, depth='off')
    found = [posed.frame for posed in source.posed_frames()]
    assert len(source) == 2
    assert [(frame.name, frame.depth) for frame in found] == [('000000', None), ('000003', None)]


@pytest.mark.parametrize(
    'suffix', ['.PNG', '.JPG', '.jpeg', '.bmp', '.tif', '.TIFF', '.webp', '.pgm']
)
def test_images_of_any_suffix_and_no_hidden_file(tmp_path, suffix):
    for number in (0, 1, 2, 10):
        data = cv2.imencode(suffix.lower(), np.full((48, 64), 10 * number, np.uint8))[1]
        (tmp_path / f'{number}{suffix}').write_bytes(data)
    for junk in (f'._0{suffix}', 'Thumbs.db', '.DS_Store', 'desktop.ini'):
        (tmp_path / junk).write_bytes(b'junk of a file manager')
    source = open_source(tmp_path, focal=80.0)
    assert [frame.name for frame in source.frames()] == ['0', '1', '2', '10']
    assert not source.skipped and not source.unread and not source.assumptions


def test_images_of_formats_that_are_not_read_are_told(images):
    (images / 'c.HEIC').write_bytes(b'a photograph')
    source = open_source(images, focal=80.0)
    assert source.unread == [f'1 files of {images} (c.HEIC): convert them to png or jpeg']


def test_a_folder_of_unread_files_says_what_it_holds(tmp_path):
    (tmp_path / 'rgb').mkdir()
    for number in range(5):
        (tmp_path / 'rgb' / f'{number}.heic').write_bytes(b'a photograph')
    for place in (tmp_path, tmp_path / 'rgb'):
        with pytest.raises(SourceError, match=r'it holds 0\.heic, 1\.heic, 2\.heic and 2 more\)'):
            open_source(place)


def test_one_image_has_the_calibration_of_its_number(tmp_path):
    for folder in ('rgb', 'calibration'):
        (tmp_path / folder).mkdir()
    for number in range(12):
        (tmp_path / 'calibration' / f'{number}.txt').write_text(f'{100 + number}')
    cv2.imwrite(str(tmp_path / 'rgb' / 'frame-000010.png'), np.zeros((48, 64), np.uint8))
    frame = next(open_source(tmp_path / 'rgb' / 'frame-000010.png').frames())
    assert frame.camera.matrix[0, 0] == 110


def test_a_source_without_stamps_names_what_gives_them(images, tmp_path):
    write_tum(tmp_path / 'a.tum', [0], [np.eye(4)])
    with pytest.raises(SourceError, match='expected images named by their stamps, or a '):
        open_source(images, focal=80.0, poses=str(tmp_path / 'a.tum'))
    (images / 'stamps.txt').write_text('a 1700000000000000000\nb 1700000000100000000\n')
    write_tum(tmp_path / 'a.tum', [1700000000000000000, 1700000000100000000], [np.eye(4)] * 2)
    source = open_source(images, focal=80.0, poses=str(tmp_path / 'a.tum'))
    assert len(list(source.posed_frames())) == 2


def test_layout_images_name_the_folder_with_poses(tmp_path):
    with FolderWriter(tmp_path) as writer:
        writer.write(posed_frames(1)[0].frame, posed_frames(1)[0].world_from_camera)
    with pytest.raises(SourceError, match=rf'images; name {tmp_path} to read its poses/ too$'):
        list(open_source(tmp_path / 'rgb').posed_frames())
