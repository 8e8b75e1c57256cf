# SPDX-License-Identifier: Apache-2.0
"""Options that say what the poses of a source mean, for folders, TUM files and bags."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from source_frames import START_NS, STEP_NS, assert_same, pose, posed_frames

from dsac_ros.cli.source_options import add_source_options, open_named_source
from dsac_ros.config import PoseConvention
from dsac_ros.errors import ConfigError, SourceError
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import write_tum

FLIP_Y = np.diag([1.0, -1, 1, 1])
OPENGL = np.diag([1.0, -1, -1, 1])
BASE_FROM_CAMERA = pose(0.2, 0.0, 0.4, -1.2, 1.2, -1.2)


def opened(path, *words):
    """The source as the command line opens it."""
    parser = argparse.ArgumentParser()
    parser.add_argument('source')
    add_source_options(parser)
    return open_named_source(parser.parse_args([str(path), *words]))


def folder_of(path, frames, convention):
    """A folder whose pose files hold convention(world_from_camera)."""
    with FolderWriter(path) as folder:
        for posed in frames:
            folder.write(posed.frame, convention(posed.world_from_camera))
    return path


def wxyz(given):
    x, y, z, w = Rotation.from_matrix(given[:3, :3]).as_quat()
    read = given.copy()
    read[:3, :3] = Rotation.from_quat([w, x, y, z]).as_matrix()
    return read


@pytest.mark.parametrize(
    ('convention', 'words'),
    [
        (
            lambda p: np.linalg.inv(p @ OPENGL),
            ['--pose-direction', 'camera-from-world', '--pose-axes', 'opengl'],
        ),
        (lambda p: FLIP_Y @ p @ FLIP_Y, ['--pose-axes', 'unity']),
        (lambda p: FLIP_Y @ p, ['--pose-axes', 'opencv']),
        (lambda p: np.block([[p[:3, :3], 1000 * p[:3, 3:]], [p[3:]]]), ['--pose-scale', '0.001']),
    ],
    ids=['inverse opengl', 'unity', 'mirrored', 'millimetres'],
)
def test_a_folder_in_another_convention(tmp_path, convention, words):
    frames = posed_frames()
    path = folder_of(tmp_path / 'a', frames, convention)
    assert_same(list(opened(path, *words).posed_frames()), frames)


def test_mirrored_poses_name_the_option(tmp_path):
    path = folder_of(tmp_path / 'a', posed_frames(), lambda p: FLIP_Y @ p)
    with pytest.raises(
        SourceError,
        match=r'5 with a mirrored pose \(a determinant of -1: .*say '
        'with --pose-axes',
    ):
        list(open_source(path).posed_frames())


def test_a_matrix_written_by_columns_is_told(tmp_path):
    path = folder_of(tmp_path / 'a', posed_frames(), np.transpose)
    with pytest.raises(SourceError, match='translation in the last row: a transposed matrix'):
        list(open_source(path).posed_frames())


def test_delayed_poses_of_files_without_a_trajectory(tmp_path):
    frames = posed_frames()
    late = [frames[max(0, index - 2)].world_from_camera for index in range(5)]
    poses = iter(late)
    path = folder_of(tmp_path / 'a', frames, lambda _: next(poses))
    source = opened(path, '--pose-delay', '0.2')
    assert_same(list(source.posed_frames()), frames[:3])
    assert sum(source.skipped.values()) == 2


def test_delayed_poses_of_a_dense_trajectory(tmp_path):
    frames = posed_frames()
    path = folder_of(tmp_path / 'a', frames, lambda p: p)
    stamps = [frame.frame.stamp_ns + STEP_NS // 4 for frame in frames]
    write_tum(tmp_path / 'a.tum', stamps, [wxyz(frame.world_from_camera) for frame in frames])
    source = opened(
        path,
        '--poses',
        str(tmp_path / 'a.tum'),
        '--pose-delay',
        '0.025',
        '--pose-quaternion',
        'wxyz',
    )
    for found, expected in zip(source.posed_frames(), frames, strict=True):
        np.testing.assert_allclose(found.world_from_camera, expected.world_from_camera, atol=1e-6)


def test_the_inverse_of_a_path_is_not_interpolated(tmp_path):
    """Poses of camera-from-world, between images, far from the world's origin."""
    frames = posed_frames()
    path = folder_of(tmp_path / 'a', frames, lambda p: p)
    far = [
        np.block([[p[:3, :3], p[:3, 3:] + 1e4], [p[3:]]])
        for p in (frame.world_from_camera for frame in frames)
    ]
    stamps = [frame.frame.stamp_ns + STEP_NS // 4 for frame in frames]
    write_tum(tmp_path / 'direct.tum', stamps, far)
    write_tum(tmp_path / 'inverse.tum', stamps, list(np.linalg.inv(far)))
    direct = opened(path, '--poses', str(tmp_path / 'direct.tum'))
    inverse = opened(
        path, '--poses', str(tmp_path / 'inverse.tum'), '--pose-direction', 'camera-from-world'
    )
    for found, expected in zip(inverse.posed_frames(), direct.posed_frames(), strict=True):
        np.testing.assert_allclose(found.world_from_camera, expected.world_from_camera, atol=1e-4)


def test_mirrored_poses_that_lag_behind(tmp_path):
    frames = posed_frames()
    straight = folder_of(tmp_path / 'a', frames, lambda p: p)
    mirrored = folder_of(tmp_path / 'b', frames, lambda p: FLIP_Y @ p)
    delay = ('--pose-delay', '0.025')
    found = list(opened(mirrored, '--pose-axes', 'opencv', *delay).posed_frames())
    assert_same(found, list(opened(straight, *delay).posed_frames()))


def test_mirrored_poses_are_told_before_a_delay(tmp_path):
    path = folder_of(tmp_path / 'a', posed_frames(), lambda p: FLIP_Y @ p)
    with pytest.raises(SourceError, match='5 with a mirrored pose'):
        list(opened(path, '--pose-delay', '0.025').posed_frames())


def test_another_clock_names_the_delay(tmp_path):
    frames = posed_frames()
    path = folder_of(tmp_path / 'a', frames, lambda p: p)
    write_tum(
        tmp_path / 'a.tum',
        [index * STEP_NS for index in range(5)],
        [frame.world_from_camera for frame in frames],
    )
    words = ['--poses', str(tmp_path / 'a.tum'), '--max-gap', '1', '--pose-delay']
    delay = f'{-START_NS / 1e9:.3f}'
    with pytest.raises(SourceError, match=f'both begin together, use --pose-delay {delay}'):
        list(opened(path, *words, '7').posed_frames())
    source = opened(path, *words, delay)
    assert len(list(source.posed_frames())) == 4  # milliseconds are rounded
    assert source.unread == [
        f'1 of 5 poses of {tmp_path / "a.tum"}, which are before or after the images'
    ]


@pytest.mark.parametrize(
    'words', [('--pose-delay', 'nan'), ('--pose-delay', '1e300'), ('--max-gap', '1e300')]
)
def test_times_that_no_stamp_holds(tmp_path, capsys, words):
    with pytest.raises(SystemExit):
        opened(tmp_path, *words)
    assert f'{words[1]} is not a number of seconds' in capsys.readouterr().err


def bag_of(path, frames, moved_from_camera, **base):
    """A bag whose TF is late by a step and may lead from a base to the camera."""
    with BagWriter(path) as bag:
        for posed in frames:
            stamp = posed.frame.stamp_ns
            for child, transform in base.items():
                bag.transform(child, 'camera_optical', stamp, transform)
            bag.transform(
                'map',
                next(iter(base), 'camera_optical'),
                stamp + STEP_NS,
                moved_from_camera(posed.world_from_camera),
            )
            bag.camera_info('/camera/camera_info', 'camera_optical', stamp, posed.frame.camera)
            bag.image('/camera/image_raw', 'camera_optical', stamp, posed.frame.image)
    return path


def test_the_tf_of_a_bag_in_another_convention(tmp_path):
    frames = posed_frames()
    path = bag_of(tmp_path / 'a', frames, lambda p: np.linalg.inv(p @ OPENGL))
    source = opened(
        path,
        '--pose-delay',
        '0.1',
        '--pose-direction',
        'camera-from-world',
        '--pose-axes',
        'opengl',
    )
    assert_same(list(source.posed_frames()), frames)


def test_a_trajectory_of_the_base_is_converted_first(tmp_path):
    """Millimetres and wxyz are the file's; TF leads from there to a camera in OpenGL axes."""
    frames = posed_frames()
    path = bag_of(tmp_path / 'a', frames, lambda p: np.eye(4), base=BASE_FROM_CAMERA)
    given = []
    for posed in frames:
        base = wxyz(posed.world_from_camera @ OPENGL @ np.linalg.inv(BASE_FROM_CAMERA))
        base[:3, 3] *= 1000
        given.append(base)
    write_tum(tmp_path / 'a.tum', [START_NS + index * STEP_NS for index in range(5)], given)
    source = opened(
        path,
        '--poses',
        str(tmp_path / 'a.tum'),
        '--pose-frame',
        'base',
        '--pose-quaternion',
        'wxyz',
        '--pose-scale',
        '0.001',
        '--pose-axes',
        'opengl',
    )
    for found, expected in zip(source.posed_frames(), frames, strict=True):
        np.testing.assert_allclose(found.world_from_camera, expected.world_from_camera, atol=1e-6)


@pytest.mark.parametrize('words', [('--pose-frame', 'base'), ('--image-frame', 'camera')])
def test_a_folder_has_no_frames_of_tf(tmp_path, words):
    path = folder_of(tmp_path / 'a', posed_frames(), lambda p: p)
    with pytest.raises(SourceError, match=f'{words[0]} is for bags'):
        opened(path, *words)


def test_unknown_axes_are_refused_at_opening(tmp_path):
    path = folder_of(tmp_path / 'a', posed_frames(), lambda p: p)
    with pytest.raises(ConfigError, match='the axes of poses are'):
        opened(path, '--pose-axes', 'ros')


def test_rendered_poses_are_exact():
    with pytest.raises(SourceError, match='has exact poses'):
        open_source('rendered:3:4', convention=PoseConvention(axes='opengl'))
