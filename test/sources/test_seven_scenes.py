# SPDX-License-Identifier: Apache-2.0
"""7-Scenes as it is unpacked."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import pose

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.open_source import open_source


@pytest.fixture
def scene(tmp_path):
    """Three sequences of two frames; the last frame's pose is lost."""
    for sequence in (1, 2, 3):
        folder = tmp_path / f'seq-{sequence:02d}'
        folder.mkdir()
        for i in range(2):
            image = np.zeros((480, 640, 3), np.uint8)
            cv2.imwrite(str(folder / f'frame-{i:06d}.color.png'), image)
            cv2.imwrite(str(folder / f'frame-{i:06d}.depth.png'), image[..., 0].astype(np.uint16))
            np.savetxt(folder / f'frame-{i:06d}.pose.txt', pose(sequence, i, 0, 0, 0, 0))
    np.savetxt(tmp_path / 'seq-03' / 'frame-000001.pose.txt', np.full((4, 4), -np.inf))
    (tmp_path / 'TrainSplit.txt').write_text('sequence1 \r\nsequence3 \r\n')
    return tmp_path


def test_a_sequence(scene):
    source = open_source(scene / 'seq-02')
    found = list(source.posed_frames())
    assert source.kind == '7-Scenes' and not source.has_stamps
    assert [p.world_from_camera[1, 3] for p in found] == [0, 1]
    camera = found[0].frame.camera
    np.testing.assert_allclose(camera.matrix, [[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]])
    assert found[0].frame.depth is None  # it is that of another camera


def test_a_split_names_sequences(scene):
    source = open_source(scene / 'TrainSplit.txt')
    assert len(source) == 4
    assert [p.frame.name for p in source.posed_frames()] == [
        'seq-01/frame-000000',
        'seq-01/frame-000001',
        'seq-03/frame-000000',
    ]
    assert source.skipped == {'a pose with NaN or infinity': 1}


def test_a_scene_asks_which_sequence(scene):
    with pytest.raises(SourceError, match=r'seq-01, seq-02, seq-03: name one, or .*TrainSplit'):
        open_source(scene)


def test_a_split_with_a_missing_folder_is_refused(scene):
    (scene / 'seq-03').rename(scene / 'elsewhere')
    with pytest.raises(SourceError, match=r'TrainSplit\.txt names seq-03, but there is no'):
        open_source(scene / 'TrainSplit.txt')


def test_unpadded_frames_are_in_the_order_of_time(tmp_path):
    for i in (0, 2, 10):
        cv2.imwrite(str(tmp_path / f'frame-{i}.color.jpg'), np.zeros((48, 64, 3), np.uint8))
        np.savetxt(tmp_path / f'frame-{i}.pose.txt', pose(i, 0, 0, 0, 0, 0))
    np.savetxt(tmp_path / 'frame-11.pose.txt', np.eye(4))
    (tmp_path / 'frame-12.color.tmp').write_bytes(b'half of an image')
    source = open_source(tmp_path)
    assert [p.world_from_camera[0, 3] for p in source.posed_frames()] == [0, 2, 10]
    assert source.unread == [
        f'1 pose files of {tmp_path}, which are of no image: frame-11.pose.txt'
    ]


def test_two_images_of_one_frame_are_refused(scene):
    (scene / 'seq-01' / 'frame-000001.color.jpg').write_bytes(b'twin')
    with pytest.raises(
        SourceError,
        match=r'frame-000001\.color\.jpg, frame-000001\.color\.png, '
        'expected one',
    ):
        open_source(scene / 'seq-01')


@pytest.mark.parametrize('text', ['sequence1\nthe rest\n', 'sequence' + '9' * 5000])
def test_a_line_of_a_split_that_names_none(scene, text):
    (scene / 'TrainSplit.txt').write_text(text)
    with pytest.raises(SourceError, match='names no sequence, expected sequence1'):
        open_source(scene / 'TrainSplit.txt')


def test_images_of_another_camera_need_a_calibration(scene):
    image = scene / 'seq-02' / 'frame-000000.color.png'
    cv2.imwrite(str(image), np.zeros((720, 1280, 3), np.uint8))
    with pytest.raises(CameraError, match='image is 1280x720 but its calibration is for 640x480'):
        list(open_source(scene / 'seq-02').frames())
    (scene / 'seq-01' / 'focal.txt').write_text('600')
    source = open_source(scene / 'seq-01')
    assert next(source.frames()).camera.matrix[0, 0] == 600 and source.assumptions == []
