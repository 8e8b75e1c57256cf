# SPDX-License-Identifier: Apache-2.0
"""A raw capture of Record3D: ARKit's poses and intrinsics beside numbered images."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.errors import DsacError, SourceError
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import row_from_pose

OPTICAL_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
POSES = [pose(0.3 * i, 1, 2, 0.1, -0.2 * i, 0.3) for i in range(11)]


def write(path, images='rgbd', file='metadata', **changes):
    (path / images).mkdir(parents=True)
    rows = []
    for i, world_from_camera in enumerate(POSES):
        cv2.imwrite(str(path / images / f'{i}.jpg'), np.full((64, 48, 3), 90, np.uint8))
        row = row_from_pose(world_from_camera @ OPTICAL_FROM_OPENGL)
        rows.append([*row[3:], *row[:3]])  # qx qy qz qw x y z
    metadata = {
        'w': 48,
        'h': 64,
        'fps': 60,
        'K': [50.0, 0, 0, 0, 51.0, 0, 24.0, 32.5, 1],  # column by column
        'poses': rows,
        'initPose': [0, 0, 0, 1, 0, 0, 0],
        'frameTimestamps': [0.25 + i / 60 for i in range(len(rows))],
    }
    metadata.update(changes)
    (path / file).write_text(json.dumps({k: v for k, v in metadata.items() if v is not None}))
    return path


@pytest.mark.parametrize(('images', 'file'), [('rgbd', 'metadata'), ('rgb', 'metadata.json')])
def test_a_capture(tmp_path, images, file):
    source = open_source(write(tmp_path, images, file))
    found = list(source.posed_frames())
    assert source.kind == 'Record3D capture' and source.has_stamps
    assert [one.frame.name for one in found] == [f'{images}/{i}.jpg' for i in range(11)]
    np.testing.assert_allclose([one.world_from_camera for one in found], POSES, atol=1e-9)
    np.testing.assert_allclose(
        found[0].frame.camera.matrix, [[50, 0, 23.5], [0, 51, 32.0], [0, 0, 1]]
    )
    assert [one.frame.stamp_ns for one in found[:2]] == [250_000_000, 266_666_667]


def test_intrinsics_of_each_frame(tmp_path):
    coefficients = [[50.0 + i, 60.0 + i, 24.0, 32.0] for i in range(11)]
    source = open_source(write(tmp_path, perFrameIntrinsicCoeffs=coefficients, K=None))
    for i, frame in enumerate(source.frames()):
        np.testing.assert_allclose(frame.camera.matrix.diagonal(), [50 + i, 60 + i, 1])


def test_no_stamps(tmp_path):
    source = open_source(write(tmp_path, frameTimestamps=None))
    assert len(list(source.frames())) == 11 and not source.has_stamps


def test_images_and_poses_that_do_not_match(tmp_path):
    path = write(tmp_path)
    (path / 'rgbd/3.jpg').unlink()
    (path / 'rgbd/10.jpg').rename(path / 'rgbd/12.jpg')
    source = open_source(path)
    assert len(list(source.posed_frames())) == 9
    assert source.skipped == {'no pose in the metadata': 1}
    assert source.unread == [f'2 of 11 poses of {path / "metadata"}, which are of no image']


def test_depth_is_told(tmp_path):
    path = write(tmp_path)
    (path / 'rgbd/0.depth').write_bytes(b'bvx2')
    assert 'LZFSE and EXR are not read' in open_source(path).unread[0]


def test_poses_that_are_none_are_counted(tmp_path):
    rows = [[0, 0, 0, 1, 0, 0, 0]] * 11
    rows[1], rows[2], rows[3] = [0] * 7, [1, 2], 'none'
    source = open_source(write(tmp_path, poses=rows))
    assert len(list(source.posed_frames())) == 8
    assert source.skipped == {'a pose with NaN or infinity': 1, 'a pose that is not 7 numbers': 2}


def test_a_packed_capture_asks_to_be_unpacked(tmp_path):
    (tmp_path / 'room.r3d').write_bytes(b'PK\x03\x04')
    with pytest.raises(SourceError, match=r'room\.r3d is a packed capture .*: unpack it'):
        open_source(tmp_path / 'room.r3d')


def test_a_layout_with_metadata_stays_one(tmp_path):
    path = write(tmp_path, 'rgb', 'metadata.json')
    (path / 'poses').mkdir()
    with pytest.raises(SourceError, match=r'calibration holds no calibration'):
        open_source(path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'poses': None}, r'is no metadata of Record3D, expected "poses"'),
        ({'K': None}, r'K holds no intrinsics, expected 9 numbers, column by column'),
        ({'K': [1, 2]}, r'K holds no intrinsics'),
        ({'K': [0] * 9}, r'metadata, K: '),
        ({'perFrameIntrinsicCoeffs': [[1, 2]]}, r'frame 0 holds no intrinsics, expected 4 numb'),
        ({'w': 'wide'}, r"w is 'wide', expected a number"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(DsacError, match=message) as error:
        open_source(path)
    assert len(str(error.value).splitlines()) == 1 and str(path) in str(error.value)


def test_a_capture_without_images(tmp_path):
    path = write(tmp_path)
    for file in (path / 'rgbd').iterdir():
        file.unlink()
    with pytest.raises(SourceError, match=r'holds no images, expected 0\.jpg, 1\.jpg'):
        open_source(path)
