# SPDX-License-Identifier: Apache-2.0
"""A COLMAP model, as text and binary."""
from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import row_from_pose

CAMERAS = {  # parameters, and what they mean here
    'SIMPLE_PINHOLE': ([50, 32, 24], (50, 50), 'pinhole', ()),
    'PINHOLE': ([50, 51, 32, 24], (50, 51), 'pinhole', ()),
    'SIMPLE_RADIAL': ([50, 32, 24, -0.1], (50, 50), 'plumb_bob', (-0.1, 0, 0, 0, 0)),
    'RADIAL': ([50, 32, 24, -0.1, 0.02], (50, 50), 'plumb_bob', (-0.1, 0.02, 0, 0, 0)),
    'OPENCV': ([50, 51, 32, 24, -0.1, 0.02, 1e-3, 2e-3], (50, 51), 'plumb_bob',
               (-0.1, 0.02, 1e-3, 2e-3, 0)),
    'OPENCV_FISHEYE': ([50, 51, 32, 24, 0.1, 0.2, 0.3, 0.4], (50, 51), 'equidistant',
                       (0.1, 0.2, 0.3, 0.4)),
    'FULL_OPENCV': ([50, 51, 32, 24, 0.1, 0.2, 1e-3, 2e-3, 0.3, 0.4, 0.5, 0.6], (50, 51),
                    'rational_polynomial', (0.1, 0.2, 1e-3, 2e-3, 0.3, 0.4, 0.5, 0.6)),
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
        number = list(CAMERAS).index(model) if model in CAMERAS else 9
        (folder / 'cameras.bin').write_bytes(
            struct.pack('<QiiQQ', 1, 7, number, 64, 48)
            + struct.pack(f'<{len(parameters)}d', *parameters))
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
            lines += [f'{index} {" ".join(repr(v) for v in row)} 7 {name}',
                      '1.5 2.5 -1 3 4 5' if index else '']
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


def test_a_calibration_that_is_given_stands_above_the_model(tmp_path):
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
    with pytest.raises(CameraError, match='unknown camera model with the id 9'):
        open_source(tmp_path / 'other')


def test_images_that_are_elsewhere(tmp_path):
    write_model(tmp_path, 'PINHOLE', CAMERAS['PINHOLE'][0], True)
    (tmp_path / 'images').rename(tmp_path / 'photos')
    with pytest.raises(SourceError, match=r'the image a/top\.png of the model was not found'):
        open_source(tmp_path)


def test_a_model_that_was_cut(tmp_path):
    write_model(tmp_path, 'PINHOLE', CAMERAS['PINHOLE'][0], True)
    file = tmp_path / 'sparse' / '0' / 'images.bin'
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SourceError, match=r'images\.bin cannot be read as a part of a COLMAP'):
        open_source(tmp_path)
