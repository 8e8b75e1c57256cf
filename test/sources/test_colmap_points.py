# SPDX-License-Identifier: Apache-2.0
"""Points of a COLMAP model, as text and binary, and descriptors of its database."""

from __future__ import annotations

import sqlite3
import struct

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.config import PoseConvention
from dsac_ros.errors import SourceError
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import row_from_pose

POINTS = {7: (1.0, 2.0, 3.0), 3: (-1.0, 0.5, 4.0), 12: (0.0, 0.0, 9.5)}
SHOWN = {'a.png': (3, -1, 12, 99), 'b side.png': (7, 3)}  # 99 is no point of the model


def write_model(project, binary, points=True):
    folder = project / 'sparse' / '0'
    folder.mkdir(parents=True)
    rows = {}
    for index, name in enumerate(SHOWN):
        (project / 'images').mkdir(exist_ok=True)
        cv2.imwrite(str(project / 'images' / name), np.zeros((48, 64), np.uint8))
        x, y, z, qx, qy, qz, qw = row_from_pose(np.linalg.inv(pose(index, 0, 0, 0.1, 0, 0)))
        rows[name] = (qw, qx, qy, qz, x, y, z)
    (_write_binary if binary else _write_text)(folder, rows)
    if not points:
        (folder / f'points3D{".bin" if binary else ".txt"}').unlink()
    return project


def _write_binary(folder, rows):
    (folder / 'cameras.bin').write_bytes(struct.pack('<QiiQQ4d', 1, 1, 1, 64, 48, 50, 50, 32, 24))
    data = struct.pack('<Q', len(rows))
    for index, (name, row) in enumerate(rows.items()):
        data += struct.pack('<i7di', index, *row, 1) + name.encode() + b'\0'
        data += struct.pack('<Q', len(SHOWN[name]))
        data += b''.join(struct.pack('<ddq', 1.5, 2.5, point) for point in SHOWN[name])
    (folder / 'images.bin').write_bytes(data)
    data = struct.pack('<Q', len(POINTS))
    for number, place in POINTS.items():
        data += struct.pack('<Q3d3BdQ', number, *place, 1, 2, 3, 0.7, 2) + struct.pack(
            '<4i', *[0] * 4
        )
    (folder / 'points3D.bin').write_bytes(data)


def _write_text(folder, rows):
    (folder / 'cameras.txt').write_text('1 PINHOLE 64 48 50 50 32 24\n')
    lines = ['# Image list']
    for index, (name, row) in enumerate(rows.items()):
        lines.append(f'{index} {" ".join(map(repr, row))} 1 {name}')
        lines.append(' '.join(f'1.5 2.5 {point}' for point in SHOWN[name]))
    (folder / 'images.txt').write_text('\n'.join(lines) + '\n')
    (folder / 'points3D.txt').write_text(
        '# 3D point list\n'
        + ''.join(f'{n} {x} {y} {z} 1 2 3 0.7 0 0 1 0\n' for n, (x, y, z) in POINTS.items())
    )


def write_database(path, rows, columns=128):
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE images (image_id INTEGER, name TEXT)')
        connection.execute(
            'CREATE TABLE descriptors (image_id INTEGER, rows INTEGER, cols INTEGER, data BLOB)'
        )
        for index, (name, count) in enumerate(rows.items()):
            data = np.arange(count)[:, None] + np.zeros((count, columns), np.uint8)
            connection.execute('INSERT INTO images VALUES (?, ?)', (index, name))
            connection.execute(
                'INSERT INTO descriptors VALUES (?, ?, ?, ?)',
                (index, count, columns, data.astype(np.uint8).tobytes()),
            )


@pytest.mark.parametrize('binary', [False, True])
def test_every_image_has_its_points(tmp_path, binary):
    first, second = open_source(write_model(tmp_path, binary)).posed_frames()
    found = first.points()
    assert found.ids.tolist() == [3, 12] and found.descriptors is None
    np.testing.assert_array_equal(found.points_world, [POINTS[3], POINTS[12]])
    assert second.points().ids.tolist() == [7, 3]


def test_descriptors_are_those_of_the_same_feature(tmp_path):
    project = write_model(tmp_path, True)
    write_database(project / 'database.db', {'a.png': 4, 'b side.png': 2})
    first, second = open_source(project).posed_frames()
    assert first.points().descriptors[:, 0].tolist() == [0, 2]
    assert second.points().descriptors.shape == (2, 128)


@pytest.mark.parametrize(
    ('rows', 'columns'), [({'a.png': 3}, 128), ({'a.png': 4}, 256), ({}, 128)]
)
def test_other_features_are_no_descriptors(tmp_path, rows, columns):
    project = write_model(tmp_path, True)
    write_database(project / 'database.db', rows, columns)
    assert next(open_source(project).posed_frames()).points().descriptors is None


def test_a_database_that_is_none_is_told(tmp_path):
    project = write_model(tmp_path, True)
    (project / 'database.db').write_text('no database, but long enough to look like one')
    posed = next(open_source(project).posed_frames())
    with pytest.raises(SourceError, match=r'database\.db cannot be read: .*; move it away'):
        posed.points()


@pytest.mark.parametrize('binary', [False, True])
def test_a_model_without_points(tmp_path, binary):
    assert (
        next(open_source(write_model(tmp_path, binary, points=False)).posed_frames()).points
        is None
    )


def test_points_follow_the_unit_of_the_poses(tmp_path):
    project = write_model(tmp_path, True)
    posed = next(open_source(project, convention=PoseConvention(scale=10.0)).posed_frames())
    np.testing.assert_array_equal(posed.points().points_world[0], (-10.0, 5.0, 40.0))
    turned = PoseConvention(axes='opengl')
    assert next(open_source(project, convention=turned).posed_frames()).points is None


def test_a_file_of_points_that_is_cut_short(tmp_path):
    file = write_model(tmp_path, True) / 'sparse' / '0' / 'points3D.bin'
    file.write_bytes(file.read_bytes()[:-5])
    posed = next(open_source(tmp_path).posed_frames())
    with pytest.raises(SourceError, match=r'points3D\.bin ends after .* bytes, before'):
        posed.points()


def test_a_line_that_is_no_point(tmp_path):
    file = write_model(tmp_path, False) / 'sparse' / '0' / 'points3D.txt'
    file.write_text('7 1.0 two 3.0\n')
    posed = next(open_source(tmp_path).posed_frames())
    with pytest.raises(SourceError, match=r"line 1: '7 1\.0 two 3\.0' is no point of a COLMAP"):
        posed.points()
