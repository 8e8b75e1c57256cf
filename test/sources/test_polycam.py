# SPDX-License-Identifier: Apache-2.0
"""The raw data of Polycam: ARKit's poses and intrinsics in a file for each keyframe."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.errors import DsacError, SourceError
from dsac_ros.sources.open_source import open_source

OPTICAL_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
POSES = [pose(0.3 * i, 1, 2, 0.1, -0.2 * i, 0.3) for i in range(3)]
NAMES = ['9731000', '10731000', '11731000']  # microseconds since the phone started


def write(path, prefix='', poses=POSES):
    images, cameras = (path / 'keyframes' / f'{prefix}{part}' for part in ('images', 'cameras'))
    images.mkdir(parents=True)
    cameras.mkdir()
    for name, world_from_camera in zip(NAMES, poses):
        cv2.imwrite(str(images / f'{name}.jpg'), np.full((48, 64, 3), 90, np.uint8))
        rows = (world_from_camera @ OPTICAL_FROM_OPENGL)[:3]
        values = {f't_{r}{c}': float(rows[r, c]) for r in range(3) for c in range(4)}
        values.update(fx=50.0, fy=51.0, cx=32.0, cy=24.5, width=64, height=48, blur_score=80.0)
        (cameras / f'{name}.json').write_text(json.dumps(values))
    return path


def changed(path, **values):
    file = path / f'keyframes/cameras/{NAMES[0]}.json'
    document = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))
    return path


@pytest.mark.parametrize('part', ['', 'keyframes'])
def test_a_capture(tmp_path, part):
    source = open_source(write(tmp_path) / part)
    found = list(source.posed_frames())
    assert source.kind == 'Polycam capture' and not source.has_stamps
    assert [one.frame.name for one in found] == NAMES
    np.testing.assert_allclose([one.world_from_camera for one in found], POSES, atol=1e-12)
    np.testing.assert_allclose(
        found[0].frame.camera.matrix, [[50, 0, 31.5], [0, 51, 24], [0, 0, 1]]
    )


def test_corrected_poses_go_first(tmp_path):
    write(tmp_path, poses=[np.eye(4)] * 3)
    found = list(open_source(write(tmp_path, 'corrected_')).posed_frames())
    np.testing.assert_allclose([one.world_from_camera for one in found], POSES, atol=1e-12)


def test_depth_in_millimetres(tmp_path):
    write(tmp_path)
    (tmp_path / 'keyframes/depth').mkdir()
    depth = np.full((24, 32), 1500, np.uint16)
    cv2.imwrite(str(tmp_path / f'keyframes/depth/{NAMES[1]}.png'), depth)
    source = open_source(tmp_path)
    depths = [one.frame.depth for one in source.posed_frames()]
    assert depths[0] is None and depths[2] is None
    np.testing.assert_array_equal(depths[1], np.full((48, 64), 1.5, np.float32))
    assert source.missing == {'depth that is missing or cannot be decoded': 2}
    assert all(one.depth is None for one in open_source(tmp_path, depth='off').frames())


@pytest.mark.parametrize(
    ('values', 'reason'),
    [
        ({'t_00': None}, 'no pose in its json file'),
        ({'t_00': 'one'}, 'no pose in its json file'),
        ({'t_00': 7.0}, 'a pose that is no rigid motion'),
    ],
)
def test_a_pose_that_is_none_is_counted(tmp_path, values, reason):
    source = open_source(changed(write(tmp_path), **values))
    assert len(list(source.posed_frames())) == 2
    assert source.skipped == {reason: 1}


def test_a_broken_camera_is_one_line(tmp_path):
    write(tmp_path)
    file = tmp_path / f'keyframes/cameras/{NAMES[0]}.json'
    for text, message in (
        ('{"fx": "wide"}', r"9731000\.json: fl_x is 'wide', expected a number"),
        ('[]', r'9731000\.json is no camera of Polycam'),
        ('{', r'9731000\.json is not JSON'),
    ):
        file.write_text(text)
        with pytest.raises(DsacError, match=message) as error:
            open_source(tmp_path)
        assert len(str(error.value).splitlines()) == 1


def test_an_image_without_a_camera_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / f'keyframes/cameras/{NAMES[2]}.json').unlink()
    with pytest.raises(SourceError, match=r'holds no camera of 11731000\.jpg'):
        open_source(tmp_path)
    assert len(list(open_source(tmp_path, focal=50.0).posed_frames())) == 2


def test_a_capture_without_images(tmp_path):
    write(tmp_path)
    for file in (tmp_path / 'keyframes/images').iterdir():
        file.unlink()
    with pytest.raises(SourceError, match=r'images holds no images, expected a jpg'):
        open_source(tmp_path)
