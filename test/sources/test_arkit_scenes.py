# SPDX-License-Identifier: Apache-2.0
"""ARKit logs as ARKitScenes publishes them: axis-angle poses, a lens for each image."""

from __future__ import annotations

import numpy as np
import pytest
from arkit_scenes import POSES, VIDEO, seconds, write_arkit_scenes

from dsac_ros.errors import CameraError, SourceError
from dsac_ros.sources.open_source import open_source


@pytest.mark.parametrize('part', ['', f'{VIDEO}_frames'])
def test_a_recording(tmp_path, part):
    write_arkit_scenes(tmp_path / part)
    source = open_source(tmp_path)
    found = list(source.posed_frames())
    assert (source.kind, source.has_stamps, len(found)) == ('ARKitScenes', True, 4)
    np.testing.assert_allclose([p.world_from_camera for p in found], POSES, atol=1e-12)
    assert found[0].frame.stamp_ns == 6_845_700_000_000
    for index, posed in enumerate(found):
        np.testing.assert_allclose(
            posed.frame.camera.matrix, [[50 + index, 0, 15.75], [0, 51 + index, 12], [0, 0, 1]]
        )
        np.testing.assert_allclose(posed.frame.depth, 1.5 + index / 1000)


def test_poses_between_samples_are_interpolated(tmp_path):
    write_arkit_scenes(tmp_path)
    old = tmp_path / f'lowres_wide/{VIDEO}_{seconds(1)}.png'
    old.rename(old.with_name(f'{VIDEO}_6845.850.png'))
    found = list(open_source(tmp_path).posed_frames())
    middle = (POSES[1][:3, 3] + POSES[2][:3, 3]) / 2
    np.testing.assert_allclose(found[1].world_from_camera[:3, 3], middle, atol=1e-9)
    assert found[1].frame.depth is None


def test_larger_images_go_without_the_depth(tmp_path):
    write_arkit_scenes(tmp_path, 'vga_wide', (64, 48))
    source = open_source(tmp_path)
    assert all(frame.depth is None for frame in source.frames()) and not source.missing
    assert source.files[0].name == f'vga_wide/{VIDEO}_{seconds(0)}'


def test_what_else_lies_there_is_told(tmp_path):
    write_arkit_scenes(tmp_path)
    (tmp_path / 'confidence').mkdir()
    assert open_source(tmp_path).unread == [
        f'{tmp_path / "confidence"}, beside the images of {tmp_path / "lowres_wide"}'
    ]


@pytest.mark.parametrize(
    'line, message',
    [
        ('6845.7 1 2 3\n', "line 1: '6845.7 1 2 3' is no pose, expected seconds"),
        ('6845.7 nan 0 0 0 0 0\n', 'is no pose'),
        ('6845.7 1e300 0 0 0 0 0\n', 'is no pose'),
        ('\n', 'holds no poses'),
    ],
)
def test_a_broken_trajectory_names_the_line(tmp_path, line, message):
    write_arkit_scenes(tmp_path)
    (tmp_path / 'lowres_wide.traj').write_text(line)
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path)


def test_a_broken_or_missing_lens_is_named(tmp_path):
    write_arkit_scenes(tmp_path)
    folder = tmp_path / 'lowres_wide_intrinsics'
    file = folder / f'{VIDEO}_{seconds(0)}.pincam'
    file.write_text('32 24 50\n')
    with pytest.raises(CameraError, match=r"pincam: '32 24 50' is no camera, expected width"):
        list(open_source(tmp_path).frames())
    for one in folder.iterdir():
        one.unlink()
    with pytest.raises(
        SourceError, match=r'no \.pincam file near 6845\.700 s: give --camera-info'
    ):
        open_source(tmp_path)
    assert len(list(open_source(tmp_path, focal=40.0).frames())) == 4
