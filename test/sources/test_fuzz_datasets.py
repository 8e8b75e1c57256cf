# SPDX-License-Identifier: Apache-2.0
"""Readers of public data sets on damaged files: frames or one line of error, whatever the bytes.

Each file of a whole data set is damaged in turn, in place; the settings are those of
test_fuzz_files.py.
"""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from arkit_scenes import VIDEO, write_arkit_scenes
from hypothesis import given
from hypothesis import strategies as st
from published_layouts import CAMERA, SIZE_WH, WRITERS
from source_frames import pose, posed_frames
from test_fuzz_files import SEVERAL, damaged, tried

from dsac_ros.protocols.protocol import PROTOCOLS
from dsac_ros.protocols.scene_data import read_scenes
from dsac_ros.sources.conversion import write_folder
from dsac_ros.sources.indoor6 import read_parts
from dsac_ros.sources.open_source import open_source
from dsac_ros.types import Frame, PosedFrame

SFM = 'visloc_pseudo_gt_limitations/pgt/sfm'
FILES = [
    ('7scenes', '', 'chess/TrainSplit.txt'),
    ('7scenes', '', 'chess/seq-01/frame-000000.pose.txt'),
    ('7scenes', 'sfm', f'{SFM}/7scenes/chess_train.txt'),
    ('12scenes', '', 'apt1/kitchen/info.txt'),
    ('12scenes', '', 'apt1/kitchen/split.txt'),
    ('12scenes', 'sfm', f'{SFM}/12scenes/apt1_kitchen_test.txt'),
    ('cambridge', '', 'ShopFacade/dataset_train.txt'),
    ('cambridge', '', 'ShopFacade/reconstruction.nvm'),
    ('indoor6', '', 'scene6/train_test_val.pkl'),
    ('indoor6', '', 'scene6/images/image-000000.intrinsics.txt'),
    ('indoor6', '', 'scene6/images/image-000000.pose.txt'),
    ('wayspots', '', 'wayspots_bears/train/calibration/frame-000000.txt'),
]


@cache
def written(name):
    """The folder of a data set of three training frames and two test frames."""
    folder = TemporaryDirectory()
    shape = (SIZE_WH[1], SIZE_WH[0], 3)
    frames = [
        PosedFrame(Frame(np.full(shape, 40 * i, np.uint8), CAMERA), pose(i, 1, 2, 0.1, 0.2, 0.3))
        for i in range(5)
    ]
    WRITERS[name][0](Path(folder.name), frames[:3], frames[3:])
    return folder


@contextmanager
def altered(file, data):
    before = file.read_bytes()
    file.write_bytes(data)
    try:
        yield
    finally:
        file.write_bytes(before)


def read_all(protocol, folder, ground_truth):
    """All frames of both parts, or the problems that are told."""
    for scene in read_scenes(protocol, folder, ground_truth, names=(WRITERS[protocol.name][1],)):
        assert all(len(problem.splitlines()) == 1 for problem in scene.problems)
        for source in filter(None, (scene.train, scene.test)):
            for posed in source.posed_frames():
                assert np.isfinite(posed.world_from_camera).all()


@pytest.mark.parametrize(('name', 'truth', 'file'), FILES)
@SEVERAL
@given(st.data())
def test_a_public_data_set(name, truth, file, data):
    folder = Path(written(name).name)
    protocol = replace(PROTOCOLS[name], counts={})
    with altered(folder / file, data.draw(damaged((folder / file).read_bytes()))):
        tried(lambda: read_all(protocol, folder, truth))


@pytest.fixture(scope='module')
def arkit(tmp_path_factory):
    return write_arkit_scenes(tmp_path_factory.mktemp('arkit'))


@pytest.mark.parametrize(
    'name',
    [
        'lowres_wide.traj',
        f'lowres_wide_intrinsics/{VIDEO}_6845.700.pincam',
        f'lowres_depth/{VIDEO}_6845.701.png',
    ],
)
@SEVERAL
@given(st.data())
def test_an_arkit_log(arkit, name, data):
    with altered(arkit / name, data.draw(damaged((arkit / name).read_bytes()))):
        tried(lambda: list(open_source(arkit).posed_frames()))


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    """A folder of each format that we write with depth or masks, as we write it."""
    frames = [
        replace(one, frame=replace(one.frame, mask=np.eye(24, 32) > 0))
        for one in posed_frames(2, depth=True)
    ]
    path = tmp_path_factory.mktemp('converted')
    for kind in ('transforms', 'kapture', 'colmap', 'folder'):
        write_folder(path / kind, frames, kind=kind)
    return path


@pytest.mark.parametrize(
    'name',
    [
        'transforms/transforms.json',
        'kapture/sensors/records_depth.txt',
        'kapture/sensors/sensors.txt',
        'kapture/sensors/records_data/camera0/frame-000000.depth',
        'colmap/masks/frame-000000.png.png',
        'folder/masks/frame-000000.png',
    ],
)
@SEVERAL
@given(st.data())
def test_formats_with_depth_and_masks(converted, name, data):
    folder = converted / name.split('/')[0]
    with altered(converted / name, data.draw(damaged((converted / name).read_bytes()))):
        tried(lambda: list(open_source(folder).posed_frames()))


class Harm:
    """Something that a pickle would run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, 'w'))


def test_a_hostile_pickle_runs_nothing(tmp_path):
    target = tmp_path / 'written'
    harm = {'train': [Harm(str(target))], 'test': [], 'val': []}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(harm))
    assert tried(lambda: read_parts(tmp_path / 'a.pkl', 'train')) is None
    assert not target.exists()


@pytest.mark.parametrize('name', ['../secret.color.jpg', '/etc/x.color.jpg', 'a.txt'])
def test_names_of_a_pickle_stay_in_their_folder(tmp_path, name):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps({'train': [name]}))
    assert tried(lambda: read_parts(tmp_path / 'a.pkl', 'train')) is None


def test_names_may_be_arrays_of_text(tmp_path):
    names = ['a.color.jpg', 'b.color.jpg']
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps({'test': np.array(names)}))
    assert read_parts(tmp_path / 'a.pkl', 'test') == names
