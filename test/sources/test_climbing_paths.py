# SPDX-License-Identifier: Apache-2.0
"""Names that climb out of their folder may be read, but nothing is written by them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from source_frames import posed_frames

from dsac_ros.cli.main import main
from dsac_ros.errors import SourceError
from dsac_ros.sources.bag_storage import storage_files
from dsac_ros.sources.conversion import write_folder
from dsac_ros.sources.image_files import write_image
from dsac_ros.sources.open_source import open_source

NAMES = ('../../outside/a.png', '{outside}/b.png', 'link.png', 'sub/../../../outside/c.png')
TARGETS = ('folder', 'transforms', 'euroc', 'kapture', 'colmap', 'a.mcap', 'a.db3')


@pytest.fixture
def names(tmp_path):
    """Names of four images outside of tmp_path/data/inside, as a file there may have them."""
    outside, inside = tmp_path / 'outside', tmp_path / 'data/inside'
    outside.mkdir()
    (inside / 'sub').mkdir(parents=True)
    for name, posed in zip('abcd', posed_frames(4), strict=True):
        write_image(outside / f'{name}.png', posed.frame.image)
    (inside / 'link.png').symlink_to(outside / 'd.png')
    return [name.format(outside=outside) for name in NAMES]


def write_transforms(folder, names):
    pose = np.eye(4).tolist()
    frames = [{'file_path': name, 'transform_matrix': pose} for name in names]
    document = {'fl_x': 50, 'cx': 16, 'cy': 12, 'w': 32, 'h': 24, 'frames': frames}
    (folder / 'transforms.json').write_text(json.dumps(document))


def write_colmap(folder, names):
    (folder / 'cameras.txt').write_text('1 PINHOLE 32 24 50 51 16 12\n')
    lines = (f'{n} 1 0 0 0 0 0 {n} 1 {name}\n\n' for n, name in enumerate(names, 1))
    (folder / 'images.txt').write_text(''.join(lines))


def write_tum(folder, names):
    listed = (f'{n}.0 {name}\n' for n, name in enumerate(names, 1))
    (folder / 'rgb.txt').write_text('# color\n' + ''.join(listed))
    poses = (f'{n}.0 0 0 {n} 0 0 0 1\n' for n in range(1, 5))
    (folder / 'groundtruth.txt').write_text(''.join(poses))
    (folder / 'camera.txt').write_text('50\n')


def write_kapture(folder, names):
    sensors = folder / 'sensors'
    (sensors / 'records_data').mkdir(parents=True)
    (sensors / 'sensors.txt').write_text('cam, , camera, PINHOLE, 32, 24, 50, 51, 16, 12\n')
    records = (f'{n}, cam, {name}\n' for n, name in enumerate(names, 1))
    (sensors / 'records_camera.txt').write_text(''.join(records))
    poses = (f'{n}, cam, 1, 0, 0, 0, 0, 0, {n}\n' for n in range(1, 5))
    (sensors / 'trajectories.txt').write_text(''.join(poses))


def everything(folder):
    """Bytes of each file below a folder."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob('*'))
        if 'target' not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize('write', [write_transforms, write_colmap, write_tum, write_kapture])
def test_nothing_is_written_by_names_that_climb(tmp_path, names, write, capsys):
    inside = tmp_path / 'data/inside'
    write(inside, names)
    before = everything(tmp_path)
    (tmp_path / 'target').mkdir()
    calibration = ['--camera-info', str(inside / 'camera.txt')] if write is write_tum else []
    for target in TARGETS:
        to = [] if '.' in target else ['--to', target]
        path = tmp_path / 'target' / target
        words = ['convert', str(inside), str(path), *to, *calibration, '--progress', 'off']
        code, told = main(words), capsys.readouterr().err
        assert code == 0 or len(told.splitlines()) == 1, told
        assert path.exists() == (code == 0)
    assert everything(tmp_path) == before
    assert sorted(path.name for path in (tmp_path / 'target').iterdir()) == sorted(TARGETS)


def test_a_bag_consists_of_files_in_its_folder(tmp_path):
    """Paths of metadata.yaml are of the machine that recorded; their names alone are used."""
    bag = tmp_path / 'bag'
    bag.mkdir()
    (tmp_path / 'outside.mcap').write_bytes(b'')
    listed = '[../outside.mcap, /etc/passwd]'
    (bag / 'metadata.yaml').write_text(
        f'rosbag2_bagfile_information:\n  relative_file_paths: {listed}\n'
    )
    with pytest.raises(SourceError, match=r'files that are not there: outside\.mcap, passwd'):
        storage_files(bag)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_images_are_named_by_their_number(tmp_path, suffix):
    """The name of a frame, which a stranger's file may have given, is no part of a path."""
    frames = posed_frames(2)
    for posed in frames:
        object.__setattr__(posed.frame, 'name', '../../../climbs')
    for kind in ('folder', 'transforms', 'euroc', 'kapture', 'colmap'):
        write_folder(tmp_path / 'target' / kind, frames, image_suffix=suffix, kind=kind)
        assert len(open_source(tmp_path / 'target' / kind)) == 2
    assert not list(tmp_path.rglob('climbs*')) and [p.name for p in tmp_path.iterdir()] == [
        'target'
    ]
