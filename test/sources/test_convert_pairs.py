# SPDX-License-Identifier: Apache-2.0
"""`dsac convert` from every kind of source to every target and back: nothing is altered."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from arkit_scenes import write_arkit_scenes
from published_layouts import CAMERA, WRITERS
from source_frames import LENS, START_NS, STEP_NS, pose, posed_frames
from test_polycam import write as write_polycam
from test_record3d import write as write_record3d
from videos import write_video

from dsac_ros.cli import convert
from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.camera import camera_from_info, fisheye_camera
from dsac_ros.sources.conversion import HOLDS, BagNames, write_bag, write_folder
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import write_tum
from dsac_ros.types import Frame, PosedFrame

TARGETS = ('bag', 'folder', 'transforms', 'euroc', 'kapture', 'colmap')


def run(*words):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    return convert.run(parser.parse_args([str(w) for w in words] + ['--progress', 'off']))


def masked_frames(lens=LENS[:4], count=4):
    """Frames with depth and masks; EuRoC can hold this lens, too."""
    frames = posed_frames(count, depth=True, lens=lens)
    generator = np.random.default_rng(1)
    return [
        replace(one, frame=replace(one.frame, mask=generator.random((24, 32)) < 0.7))
        for one in frames
    ]


def written_by_us(kind):
    def write(path):
        frames = masked_frames()
        if kind == 'bag':
            write_bag(path / 'a.mcap', frames, BagNames())
            return path / 'a.mcap'
        write_folder(path / 'a', frames, 'map', '.png', kind)
        return path / 'a'

    return write


def published(name, part):
    """A scene of a public data set; `part` is what of it is opened."""

    def write(path):
        small = [
            PosedFrame(
                Frame(np.full((120, 160, 3), 40 * i, np.uint8), CAMERA),
                pose(i, 1, 2, 0.1, 0.2, 0.3),
            )
            for i in range(4)
        ]
        writer, _ = WRITERS[name]
        return writer(path, small[:3], small[3:]) / part

    return write


def tum_rgbd(path):
    frames = posed_frames(4)
    folder = path / 'a'
    write_folder(folder, frames)
    lines = [f'{p.frame.stamp_ns // 10**9}.{p.frame.stamp_ns % 10**9:09d}' for p in frames]
    (folder / 'rgb.txt').write_text(
        ''.join(f'{stamp} rgb/frame-{i:06d}.png\n' for i, stamp in enumerate(lines))
    )
    write_tum(
        folder / 'groundtruth.txt',
        [p.frame.stamp_ns for p in frames],
        [p.world_from_camera for p in frames],
    )
    (folder / 'calibration.txt').write_text('50 0 16\n0 52 12.75\n0 0 1\n')
    return folder


def video(path):
    write_tum(
        path / 'a.tum',
        [i * STEP_NS for i in range(6)],
        [pose(i, 1, 2, 0.1, 0, 0) for i in range(6)],
    )
    return write_video(path / 'a.mp4', 6)


OPTIONS = {'video': {'focal': 40.0, 'poses': 'a.tum'}}  # that a kind of source needs
SOURCES = {
    **{kind: written_by_us(kind) for kind in TARGETS},
    '7scenes': published('7scenes', 'chess/TrainSplit.txt'),
    '12scenes': published('12scenes', 'apt1/kitchen'),
    'cambridge': published('cambridge', 'ShopFacade/dataset_train.txt'),
    'indoor6': published('indoor6', 'scene6'),
    'wayspots': published('wayspots', 'wayspots_bears/train'),
    'tum': tum_rgbd,
    'record3d': lambda path: write_record3d(path / 'a'),
    'polycam': lambda path: write_polycam(path / 'a'),
    'arkit': lambda path: write_arkit_scenes(path / 'a'),
    'video': video,
}


@pytest.mark.parametrize('target', TARGETS)
@pytest.mark.parametrize('kind', SOURCES)
def test_frames_come_back_as_they_were(tmp_path, kind, target):
    """Intrinsics, images and poses always; stamps, depth and masks where the target holds them."""
    path = SOURCES[kind](tmp_path)
    options = OPTIONS.get(kind, {})
    if 'poses' in options:
        options = {**options, 'poses': str(tmp_path / options['poses'])}
    source = open_source(path, **options)
    words = [str(word) for key, value in options.items() for word in (f'--{key}', value)]
    before = list(source.posed_frames())
    assert before
    made = tmp_path / ('b.mcap' if target == 'bag' else 'b')
    if (kind, target) == ('arkit', 'euroc'):
        with pytest.raises(SourceError, match='has another camera than the frames before it'):
            run(path, made, '--to', target)
        return
    run(path, made, '--to', target, *words)
    again = open_source(made)
    after = list(again.posed_frames())
    assert len(after) == len(before)
    holds = HOLDS[target]
    for one, other in zip(before, after):
        np.testing.assert_allclose(other.world_from_camera, one.world_from_camera, atol=1e-9)
        np.testing.assert_array_equal(other.frame.image, one.frame.image)
        assert_same_camera(other.frame.camera, one.frame.camera)
        assert_held(other.frame.depth, one.frame.depth, 'depth' in holds, atol=5.1e-4)
        assert_held(other.frame.mask, one.frame.mask, 'masks' in holds)
    if source.has_stamps and 'stamps' in holds and is_time(before[0].frame.stamp_ns, target):
        assert [p.frame.stamp_ns for p in after] == [p.frame.stamp_ns for p in before]
        assert again.has_stamps


def is_time(stamp_ns, target):
    """Time stamps of kapture that are no time of this century are but numbers."""
    return target != 'kapture' or stamp_ns > 10**18


def assert_same_camera(one, other):
    assert (one.size_wh, one.model) == (other.size_wh, other.model)
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-7)
    np.testing.assert_allclose(one.distortion[:4], other.distortion[:4], atol=1e-12)
    assert not any((*one.distortion[4:], *other.distortion[4:]))


def assert_held(found, expected, holds, atol=0.0):
    if expected is None or not holds:
        assert found is None
    else:
        np.testing.assert_allclose(found, expected, atol=atol)


@pytest.mark.parametrize('target', TARGETS)
def test_what_a_target_cannot_hold_is_one_line(tmp_path, target, capsys):
    write_folder(tmp_path / 'a', masked_frames())
    made = tmp_path / ('b.mcap' if target == 'bag' else 'b')
    run(tmp_path / 'a', made, '--to', target, '--json')
    told = capsys.readouterr()
    lost = {'euroc': ['depth', 'masks'], 'kapture': ['masks'], 'colmap': ['stamps', 'depth']}
    assert json.loads(told.out)['not_held'] == lost.get(target, [])
    lines = [line for line in told.err.splitlines() if 'cannot hold' in line]
    assert len(lines) == (target in lost)


RATIONAL = (-0.2, 0.05, 1e-3, -1e-3, 0.01, 0.02, 0.03, 0.004)
LENSES = {
    'plumb_bob': LENS,
    'rational_polynomial': RATIONAL,
    'fisheye': (0.1, 0.02, -0.003, 0.0004),
}


@pytest.mark.parametrize('target', ('bag', 'folder', 'transforms', 'kapture', 'colmap'))
@pytest.mark.parametrize('name', LENSES)
def test_every_lens_comes_back(tmp_path, name, target):
    k, lens = (50.0, 0, 15.5, 0, 52.0, 12.25, 0, 0, 1), LENSES[name]
    made = (
        fisheye_camera((32, 24), k, lens)
        if name == 'fisheye'
        else camera_from_info((32, 24), k, lens, model=name)
    )
    frames = [replace(p, frame=replace(p.frame, camera=made)) for p in posed_frames(2)]
    path = tmp_path / ('b.mcap' if target == 'bag' else 'b')
    if target == 'bag':
        write_bag(path, frames, BagNames())
    else:
        write_folder(path, frames, 'map', '.png', target)
    found = next(open_source(path).frames()).camera
    assert found.model == made.model
    np.testing.assert_allclose(found.distortion, made.distortion, atol=1e-12)
    np.testing.assert_allclose(found.matrix, made.matrix, atol=1e-7)


def test_lenses_and_cameras_that_euroc_lacks(tmp_path):
    frames = posed_frames(2, lens=LENS)
    with pytest.raises(CameraError, match=r'EuRoC has no lens plumb_bob with 5 .*--undistort'):
        write_folder(tmp_path / 'a', frames, kind='euroc')
    other = camera_from_info((32, 24), (60.0, 0, 15.5, 0, 52.0, 12.25, 0, 0, 1))
    frames = posed_frames(2)
    frames[1] = replace(frames[1], frame=replace(frames[1].frame, camera=other))
    with pytest.raises(SourceError, match='has another camera than the frames before it'):
        write_folder(tmp_path / 'a', frames, kind='euroc')
    assert not list(tmp_path.iterdir())
    for kind in ('kapture', 'colmap', 'transforms'):
        write_folder(tmp_path / kind, frames, kind=kind)
        found = [frame.camera.matrix[0, 0] for frame in open_source(tmp_path / kind).frames()]
        assert found == [50, 60]


def test_one_stamp_twice_is_no_euroc_folder(tmp_path):
    frames = posed_frames(2)
    frames[1] = replace(frames[1], frame=replace(frames[1].frame, stamp_ns=START_NS))
    with pytest.raises(SourceError, match='two frames have the stamp'):
        write_folder(tmp_path / 'a', frames, kind='euroc')


def test_masks_of_a_bag_are_no_camera(tmp_path):
    frames = masked_frames()
    write_bag(tmp_path / 'a.mcap', frames, BagNames())
    source = open_source(tmp_path / 'a.mcap', stride=2)
    assert any('/camera/valid_mask are not used' in text for text in source.assumptions)
    found = list(source.posed_frames())
    assert [p.frame.stamp_ns for p in found] == [START_NS, START_NS + 2 * STEP_NS]
    np.testing.assert_array_equal(found[1].frame.mask, frames[2].frame.mask)


def test_no_stamps_are_made_up_for_a_transforms_json(tmp_path):
    path = SOURCES['7scenes'](tmp_path)
    run(path, tmp_path / 'b', '--to', 'transforms')
    assert not open_source(tmp_path / 'b').has_stamps
    assert 'stamp_ns' not in (tmp_path / 'b/transforms.json').read_text()
