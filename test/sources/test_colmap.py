# SPDX-License-Identifier: Apache-2.0
"""A COLMAP model, as text and binary."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.cli.main import main
from dsac_ros.errors import CameraError, DsacError, SourceError
from dsac_ros.geometry import camera as cameras
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import row_from_pose

CAMERAS = {  # parameters, and what they mean here
    'SIMPLE_PINHOLE': ([50, 32, 24], (50, 50), 'pinhole', ()),
    'PINHOLE': ([50, 51, 32, 24], (50, 51), 'pinhole', ()),
    'SIMPLE_RADIAL': ([50, 32, 24, -0.1], (50, 50), 'plumb_bob', (-0.1, 0, 0, 0, 0)),
    'RADIAL': ([50, 32, 24, -0.1, 0.02], (50, 50), 'plumb_bob', (-0.1, 0.02, 0, 0, 0)),
    'OPENCV': (
        [50, 51, 32, 24, -0.1, 0.02, 1e-3, 2e-3],
        (50, 51),
        'plumb_bob',
        (-0.1, 0.02, 1e-3, 2e-3, 0),
    ),
    'OPENCV_FISHEYE': (
        [50, 51, 32, 24, 0.1, 0.2, 0.3, 0.4],
        (50, 51),
        'equidistant',
        (0.1, 0.2, 0.3, 0.4),
    ),
    'FULL_OPENCV': (
        [50, 51, 32, 24, 0.1, 0.2, 1e-3, 2e-3, 0.3, 0.4, 0.5, 0.6],
        (50, 51),
        'rational_polynomial',
        (0.1, 0.2, 1e-3, 2e-3, 0.3, 0.4, 0.5, 0.6),
    ),
    'SIMPLE_RADIAL_FISHEYE': ([50, 32, 24, 0.1], (50, 50), 'equidistant', (0.1, 0, 0, 0)),
    'RADIAL_FISHEYE': ([50, 32, 24, 0.1, -0.2], (50, 50), 'equidistant', (0.1, -0.2, 0, 0)),
    'SIMPLE_FISHEYE': ([50, 32, 24], (50, 50), 'equidistant', (0, 0, 0, 0)),
    'FISHEYE': ([50, 51, 32, 24], (50, 51), 'equidistant', (0, 0, 0, 0)),
}
IDS = {
    'SIMPLE_PINHOLE': 0,
    'PINHOLE': 1,
    'SIMPLE_RADIAL': 2,
    'RADIAL': 3,
    'OPENCV': 4,
    'OPENCV_FISHEYE': 5,
    'FULL_OPENCV': 6,
    'SIMPLE_RADIAL_FISHEYE': 8,
    'RADIAL_FISHEYE': 9,
    'SIMPLE_FISHEYE': 14,
    'FISHEYE': 15,
}
POSES = {'b side.png': pose(1, 2, 3, 0.1, -0.2, 0.3), 'a/top.png': pose(0, 0, 1, 0, 3.0, 0)}


def write_model(project, model, parameters, binary):
    folder = project / 'sparse' / '0'
    folder.mkdir(parents=True)
    rows = {}
    for name, world_from_camera in POSES.items():
        file = project / 'images' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.zeros((48, 64), np.uint8))
        x, y, z, qx, qy, qz, qw = row_from_pose(np.linalg.inv(world_from_camera))
        rows[name] = (qw, qx, qy, qz, x, y, z)
    if binary:
        number = IDS.get(model, 99)
        (folder / 'cameras.bin').write_bytes(
            struct.pack('<QiiQQ', 1, 7, number, 64, 48)
            + struct.pack(f'<{len(parameters)}d', *parameters)
        )
        data = struct.pack('<Q', 2)
        for index, (name, row) in enumerate(rows.items()):
            data += struct.pack('<i7di', index, *row, 7) + name.encode() + b'\0'
            data += struct.pack('<Q', 2) + struct.pack('<ddq', 1, 2, -1) * 2
        (folder / 'images.bin').write_bytes(data)
    else:
        text = ' '.join(repr(p) for p in parameters)
        (folder / 'cameras.txt').write_text(f'# Camera list\n7 {model} 64 48 {text}\n')
        lines = ['# Image list']
        for index, (name, row) in enumerate(rows.items()):
            lines += [
                f'{index} {" ".join(repr(v) for v in row)} 7 {name}',
                '1.5 2.5 -1 3 4 5' if index else '',
            ]
        (folder / 'images.txt').write_text('\n'.join(lines) + '\n')
    return project


@pytest.mark.parametrize('binary', [False, True])
@pytest.mark.parametrize('model', CAMERAS)
def test_a_model(tmp_path, model, binary):
    parameters, (fx, fy), ours, distortion = CAMERAS[model]
    source = open_source(write_model(tmp_path, model, parameters, binary))
    found = list(source.posed_frames())
    assert source.kind == 'COLMAP model' and [p.frame.name for p in found] == sorted(POSES)
    for one in found:
        np.testing.assert_allclose(one.world_from_camera, POSES[one.frame.name], atol=1e-12)
        camera = one.frame.camera
        # COLMAP's centre of a 64x48 image is (32, 24); here it is (31.5, 23.5).
        np.testing.assert_allclose(camera.matrix, [[fx, 0, 31.5], [0, fy, 23.5], [0, 0, 1]])
        assert (camera.model, camera.distortion) == (ours, distortion)


def test_a_given_calibration_overrides_the_model(tmp_path):
    write_model(tmp_path, 'SIMPLE_PINHOLE', [50.0, 32.0, 24.0], binary=False)
    assert next(open_source(tmp_path, focal=70.0).frames()).camera.matrix[0, 0] == 70
    (tmp_path / 'k.txt').write_text('90')
    source = open_source(tmp_path, info_topic=str(tmp_path / 'k.txt'))
    assert next(source.frames()).camera.matrix[0, 0] == 90


def test_the_folder_of_the_model_itself(tmp_path):
    write_model(tmp_path, 'PINHOLE', CAMERAS['PINHOLE'][0], True)
    assert len(open_source(tmp_path / 'sparse' / '0')) == 2


def test_an_unknown_model_is_named(tmp_path):
    write_model(tmp_path, 'FOV', [50, 50, 32, 24, 1], False)
    with pytest.raises(CameraError, match='unknown camera model FOV, expected one of SIMPLE_PIN'):
        open_source(tmp_path)
    write_model(tmp_path / 'other', 'FOV', [], True)
    with pytest.raises(SourceError, match='unknown camera model with the id 99, expected 0 to 17'):
        open_source(tmp_path / 'other')


def test_a_fisheye_without_distortion_stays_one(tmp_path):
    write_model(tmp_path, 'SIMPLE_RADIAL_FISHEYE', [20.0, 32.0, 24.0, 0.0], True)
    camera = next(open_source(tmp_path).frames()).camera
    assert (camera.model, camera.distortion) == ('equidistant', (0, 0, 0, 0))
    # r = f theta: 45 degrees off the axis
    pixel = cameras.project(camera, np.array([[1.0, 0, 1.0]]))[0]
    np.testing.assert_allclose(pixel, (31.5 + 20 * np.pi / 4, 23.5))


def test_images_that_are_elsewhere(tmp_path):
    write_model(tmp_path, 'PINHOLE', CAMERAS['PINHOLE'][0], True)
    (tmp_path / 'images').rename(tmp_path / 'photos')
    with pytest.raises(
        SourceError,
        match=r"none of the 2 images of the model, such as 'a/top\."
        r"png', was found beside .* with --images$",
    ):
        open_source(tmp_path)
    assert len(list(open_source(tmp_path, images=tmp_path / 'photos').posed_frames())) == 2
    with pytest.raises(SourceError, match=rf'was found in {tmp_path / "sparse"}: name the folder'):
        open_source(tmp_path, images=str(tmp_path / 'sparse'))


def test_a_model_that_was_cut(tmp_path):
    write_model(tmp_path, 'PINHOLE', CAMERAS['PINHOLE'][0], True)
    file = tmp_path / 'sparse' / '0' / 'images.bin'
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SourceError, match=r'images\.bin ends after 100 bytes, before what it ann'):
        open_source(tmp_path)


PINHOLE = CAMERAS['PINHOLE'][0]


@pytest.fixture
def project(tmp_path):
    """A text model without points, written in full: 12 images, an empty line after each."""
    write_images(tmp_path, [f'frame-{i}.png' for i in range(12)])
    return tmp_path


def write_images(project, names, second='\n', images='images', head=''):
    folder = project / 'sparse' / '0'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'cameras.txt').write_text('1 PINHOLE 64 48 50 51 32 24\n')
    lines = [f'{i + 1} 1 0 0 0 {-i} 0 0 1 {name}\n{second}' for i, name in enumerate(names)]
    (folder / 'images.txt').write_text(head + ''.join(lines), encoding='utf-8')
    for name in names:
        file = project / images / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.zeros((48, 64), np.uint8))
    return folder


@pytest.mark.parametrize(
    'second',
    [
        '',
        '\n',
        ' \n',
        '\n\n',
        '1.5 2.5 -1\n',
        '1 2 -1 3 4 5 6 7 8 9 1 2\n',
        '10 20 -1 30 40 -1 50 60 5 70 80 -1\n\n',
    ],
)
def test_second_lines_may_be_empty_or_left_out(project, second):
    write_images(project, [f'frame {i} a.png' for i in range(12)], second)
    found = [p.world_from_camera[0, 3] for p in open_source(project).posed_frames()]
    assert found == list(range(12))


def test_images_of_a_model_are_in_natural_order(project):
    names = [frame.name for frame in open_source(project).frames()]
    assert names == [f'frame-{i}.png' for i in range(12)]


@pytest.mark.parametrize(
    ('line', 'number'),
    [('13 1 0 0 0 0 0 0 1', 25), ('1 2 -1 3', 25), ('13 1 0 0 0 0 zero 0 1 a.png', 25)],
)
def test_a_line_of_a_model_that_is_none_is_named(project, line, number):
    file = project / 'sparse' / '0' / 'images.txt'
    file.write_text(file.read_text() + line)
    with pytest.raises(SourceError, match=rf'images\.txt, line {number}: .* expected IMAGE_ID'):
        open_source(project)


def test_images_missing_or_not_registered_are_told(project):
    (project / 'images' / 'frame-3.png').rename(project / 'images' / 'spare.png')
    source = open_source(project)
    assert len(list(source.posed_frames())) == 11
    assert source.skipped == {'an image file that is missing': 1}
    assert source.unread == [
        f'1 of 12 images of {project / "images"}, which the model does not register: spare.png'
    ]


def test_the_head_of_a_cut_model_is_told(project):
    write_images(project, ['a.png', 'b.png'], head='# Number of images: 60, mean: 0\n')
    source = open_source(project)
    assert source.unread[0] == (
        f'60 images that the head of {project / "sparse/0/images.txt"} announces: it lists 2'
    )


def test_other_models_of_a_project_are_told(project):
    write_images(project / 'other', ['a.png'])
    (project / 'other' / 'sparse' / '0').rename(project / 'sparse' / '1')
    assert open_source(project).unread == [
        f'the model {project / "sparse/1"}: {project / "sparse/0"} is read; name the other one to '
        'read it'
    ]


def test_text_beside_a_binary_model_is_told(tmp_path):
    write_model(tmp_path, 'PINHOLE', PINHOLE, True)
    for name in ('cameras', 'images'):
        (tmp_path / 'sparse' / '0' / f'{name}.txt').write_text('')
    assert 'cameras.txt and ' in open_source(tmp_path).unread[0]


def test_bytes_behind_a_binary_model_are_told(tmp_path):
    write_model(tmp_path, 'PINHOLE', PINHOLE, True)
    with (tmp_path / 'sparse' / '0' / 'images.bin').open('ab') as file:
        file.write(bytes(24))
    assert open_source(tmp_path).unread[0].startswith('24 bytes at the end of')


@pytest.mark.parametrize(
    'data',
    [
        struct.pack('<Q', 2**63),
        struct.pack('<Q', 1) + bytes(64) + b'a\0' + b'\xff' * 8,
        struct.pack('<Q', 1) + bytes(64) + b'no end',
        b'',
        b'\1',
    ],
)
def test_counts_that_lie_are_refused(tmp_path, data):
    write_model(tmp_path, 'PINHOLE', PINHOLE, True)
    (tmp_path / 'sparse' / '0' / 'images.bin').write_bytes(data)
    with pytest.raises(SourceError, match=rf'images\.bin ends after {len(data)} bytes'):
        open_source(tmp_path)


def test_half_a_model_names_the_other_half(project):
    (project / 'sparse' / '0' / 'images.txt').unlink()
    with pytest.raises(SourceError, match=r'half of a COLMAP model, expected cameras\.bin and im'):
        open_source(project)


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('fru\u0308h/a.png', 'fr\u00fch/a.png'),
        ('cam0\\a.png', 'cam0/a.png'),
        ('a.JPG', 'a.jpg'),
        ('/home/someone/photos/a.png', 'a.png'),
        ('data/images/cap 1/a.png', 'cap 1/a.png'),
    ],
)
def test_names_written_in_another_way_are_found(tmp_path, name, file):
    write_images(tmp_path, [file])
    text = (tmp_path / 'sparse' / '0' / 'images.txt').read_text(encoding='utf-8')
    (tmp_path / 'sparse' / '0' / 'images.txt').write_text(text.replace(file, name), 'utf-8')
    source = open_source(tmp_path)
    assert len(list(source.frames())) == 1 and not source.unread
    assert '1 listed images are files of another spelling' in source.assumptions[0]


def test_one_file_is_never_two_images(tmp_path):
    folder = write_images(tmp_path, ['a.png', 'cam0/b.png'])
    (folder / 'images.txt').write_text(
        ''.join(
            f'{i} 1 0 0 0 0 0 0 1 {name}\n\n'
            for i, name in enumerate(['here/a.png', 'there/a.png', 'cam0/b.png', 'CAM0/b.png'])
        )
    )
    source = open_source(tmp_path)
    assert [frame.name for frame in source.frames()] == ['cam0/b.png']
    assert source.skipped == {'an image file that is missing': 3} and not source.assumptions


def test_a_name_that_is_no_utf8_is_found(tmp_path):
    folder = write_images(tmp_path, ['a.png'])
    (tmp_path / 'images' / 'a.png').rename(tmp_path / 'images' / 'fr\udcfch.png')
    text = (folder / 'images.txt').read_bytes()
    (folder / 'images.txt').write_bytes(text.replace(b'a.png', b'fr\xfch.png'))
    assert len(list(open_source(tmp_path).frames())) == 1


def test_images_in_the_layout_of_hloc(tmp_path):
    write_images(tmp_path / 'model', ['query/a.png'], images='../images')
    (tmp_path / 'outputs').mkdir()
    (tmp_path / 'model' / 'sparse' / '0').rename(tmp_path / 'outputs' / 'sfm')
    for place in (tmp_path / 'outputs' / 'sfm', tmp_path):
        assert len(list(open_source(place).posed_frames())) == 1
    (tmp_path / 'outputs' / 'sfm').rename(tmp_path / 'outputs' / 'sfm1')
    write_images(tmp_path / 'outputs' / 'other', ['a.png'])
    with pytest.raises(SourceError, match=r'several COLMAP models: name one of .*other/sparse/0'):
        open_source(tmp_path)


def test_images_are_named_on_the_command_line(project, tmp_path, capsys):
    (project / 'images').rename(project / 'photos')
    arguments = ['convert', str(project), str(tmp_path / 'a.tum')]
    assert main(arguments) == 1 and '--images' in capsys.readouterr().err
    assert main([*arguments, '--images', str(project / 'photos')]) == 0
    assert '12 frames written' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('images', 'message'),
    [
        ('nowhere', '--images nowhere is no folder, expected'),
        ('.', r'--images \.: .*photos is no COLMAP model'),
    ],
)
def test_images_that_no_model_needs_are_refused(project, images, message):
    path = project if images == 'nowhere' else project / 'photos'
    path.mkdir(exist_ok=True)
    with pytest.raises(SourceError, match=message):
        open_source(path, images=images)


def test_poses_that_are_no_rotation_are_counted(project):
    file = project / 'sparse' / '0' / 'images.txt'
    file.write_text(file.read_text().replace('3 1 0 0 0 ', '3 0 0 0 0 '))
    source = open_source(project)
    assert len(list(source.posed_frames())) == 11
    assert source.skipped == {'a pose with NaN or infinity': 1}


def test_a_camera_that_no_image_uses_does_not_matter(project):
    file = project / 'sparse' / '0' / 'cameras.txt'
    file.write_text(file.read_text() + '2 EQUIRECTANGULAR 64 48 64 48\n3 PINHOLE 64 48 0 0 0 0\n')
    assert len(list(open_source(project).frames())) == 12


@pytest.mark.parametrize(
    ('camera', 'message'),
    [
        ('1 PINHOLE 64 48 50 32 24', 'camera 1: PINHOLE has 3 parameters, expected 4'),
        ('1 PINHOLE 64 48 nan 50 32 24', 'sparse/0, camera 1: .*NaN'),
        ('2 PINHOLE 64 48 50 50 32 24', "image 'frame-0.png' is of camera 1, which the model"),
        ('1 PINHOLE 64', r"cameras\.txt, line 1: '1 PINHOLE 64' is no line of a COLMAP model"),
    ],
)
def test_a_broken_camera_is_named(project, camera, message):
    (project / 'sparse' / '0' / 'cameras.txt').write_text(camera)
    with pytest.raises(DsacError, match=message):
        open_source(project)


def test_a_rig_has_the_pose_of_each_image(tmp_path):
    write_model(tmp_path, 'PINHOLE', PINHOLE, True)
    for name in ('rigs', 'frames'):
        (tmp_path / 'sparse' / '0' / f'{name}.bin').write_bytes(struct.pack('<Q', 1) + bytes(99))
    found = {p.frame.name: p.world_from_camera for p in open_source(tmp_path).posed_frames()}
    np.testing.assert_allclose(found['a/top.png'], POSES['a/top.png'], atol=1e-12)
